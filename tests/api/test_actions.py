"""What the functions of a module are as actions, and what the marks say of them."""
from types import ModuleType

import pytest

from apiphant.api.actions import ACTIONS, Action, actions_of, raw_environ, raw_response
from apiphant.api.application import Application

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
