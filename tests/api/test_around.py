"""`around` in an `__init__.py`: what runs around the calls of a folder, in dev, production and elsewhere."""
from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.kit.running import DEADLINE, SERVERS, Server, dev, production, run_cli, wait_for, write_tree
from tests.kit.shop import reads, shop_with

FAILED = {'error': '500 Internal Server Error'}
TRAIL = '''
def around(call, proceed):
    call.trail = [*getattr(call, 'trail', []), '{name}']
    answer = proceed()
    return {{**answer, 'left': [*answer.get('left', []), '{name}']}} if isinstance(answer, dict) else answer
'''
ECHO = 'def read(request, call):\n    return {"trail": call.trail}\n'
HANDLERS = '''
from apiphant.server import raw_environ, raw_response
runs = []

def read(request):
    runs.append(1)

def create(request):
    return {'runs': len(runs)}

@raw_environ
def update(environ):
    return {'raw': environ['REQUEST_METHOD']}

@raw_response
def delete(request, start_response):
    start_response('200 OK', [])
    return [b'raw']
'''
ODD = {
    'twice': 'proceed()\n    return proceed()',
    'never': 'return {"never": True}',
    'denies': 'raise ApiError(403, "not you")',
    'list': 'return [proceed()]',
    'nothing': 'proceed()',
    'leaves': 'raise SystemExit(3)',
    'fails': 'return 1 / 0',
    'fails_after': 'proceed()\n    return 1 / 0',
    'catches': (
        'try:\n        proceed()\n        return proceed()\n    except RuntimeError as error:\n'
        '        return {"said": str(error)}'),
    'passes': 'return proceed()',
    'hangs': 'import gevent\n    gevent.sleep(1000)',
    'status': (
        'answer = proceed()\n    call.status = 202\n    call.answer_headers["X-Around"] = "yes"\n    return answer'),
    'late': 'import gevent\n    held.append(proceed)\n    return {}',
    'later': 'try:\n        return held[0]()\n    except RuntimeError as error:\n        return {"said": str(error)}',
}
RUNS = '''
from importlib import import_module

def read(request):
    return {'runs': import_module(f'shop.api.v0.odd.{request.name}.x').runs}
'''
HEAD = 'from apiphant.validation import ApiError\nfrom shop.held import held\n\n\ndef around(call, proceed):\n    '


@pytest.fixture(scope='module')
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        'held.py': 'held = []\n',
        'api/v0/deep/__init__.py': TRAIL.format(name='deep') + ECHO,
        'api/v0/deep/er/__init__.py': TRAIL.format(name='er'), 'api/v0/deep/er/echo.py': ECHO,
        'api/v0/deep/folder/echo.py': ECHO,
        'api/v0/beside.py': 'def read(request, call):\n    return {"trail": hasattr(call, "trail")}\n',
        'api/v0/odd_runs.py': RUNS,
        'api/v1/__init__.py': TRAIL.format(name='v1'), 'api/v1/echo.py': ECHO,
    }
    for name, body in ODD.items():
        files[f'api/v0/odd/{name}/__init__.py'] = f'{HEAD}{body}\n'
        files[f'api/v0/odd/{name}/x.py'] = HANDLERS
    folder = tmp_path_factory.mktemp('around')
    return write_tree(folder, {f'shop/{name}': text for name, text in files.items()}) / 'shop'


@pytest.fixture(scope='module', params=SERVERS)
def server(request: pytest.FixtureRequest, product: Path) -> Iterator[Server]:
    with SERVERS[request.param](product) as running:
        yield running


def ask(server: Server, path: str, body: str = '{}') -> tuple[int, Any, bytes]:
    connection = HTTPConnection(server.host, server.port, timeout=DEADLINE)
    try:
        connection.request('POST', f'/api/{path}', body)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def called(server: Server, path: str) -> tuple[int, Any]:
    status, _, body = ask(server, path)
    return status, json.loads(body)


def test_outermost_first(server: Server) -> None:
    assert called(server, 'v0/deep/er/echo/read') == (200, {'trail': ['deep', 'er'], 'left': ['er', 'deep']})
    assert called(server, 'v0/deep/folder/echo/read') == (200, {'trail': ['deep'], 'left': ['deep']})
    assert called(server, 'v0/deep/read') == (200, {'trail': ['deep'], 'left': ['deep']})
    assert called(server, 'v1/echo/read') == (200, {'trail': ['v1'], 'left': ['v1']})
    assert called(server, 'v0/beside/read') == (200, {'trail': False})


