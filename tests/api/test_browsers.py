"""Pages of allowed origins, and in dev the name that the server is asked as; in dev, production and elsewhere."""
from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.kit.running import (
    DEADLINE,
    SERVERS,
    Program,
    Server,
    clean_environment,
    dev,
    production,
    pywsgi,
    run_cli,
    write_tree,
)
from tests.kit.wire import Wire

PAGE = 'https://app.example.com'
LIST = f'{PAGE}, http://Other.example:3000'
HANDLERS = '''
from apiphant.server import raw_environ
runs = []

def read(request):
    runs.append(1)
    return {'runs': len(runs)}

def create(request, call):
    call.status = 201
    call.answer_headers['Vary'] = 'Accept'
    call.set_cookie('token', 'x')
    return {}

@raw_environ
def update(environ):
    return {'method': environ['REQUEST_METHOD']}

def delete(request):
    return 1 / 0
'''
GUARD = '''
from apiphant.validation import ApiError

def around(call, proceed):
    raise ApiError(401)
'''


def under_pywsgi(product: Path, *words: str) -> Server:
    return pywsgi(product, env=clean_environment(APIPHANT_ALLOW_ORIGIN=words[1]) if words else clean_environment())


START = {**SERVERS, 'pywsgi': under_pywsgi}


@pytest.fixture(scope='module')
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {'x.py': HANDLERS, 'guarded/__init__.py': GUARD, 'guarded/x.py': HANDLERS}
    folder = tmp_path_factory.mktemp('browsers')
    return write_tree(folder, {f'shop/api/v0/{name}': text for name, text in files.items()}) / 'shop'


@pytest.fixture(scope='module', params=START)
def server(request: pytest.FixtureRequest, product: Path) -> Iterator[Server]:
    with START[request.param](product, '--allow-origin', LIST) as running:
        yield running


@pytest.fixture(scope='module')
def dev_server(product: Path) -> Iterator[Server]:
    with dev(product, '--allow-host', 'app, My.Example') as running:
        yield running


def ask(server: Server, path: str, method: str = 'POST', **headers: str) -> tuple[int, Any, bytes]:
    """A header whose name ends with an underscore is said twice."""
    connection = HTTPConnection(server.host, server.port, timeout=DEADLINE)
    try:
        connection.putrequest(method, f'/api/v0/{path}', skip_host='Host' in headers)
        for name, value in headers.items():
            connection.putheader(name.replace('_', '-'), value)
        connection.putheader('Content-Length', '2')
        connection.endheaders(b'{}')
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def cors(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith('access-control-')}


def allowed(origin: str) -> dict[str, str]:
    return {'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true'}


@pytest.mark.parametrize('origin', [PAGE, 'http://other.example:3000'])
@pytest.mark.parametrize(('path', 'status'), [
    ('x/read', 200), ('x/delete', 500), ('x/nothing', 404), ('guarded/x/read', 401)])
def test_allowed_page(server: Server, origin: str, path: str, status: int) -> None:
    """Its browser shows it errors, too."""
    found, headers, _ = ask(server, path, Origin=origin)
    assert found == status
    assert cors(headers) == allowed(origin)
    assert headers.get_all('Vary') == ['Origin']


def test_with_headers_of_the_handler(server: Server) -> None:
    status, headers, _ = ask(server, 'x/create', Origin=PAGE)
    assert (status, cors(headers)) == (201, allowed(PAGE))
    assert ', '.join(headers.get_all('Vary')) == 'Accept, Origin'
    assert headers['Set-Cookie'].startswith('token=x')


@pytest.mark.parametrize('origin', [
    'null', 'https://app.example.com.evil.example', 'http://app.example.com', 'https://app.example.com:444',
    'https://evil.example', 'https://app.example.com@evil.example', 'https://' + 'a' * 8192, f'{PAGE},{PAGE}', '*', ''])
