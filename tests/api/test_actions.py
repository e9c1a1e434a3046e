"""What the functions of a module are as actions, and what the marks say of them."""
from types import ModuleType

import pytest

from apiphant.api.actions import ACTIONS, Action, actions_of, raw_environ, raw_response
from apiphant.api.application import Application
from tests.kit.running import run_cli, write_tree

PATH = '/api/v0/x/read'


def handler(*given):
    return {'given': len(given)}


def marked(*decorators):
    """A fresh function with the marks, the last one first."""
    def read(*given):
        return handler(*given)
    for decorator in decorators:
        assert decorator(read) is read
    return read


def action_of(function):
    module = ModuleType('m')
    module.read = function
    return actions_of(module)['read']


@pytest.mark.parametrize(('decorators', 'expected', 'is_raw'), [
    ((), (False, False, None), False),
    ((raw_environ,), (True, False, None), True),
    ((raw_environ(),), (True, False, None), True),
    ((raw_environ(max_body=5),), (True, False, 5), True),
    ((raw_environ(max_body=0),), (True, False, 0), True),
    ((raw_response,), (False, True, None), True),
    ((raw_environ, raw_response), (True, True, None), True),
    ((raw_response, raw_environ(max_body=5)), (True, True, 5), True),
])
def test_marks(decorators, expected, is_raw):
    function = marked(*decorators)
    action = action_of(function)
    assert action == Action(function, *expected)
    assert action.is_raw is is_raw


def test_plain_without_marks():
    assert Action(handler) == Action(handler, False, False, None) == action_of(handler)


def test_all_four():
    module = ModuleType('m')
    for name in (*ACTIONS, 'patch', '_read'):
        setattr(module, name, handler)
    assert list(actions_of(module)) == ['create', 'read', 'update', 'delete']


@pytest.mark.parametrize(('decorators', 'status', 'body'), [
    ((), '200 OK', b'{"given":1}'),
    ((raw_environ,), '200 OK', b'{"given":1}'),
    ((raw_response,), None, {'given': 2}),
    ((raw_environ, raw_response), None, {'given': 2}),
])
def test_what_it_is_called_with(decorators, status, body):
    """With raw_response what the handler returns is the answer, as it is."""
    begun = []
    application = Application({PATH: action_of(marked(*decorators))})
    answer = application({'REQUEST_METHOD': 'POST', 'PATH_INFO': PATH}, lambda *given: begun.append(given))
    assert answer == (body if status is None else [body])
    assert [given[0] for given in begun] == ([] if status is None else [status])


WRONG = {
    'none': ('def read(): pass', 'read takes ()'),
    'three': ('def read(a, b, c): pass', 'read takes (a, b, c)'),
    'raw': ('@raw_response\ndef read(request): pass', 'read takes (request)'),
    'raw of four': ('@raw_response\ndef read(a, b, c, d): pass', 'read takes (a, b, c, d)'),
    'by name': ('def read(request, *, call): pass', 'read needs call by name'),
    'partial': ('from functools import partial\nread = partial(lambda a: a, 1)', 'takes ()'),
    'lambda': ('read = lambda: {}', 'takes ()'),
    'class': ('class Read:\n    def __call__(self): pass\nread = Read()', 'takes ()'),
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_number_of_parameters(tmp_path, name):
    """Named with its place by check and by the server, which does not start; in dev its calls are 503."""
    text, said = WRONG[name]
    write_tree(tmp_path, {'shop/api/v0/x.py': f'from apiphant.server import raw_response\n{text}\n'})
    for words in (['check', 'shop'], ['shop', '127.0.0.1:0']):
        done = run_cli(*words, cwd=tmp_path)
        assert done.returncode == 1
        assert said in done.stderr
        assert 'a handler is called with (request' in done.stderr
    done = run_cli('dev', 'shop', '127.0.0.1:0', '-c', 'read x', cwd=tmp_path)
    assert (done.stdout, done.returncode) == ('{"error":"503 Service Unavailable"}\n', 1)
    assert said in done.stderr


@pytest.mark.parametrize('text', [
    'async def read(request): pass', 'async def read(request):\n    yield',
    'class Read:\n    async def __call__(self, request): pass\nread = Read()',
    'from functools import partial\nasync def wait(a, request): pass\nread = partial(wait, 1)'])
def test_async_of_each_form(tmp_path, text):
    write_tree(tmp_path, {'shop/api/v0/x.py': f'{text}\n'})
    done = run_cli('check', 'shop', cwd=tmp_path)
    assert done.returncode == 1
    assert 'shop.api.v0.x.read is an async function' in done.stderr
