"""The call, a handler's second argument: what it says of who calls, and of the answer, wherever it runs."""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.kit.running import DEADLINE, SERVERS, Server, production, write_tree

FAILED = {'error': '500 Internal Server Error'}
WHO = '''
from apiphant.server import current_call, raw_environ, raw_response

def create(request, call):
    answer = {name: getattr(call, name) for name in ('client', 'method', 'path', 'version', 'target', 'action', 'id')}
    return {**answer, 'same': current_call() is call, 'request': call.request, 'again': call.id == answer['id']}

def read(request, call):
    headers = call.headers
    return {
        'agent': headers['user-AGENT'], 'missing': headers.get('X-Missing'), 'is_there': 'x-twice' in headers,
        'names': sorted(headers), 'twice': headers['X-Twice'], 'cookies': call.cookies}

@raw_environ
def update(environ, call):
    call.status = 202
    call.answer_headers['X-Who'] = call.client
    return {'method': call.method, 'same': call.request is environ}

@raw_response
def delete(request, start_response, call):
    call.answer_headers['X-Who'] = call.target
    call.set_cookie('raw', 'yes')
    start_response('203 Odd', [('Content-Type', 'text/plain')])
    return [call.request.text.encode()]
'''
ANSWER = '''
from apiphant.validation import ApiError

def create(request, call):
    call.status = request.status
    call.answer_headers['Location'] = '/api/v0/answer/7'
    call.answer_headers['location'] = '/api/v0/answer/8'
    call.answer_headers['Retry-After'] = 5
    call.set_cookie('token', 'a b;c="d"', max_age=60)
    call.set_cookie('plain', 'x', http_only=False, secure=True, same_site='Strict')
    if request.get('error'):
        raise ApiError(401)
    return {'body': 1}

def read(request, call):
    if 'header' in request:
        call.answer_headers[request.header] = request.value
    if 'cookie' in request:
        call.set_cookie(request.cookie, request.value, **request.get('options', {}))
    if 'status' in request:
        call.status = request.status
    return {}

def update(request, call):
    call.answer_headers['X-Half'] = 'done'
    call.set_cookie('half', 'done')
    if request.get('text'):
        return {'text': chr(0xd800)}
    return 1 / 0

def delete(request, call):
    call.answer_headers['Content-Type'] = 'application/problem+json'
    return dict(call.answer_headers)
'''
DEEP = '''
import gevent
from apiphant.server import current_call

seen = []

def deeper():
    return current_call()

def create(request):
    """One that takes no call finds it all the same, and the same one each time."""
    deeper().user = request.user
    gevent.sleep(0.01)
    return {'user': deeper().user, 'target': deeper().target, 'id': deeper().id}

def read(request, call):
    call.user = request.user
    gevent.sleep(0.01)
    try:
        gevent.spawn(deeper).get()
    except LookupError as error:
        return {'user': deeper().user, 'in_another_greenlet': str(error)}

def update(request):
    return {'has_user': hasattr(deeper(), 'user')}

def delete(request):
    seen.append(current_call())
    return {'all': len(set(map(id, seen)))}
'''
COUNTS = '''
def optional(request, limit=10):
    return {'limit': limit}

read = optional

def create(request, call=None):
    return {'has_call': call is not None}

class Update:
    def __call__(self, request, call):
        return {'path': call.path}

update = Update()

def logged(handler):
    from functools import wraps
    @wraps(handler)
    def wrapper(*arguments, **named):
        return handler(*arguments, **named)
    return wrapper

@logged
def delete(request, call):
    return {'wrapped': call.action}
'''
NARROW = '''
from functools import partial, wraps

def narrow(handler):
    @wraps(handler)
    def wrapper(request):
        return handler(request, 'not the call')
    return wrapper

@narrow
def read(request, call):
    return {'call': call}

create = partial(lambda more, request, call: {'more': more, 'action': call.action}, 1)
update = lambda *arguments: {'count': len(arguments)}
delete = dict
'''


@pytest.fixture(scope='module')
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    targets = {'who': WHO, 'answer': ANSWER, 'deep': DEEP, 'counts': COUNTS, 'narrow': NARROW}
    folder = tmp_path_factory.mktemp('call')
    return write_tree(folder, {f'shop/api/v0/{name}.py': text for name, text in targets.items()}) / 'shop'


@pytest.fixture(scope='module', params=SERVERS)
def server(request: pytest.FixtureRequest, product: Path) -> Iterator[Server]:
    with SERVERS[request.param](product) as running:
        yield running