def test_third_page(server: Server, origin: str) -> None:
    before = json.loads(ask(server, 'x/read')[2])['runs']
    status, headers, body = ask(server, 'x/read', Origin=origin)
    assert (status, json.loads(body), cors(headers)) == (403, {'error': '403 Forbidden'}, {})
    preflight = ask(server, 'x/read', 'OPTIONS', Origin=origin, Access_Control_Request_Method='POST')
    assert (preflight[0], cors(preflight[1])) == (501, {})
    assert json.loads(ask(server, 'x/read')[2])['runs'] == before + 1


def test_preflight(server: Server) -> None:
    status, headers, body = ask(
        server, 'guarded/x/read', 'OPTIONS', Origin=PAGE, Access_Control_Request_Method='POST',
        Access_Control_Request_Headers='content-type, x-key')
    assert (status, body) == (204, b'')
    assert cors(headers) == allowed(PAGE) | {
        'access-control-allow-methods': 'POST', 'access-control-allow-headers': 'content-type, x-key',
        'access-control-max-age': '600'}
    assert headers.get_all('Vary') == ['Origin']


@pytest.mark.parametrize('wanted', ['a b', 'x' * 5000, 'a\x9b', ','])
def test_preflight_for_odd_headers(server: Server, wanted: str) -> None:
    status, headers, _ = ask(
        server, 'x/read', 'OPTIONS', Origin=PAGE, Access_Control_Request_Method='POST',
        Access_Control_Request_Headers=wanted)
    assert status == 204
    assert 'access-control-allow-headers' not in cors(headers)


def test_what_is_no_preflight(server: Server) -> None:
    assert ask(server, 'x/read', 'OPTIONS', Origin=PAGE)[0] == 501
    assert ask(server, 'x/nothing', 'OPTIONS', Origin=PAGE, Access_Control_Request_Method='POST')[0] == 404
    assert ask(server, 'x/read', 'OPTIONS')[0] == 501
    assert ask(server, 'x/read', 'GET', Origin=PAGE, Access_Control_Request_Method='POST')[0] == 501


def test_raw_handlers_decide(server: Server) -> None:
    for origin in (PAGE, 'https://evil.example'):
        status, headers, body = ask(server, 'x/update', 'OPTIONS', Origin=origin, Access_Control_Request_Method='POST')
        assert (status, body, cors(headers)) == (200, b'{"method":"OPTIONS"}', {})


def test_own_page_and_programs(server: Server) -> None:
    status, headers, _ = ask(server, 'x/read', Origin=f'http://{server.host}:{server.port}')
    assert (status, cors(headers), headers['Vary']) == (200, {}, None)
    status, headers, _ = ask(server, 'x/read')
    assert (status, cors(headers), headers['Vary']) == (200, {}, None)


def test_connection_is_kept(server: Server) -> None:
    connection = HTTPConnection(server.host, server.port, timeout=DEADLINE)
    for method, status in (('OPTIONS', 204), ('POST', 200), ('OPTIONS', 204), ('POST', 200)):
        headers = {'Origin': PAGE, 'Access-Control-Request-Method': 'POST'}
        connection.request(method, '/api/v0/x/read', b'{}', headers)
        response = connection.getresponse()
        assert (response.status, response.getheader('Access-Control-Allow-Origin')) == (status, PAGE)
        response.read()
    connection.close()


def test_any_origin(product: Path) -> None:
    """Without cookies: browsers do not show answers to pages that send some."""
    with production(product, '--allow-origin', '*') as server:
        for origin in ('https://evil.example', 'null'):
            status, headers, _ = ask(server, 'x/read', Origin=origin)
            assert (status, cors(headers)) == (200, {'access-control-allow-origin': '*'})


@pytest.mark.parametrize('origins', [
    'example.com', 'https://', 'https://a/b', 'ftp://a', 'https://a b', 'null', '*,https://a', 'https://*.a'])