@pytest.mark.parametrize(('name', 'status', 'answer', 'runs', 'said'), [
    ('passes', 200, {}, 1, ''),
    ('never', 200, {'never': True}, 0, ''),
    ('denies', 403, {'error': 'not you'}, 0, ''),
    ('twice', 500, FAILED, 1, r'around at .*/odd/twice/__init__.py:5 calls proceed\(\) twice'),
    ('catches', 200, None, 1, ''),
    ('list', 500, FAILED, 1, r'around at .*/odd/list/__init__.py:5 returned list, not a dict'),
    ('nothing', 500, FAILED, 1, r'around at .*/odd/nothing/__init__.py:5 returned nothing: it should return'),
    ('leaves', 500, FAILED, 0, 'SystemExit: 3'),
    ('fails', 500, FAILED, 0, 'ZeroDivisionError'),
    ('fails_after', 500, FAILED, 1, 'ZeroDivisionError'),
])
def test_whatever_it_does(server: Server, name: str, status: int, answer: Any, runs: int, said: str) -> None:
    since = len(server.lines)
    before = handled(server, name)
    found = called(server, f'v0/odd/{name}/x/read')
    assert found == (status, answer) or (answer is None and found[0] == status)
    if said:
        server.wait_for_line(said, since)
    assert handled(server, name) - before == runs


def handled(server: Server, name: str) -> int:
    """How often its handler ran, as the module says that no `around` is in the way of."""
    return len(server.read('odd_runs', name=name)['runs'])


@pytest.mark.parametrize('name', ['denies', 'never', 'status', 'passes', 'list', 'fails'])
def test_raw_handlers_too(server: Server, name: str) -> None:
    expected = {
        'denies': (403, b'{"error":"not you"}'), 'never': (200, b'{"never":true}'), 'status': (202, b'{"raw":"POST"}'),
        'passes': (200, b'{"raw":"POST"}'), 'list': (500, b'{"error":"500 Internal Server Error"}'),
        'fails': (500, b'{"error":"500 Internal Server Error"}')}
    status, _, body = ask(server, f'v0/odd/{name}/x/update')
    assert (status, body) == expected[name]


@pytest.mark.parametrize(('name', 'expected'), [
    ('denies', (403, b'{"error":"not you"}')), ('never', (200, b'{"never":true}')), ('passes', (200, b'raw')),
    ('fails', (500, b'{"error":"500 Internal Server Error"}')),
    ('fails_after', (500, b'{"error":"500 Internal Server Error"}')),
    ('nothing', (500, b'{"error":"500 Internal Server Error"}'))])
def test_raw_responses_too(server: Server, name: str, expected: tuple[int, bytes]) -> None:
    status, _, body = ask(server, f'v0/odd/{name}/x/delete')
    assert (status, body) == expected


def test_it_may_change_the_answer(server: Server) -> None:
    status, headers, body = ask(server, 'v0/odd/status/x/create')
    assert (status, headers['X-Around']) == (202, 'yes')
    assert 'runs' in json.loads(body)


@pytest.mark.parametrize('serve', [dev, production], ids=['dev', 'production'])
def test_what_is_refused_before_does_not_reach_it(product: Path, serve: Any) -> None:
    with serve(product) as server:
        assert ask(server, 'v0/odd/fails/x/read', '[]')[0] == 400
        assert ask(server, 'v0/odd/fails/x/write')[0] == 404
    assert 'ZeroDivisionError' not in server.text


def test_proceed_after_the_call(server: Server) -> None:
    assert called(server, 'v0/odd/late/x/read') == (200, {})
    status, answer = called(server, 'v0/odd/later/x/read')
    assert status == 200
    assert 'calls proceed() after its call' in answer['said']


@pytest.mark.parametrize('serve', [dev, production], ids=['dev', 'production'])
def test_one_that_hangs(product: Path, serve: Any) -> None:
    """Its call waits as for a handler; all others, and the end of the server, do not."""
    with serve(product) as server:
        answers: list[Any] = []

        def hang() -> None:
            try:
                answers.append(called(server, 'v0/odd/hangs/x/read'))
            except Exception as error:
                answers.append(error)
        thread = threading.Thread(target=hang)
        thread.start()
        for _ in range(20):
            assert called(server, 'v0/odd/passes/x/read') == (200, {})
        assert answers == []
        assert server.end() == 0
        thread.join(DEADLINE)
        assert len(answers) == 1