def ask(server: Server, path: str, body: Any = None, **headers: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers as they came, and body."""
    connection = HTTPConnection(server.host, server.port, timeout=DEADLINE)
    try:
        named = {name.replace('_', '-'): value for name, value in headers.items()}
        connection.request('POST', f'/api/v0/{path}', json.dumps(body or {}).encode(), named)
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


def content(server: Server, path: str, body: Any = None, **headers: str) -> Any:
    status, _, text = ask(server, path, body, **headers)
    assert status == 200, (text, server.text)
    return json.loads(text)


def values(headers: list[tuple[str, str]], wanted: str) -> list[str]:
    return [value for name, value in headers if name.lower() == wanted.lower()]


def test_who_calls(server: Server) -> None:
    found = content(server, 'who/create', {'a': 1})
    identity = found.pop('id')
    assert len(identity) >= 16
    assert found == {
        'client': '127.0.0.1', 'method': 'POST', 'path': '/api/v0/who/create', 'version': 'v0', 'target': 'who',
        'action': 'create', 'same': True, 'request': {'a': 1}, 'again': True}
    assert content(server, 'who/create')['id'] != identity


def test_headers_and_cookies(server: Server) -> None:
    cookie = 'a=1; b="x\\073 y"; bad name; =nothing; a=2; c=d=e; t="open'
    found = content(server, 'who/read', User_Agent='me', X_Twice='1, 2', Cookie=cookie)
    assert found['agent'] == 'me'
    assert found['missing'] is None
    assert found['is_there'] is True
    assert found['twice'] == '1, 2'
    assert found['names'] == [
        'accept-encoding', 'content-length', 'cookie', 'host', 'user-agent', 'x-twice']
    assert found['cookies'] == {'a': '1', 'b': 'x; y', 'c': 'd=e', 't': '"open'}


def test_raw_handlers(server: Server) -> None:
    status, headers, body = ask(server, 'who/update')
    assert (status, json.loads(body)) == (202, {'method': 'POST', 'same': True})
    assert values(headers, 'X-Who') == ['127.0.0.1']
    status, headers, body = ask(server, 'who/delete', {'text': 'raw'})
    assert (status, body, values(headers, 'X-Who')) == (203, b'raw', ['who'])
    assert values(headers, 'Set-Cookie') == ['raw=yes; HttpOnly; Path=/; SameSite=Lax']


def test_answer(server: Server) -> None:
    status, headers, body = ask(server, 'answer/create', {'status': 201})
    assert (status, json.loads(body)) == (201, {'body': 1})
    assert values(headers, 'Location') == ['/api/v0/answer/8']
    assert values(headers, 'Retry-After') == ['5']
    assert values(headers, 'Content-Length') == [str(len(body))]
    assert values(headers, 'Set-Cookie') == [
        'token="a b\\073c=\\"d\\""; HttpOnly; Max-Age=60; Path=/; SameSite=Lax',
        'plain=x; Path=/; SameSite=Strict; Secure']


def test_answer_without_body(server: Server) -> None:
    status, headers, body = ask(server, 'answer/create', {'status': 204})
    assert (status, body, values(headers, 'Location')) == (204, b'', ['/api/v0/answer/8'])
    assert values(headers, 'Content-Type') == []


def test_error_has_headers_too(server: Server) -> None:
    status, headers, body = ask(server, 'answer/create', {'status': 201, 'error': True})
    assert (status, json.loads(body)) == (401, {'error': '401 Unauthorized'})
    assert values(headers, 'Location') == ['/api/v0/answer/8']


@pytest.mark.parametrize('request_', [{}, {'text': 1}], ids=['failed', 'no JSON'])
def test_failure_has_none(server: Server, request_: Any) -> None:
    """What a handler began to say is not half said."""
    status, headers, body = ask(server, 'answer/update', request_)
    assert (status, json.loads(body)) == (500, FAILED)
    assert values(headers, 'X-Half') == values(headers, 'Set-Cookie') == []


def test_content_type_is_the_handlers(server: Server) -> None:
    _, headers, body = ask(server, 'answer/delete')
    assert values(headers, 'Content-Type') == ['application/problem+json']
    assert json.loads(body) == {'content-type': 'application/problem+json'}


BAD = [
    ({'header': 'X-A', 'value': 'a\r\nSet-Cookie: b=c'}, 'cannot be the value of a header'),
    ({'header': 'X-A', 'value': 'a\nb'}, 'cannot be the value of a header'),
    ({'header': 'X-A', 'value': '\0'}, 'cannot be the value of a header'),
    ({'header': 'X-A', 'value': '\u20ac'}, 'cannot be the value of a header'),
    ({'header': 'X-A', 'value': ['a']}, 'cannot be the value of a header'),
    ({'header': 'X-A', 'value': True}, 'cannot be the value of a header'),
    ({'header': 'X A', 'value': 'a'}, "'X A' cannot be the name of a header"),
    ({'header': 'X-A\r\nX-B: c', 'value': 'a'}, 'cannot be the name of a header'),
    ({'header': '', 'value': 'a'}, 'cannot be the name of a header'),
    ({'header': 'Content-Length', 'value': '1'}, "'Content-Length' is the server's own"),
    ({'header': 'transfer-encoding', 'value': 'x'}, "'transfer-encoding' is the server's own"),
    ({'header': 'Connection', 'value': 'close'}, "'Connection' is the server's own"),
    ({'header': 'Set-Cookie', 'value': 'a=b'}, 'set_cookie'),
    ({'cookie': 'a;b', 'value': 'c'}, "'a;b' cannot be the name of a cookie"),
    ({'cookie': '', 'value': 'c'}, 'cannot be the name of a cookie'),
    ({'cookie': 'a', 'value': 'c\r\nX-B: d'}, 'cannot be the value of a cookie'),
    ({'cookie': 'a', 'value': '\xe9'}, 'cannot be the value of a cookie'),
    ({'cookie': 'a', 'value': 1}, 'cannot be the value of a cookie'),
    ({'cookie': 'a', 'value': 'x' * 5000}, 'browsers'),
    ({'cookie': 'a', 'value': 'b', 'options': {'same_site': 'lax; Secure'}}, 'same_site'),
    ({'cookie': 'a', 'value': 'b', 'options': {'same_site': 'None', 'secure': False}}, 'same_site'),
    ({'cookie': 'a', 'value': 'b', 'options': {'max_age': '1; Secure'}}, 'max_age'),
    ({'cookie': 'a', 'value': 'b', 'options': {'path': '/; Secure'}}, 'path'),
    ({'status': 99}, '99 is no status'), ({'status': 600}, '600 is no status'), ({'status': 101}, '101 is no status'),
    ({'status': '200'}, "'200' is no status"), ({'status': True}, 'True is no status'),
    ({'status': 200.0}, '200.0 is no status'),
]


@pytest.mark.parametrize(('request_', 'said'), BAD, ids=str)
def test_what_cannot_be_sent(server: Server, request_: Mapping[str, Any], said: str) -> None:
    """A 500, the handler's line in the log, and nothing of it in the answer."""
    since = len(server.lines)
    status, headers, body = ask(server, 'answer/read', request_)
    assert (status, json.loads(body)) == (500, FAILED)
    assert {name.lower() for name, _ in headers} <= {'content-type', 'content-length', 'date', 'server', 'connection'}
    server.wait_for_line(said, since)
    assert any('answer.py", line' in line for line in server.lines[since:])


def test_current_call(server: Server) -> None:
    found = content(server, 'deep/create', {'user': 'ann'})
    assert (found['user'], found['target']) == ('ann', 'deep')
    found = content(server, 'deep/read', {'user': 'bob'})
    assert found['user'] == 'bob'
    assert 'a greenlet that a handler starts has none' in found['in_another_greenlet']
    assert content(server, 'deep/update') == {'has_user': False}
    assert [content(server, 'deep/delete')['all'] for _ in range(3)] == [1, 2, 3]


def test_numbers_of_parameters(server: Server) -> None:
    """A second one is the call if it has to be given, or is called so."""
    assert content(server, 'counts/read') == {'limit': 10}
    assert content(server, 'counts/create') == {'has_call': True}
    assert content(server, 'counts/update') == {'path': '/api/v0/counts/update'}
    assert content(server, 'counts/delete') == {'wrapped': 'delete'}
    assert content(server, 'narrow/read') == {'call': 'not the call'}
    assert content(server, 'narrow/create') == {'more': 1, 'action': 'create'}
    assert content(server, 'narrow/update') == {'count': 1}
    assert content(server, 'narrow/delete', {'a': 1}) == {'a': 1}


@pytest.mark.parametrize(('trusted', 'client', 'is_same'), [
    ('127.0.0.1', '9.9.9.9', True), ('10.0.0.1', '127.0.0.1', False)])
def test_behind_a_proxy(product: Path, trusted: str, client: str, is_same: bool) -> None:
    with production(product, '--forwarded-allow-ips', trusted) as server:
        found = content(server, 'who/create', X_Forwarded_For='1.1.1.1, 9.9.9.9', X_Request_Id='abc-1')
        assert (found['client'], found['id'] == 'abc-1') == (client, is_same)
        for bad in ('a b', 'x' * 300, '', 'a\x9bb', '"a"'):
            assert content(server, 'who/create', X_Forwarded_For='9.9.9.9', X_Request_Id=bad)['id'] != bad
        cookie = values(ask(server, 'who/delete', {'text': ''}, X_Forwarded_Proto='https')[1], 'Set-Cookie')
        assert cookie == ['raw=yes; HttpOnly; Path=/; SameSite=Lax' + ('; Secure' if is_same else '')]


def test_nothing_is_kept(product: Path) -> None:
    """Of one call for the next on the same connection."""
    with production(product) as server:
        connection = HTTPConnection(server.host, server.port, timeout=DEADLINE)
        for _ in range(3):
            connection.request('POST', '/api/v0/answer/create', b'{"status": 201}')
            response = connection.getresponse()
            assert (response.status, response.read()) == (201, b'{"body":1}')
            connection.request('POST', '/api/v0/counts/read', b'{}')
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b'{"limit":10}')
            assert response.getheader('Location') is None
        connection.close()