@pytest.mark.parametrize('command', [[], ['dev']])
def test_list_that_is_none(product: Path, origins: str, command: list[str]) -> None:
    done = run_cli(*command, str(product), '--allow-origin', origins)
    assert done.returncode == 2
    assert 'is no origin: it should be like https://example.com' in done.stderr


# In dev

@pytest.mark.parametrize('origin', [
    'http://localhost:3000', 'http://127.0.0.1:5173', 'https://localhost', 'http://[::1]:3000', 'http://a.localhost:1'])
def test_pages_of_this_machine(dev_server: Server, origin: str) -> None:
    status, headers, _ = ask(dev_server, 'x/read', Origin=origin)
    assert (status, cors(headers)) == (200, allowed(origin))
    assert ask(dev_server, 'x/read', Origin='http://localhost.evil.example')[0] == 403


def test_pages_of_the_machine_in_production(product: Path) -> None:
    with production(product) as server:
        assert ask(server, 'x/read', Origin='http://localhost:3000')[0] == 403


@pytest.mark.parametrize('host', [
    'localhost', 'LocalHost:8888', 'localhost.', 'shop.localhost:80', '127.0.0.1', '10.1.2.3:80',
    '[::1]:8888', '[fe80::1]',
    'app', 'APP:9', 'my.example:1'])
def test_names_that_are_answered(dev_server: Server, host: str) -> None:
    assert ask(dev_server, 'x/read', Host=host)[0] == 200


@pytest.mark.parametrize('host', [
    'evil.example', 'evil.example:8888', 'localhost.evil.example', '127.0.0.1.evil.example', 'x',
    'other.my.example', '1.2.3',
    'a' * 3000])
def test_names_of_others(dev_server: Server, host: str) -> None:
    """Its owner may let it lead here, and his page would be the server's own."""
    since = len(dev_server.lines)
    for path, method in (('x/read', 'POST'), ('x/update', 'GET'), ('nothing/read', 'POST')):
        status, headers, body = ask(dev_server, path, method, Host=host, Origin=f'http://{host}')
        assert (status, json.loads(body), cors(headers)) == (403, {'error': '403 Forbidden'}, {})
    if host == 'evil.example':
        dev_server.wait_for_line(r"Refused .* 'evil.example', .*--allow-host evil\.example", since)


def test_without_a_name(dev_server: Server) -> None:
    """As programs may that are older than names of hosts."""
    answer = dev_server.exchange(b'POST /api/v0/x/read HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}')
    assert answer.startswith(b'HTTP/1.1 200 ')


def test_half_a_body_under_another_name(dev_server: Server) -> None:
    """What is left of it is not taken for a call."""
    head = b'POST /api/v0/x/update HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100\r\n\r\n'
    with Wire(dev_server, head) as wire:
        answer = wire.answer()
        assert (answer.status, answer.headers['Connection']) == ('HTTP/1.1 403 Forbidden', 'close')
        wire.send(b'POST /api/v0/x/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n')
        assert wire.rest() == b''


def test_unix_socket_in_dev(product: Path, tmp_path: Path) -> None:
    """No browser gets there, whatever name a program says."""
    place = f'unix:{tmp_path}/socket'
    with Program('-m', 'apiphant.cli', 'dev', str(product), place, '--no-console') as program:
        program.wait_for_line('Serving')
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f'{tmp_path}/socket')
            client.sendall(b'POST /api/v0/x/read HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
            assert client.recv(100).startswith(b'HTTP/1.1 200 ')


def test_any_name_in_production(product: Path) -> None:
    with production(product) as server:
        assert ask(server, 'x/read', Host='shop.example')[0] == 200


@pytest.mark.parametrize('hosts', ['http://a', 'a b', 'a,', '*', 'a/b'])
def test_hosts_that_are_none(product: Path, hosts: str) -> None:
    done = run_cli('dev', str(product), '--allow-host', hosts)
    assert done.returncode == 2
    assert 'is no name of a host' in done.stderr