BAD = {
    'async': ('async def around(call, proceed):\n    return proceed()\n', 'is an async function'),
    'generator': ('def around(call, proceed):\n    yield\n', 'is a generator: it returns what proceed() gives'),
    'few': ('def around(call):\n    return {}\n', 'cannot be called with a call and proceed'),
    'many': ('def around(call, proceed, more):\n    return {}\n', 'cannot be called with a call and proceed'),
    'none': ('around = 1\n', 'is int, no function'),
}


@pytest.mark.parametrize('name', BAD)
def test_what_cannot_be_one(tmp_path: Path, name: str) -> None:
    """It is an error at once: a check that nobody makes would go unseen."""
    text, said = BAD[name]
    files = {'shop/api/__init__.py': text, 'shop/api/v0/a.py': reads(1), 'shop/api/v0/b.py': reads(2)}
    write_tree(tmp_path, files)
    for words in (['check', 'shop'], ['shop', '127.0.0.1:0']):
        done = run_cli(*words, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.count(f'around {said}') == 1
        assert f'{tmp_path}/shop/api/__init__.py' in done.stderr
    with dev(tmp_path / 'shop') as server:
        assert [server.post(f'/api/v0/{target}/read')[0] for target in 'ab'] == [503, 503]
        server.wait_for_line(r'Broken: api/__init__\.py; its calls are answered with 503')
        assert server.text.count(f'around {said}') == 1


# Reloading

GUARD = '''
from apiphant.validation import ApiError
from shop.lib import KEY

def around(call, proceed):
    if call.headers.get('x-key') != KEY:
        raise ApiError(401)
    return proceed()
'''


def with_value(value: str) -> str:
    return f'def around(call, proceed):\n    return {{"value": [{value}, proceed()["value"]]}}\n'


def test_edits_are_live(tmp_path: Path) -> None:
    files = {'api/__init__.py': with_value('1'), 'api/v0/a.py': reads("'a'"), 'api/v0/sub/b.py': reads("'b'")}
    with shop_with(tmp_path, files) as shop:
        shop.becomes('a', [1, 'a'])
        shop.save('api/__init__.py', with_value('2'))
        shop.becomes('a', [2, 'a'])
        shop.becomes('sub/b', [2, 'b'])
        shop.save('api/v0/sub/__init__.py', with_value('3'))
        shop.becomes('sub/b', [2, [3, 'b']])
        shop.becomes('a', [2, 'a'])
        shop.save('api/v0/a.py', reads("'A'"))
        shop.becomes('a', [2, 'A'])
        shop.save('api/__init__.py', '')
        shop.becomes('a', 'A')
        shop.becomes('sub/b', [3, 'b'])
        (shop.folder / 'api/v0/sub/__init__.py').unlink()
        shop.becomes('sub/b', 'b')


@pytest.mark.parametrize('broken', ['def around(call, proceed:', '1 / 0', 'around = None', 'def around(): pass'])
def test_broken_edit_leaves_the_guard(tmp_path: Path, broken: str) -> None:
    """What was there before goes on: nothing is open meanwhile."""
    files = {'lib.py': 'KEY = "k"\n', 'api/v0/__init__.py': GUARD, 'api/v0/a.py': reads(1)}
    with shop_with(tmp_path, files) as shop:
        assert shop.answer('a') == 'status 401'
        since = len(shop.server.lines)
        shop.save('api/v0/__init__.py', broken)
        shop.server.wait_for_line(r'Broken: api/v0/__init__\.py; the code before this goes on', since)
        assert shop.answer('a') == 'status 401'
        shop.save('api/v0/__init__.py', GUARD)
        shop.server.wait_for_line(r'Mended: api/v0/__init__\.py', since)
        assert shop.answer('a') == 'status 401'
        assert shop.server.ask('/api/v0/a/read', b'{}', headers={'X-Key': 'k'})[0] == 200
        shop.save('lib.py', 'KEY = "other"\n')
        wait_for(lambda: shop.server.ask('/api/v0/a/read', b'{}', headers={'X-Key': 'other'})[0] == 200)


def test_check_shows_it(product: Path, tmp_path: Path) -> None:
    done = run_cli('check', str(product))
    assert '/api/v0/deep/er/echo/read  (around: api/v0/deep, api/v0/deep/er)' in done.stdout.splitlines()
    assert '/api/v0/beside/read' in done.stdout.splitlines()
    write_tree(tmp_path, {'shop/api/v0/a.py': 'def around(call, proceed):\n    return proceed()\n' + reads(1)})
    done = run_cli('check', str(tmp_path / 'shop'))
    assert 'not called: around in shop/api/v0/a.py: it should be in an __init__.py' in done.stdout
