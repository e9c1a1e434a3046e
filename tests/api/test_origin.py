"""A web page of another origin may not call, in dev, in production and under other servers; programs may."""
from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from apiphant.api.origin import MOST, foreign
from tests.kit.processes import Serving
from tests.kit.running import DEADLINE, SERVERS, Server, dev, production, write_tree
from tests.kit.wire import Wire

FORBIDDEN = {'error': '403 Forbidden'}
COUNTER = '''
from apiphant.server import raw_environ, raw_response

count = 0

def create(request):
    global count
    count += 1
    return {'count': count}

def read(request):
    return {'count': count}

@raw_environ
def update(environ):
    return {'origin': environ.get('HTTP_ORIGIN')}

@raw_response
def delete(request, start_response):
    start_response('200 OK', [])
    return [b'{"raw": true}']
'''
OWN = [  # Origin, Host, whether HTTPS is known to be spoken
    ('http://localhost:8888', 'localhost:8888', False), ('https://example.com', 'example.com', True),
    ('http://LocalHost:8888', 'LOCALHOST:8888', False), ('http://[::1]:8888', '[::1]:8888', False),
    ('http://[::1]', '[0:0:0:0:0:0:0:1]:80', False), ('http://[FE80::A]', '[fe80::a]', False),
    ('http://example.com', 'example.com:80', False), ('http://example.com:80', 'example.com', False),
    ('https://example.com', 'example.com:443', True), ('https://example.com:443', 'example.com', True),
    ('https://example.com', 'example.com:443', False), ('https://example.com', 'example.com', False),
    ('https://example.com:8443', 'example.com:8443', False), ('http://example.com.', 'example.com', False),
    ('http://example.com', 'example.com.:80', False), ('http://example.com:', 'example.com', False),
]
FOREIGN = [
    ('http://evil.example', 'localhost:8888', False), ('http://localhost:8889', 'localhost:8888', False),
    ('http://localhost', 'localhost:8888', False), ('http://127.0.0.1:8888', 'localhost:8888', False),
    ('http://example.com', 'example.com', True), ('http://example.com:443', 'example.com:443', True),
    ('https://example.com', 'example.com:80', False), ('http://a.example.com', 'example.com', False),
    ('http://example.com.evil.example', 'example.com', False),
    ('http://example.com@evil.example', 'example.com', False),
    ('http://evil.example#example.com', 'example.com', False), ('http://example.com/', 'example.com', False),
    ('http://[::1]', '[::2]', False), ('http://[:::]', '[::]', False),
    ('null', 'null', False), ('', '', False), ('', 'localhost', False),
    ('http://', '', False), ('http://localhost', '', False),
    ('localhost', 'localhost', False), ('//localhost', 'localhost', False), ('*', 'localhost', False),
    ('file://', 'localhost', False), ('ws://localhost', 'localhost', False),
    ('chrome-extension://localhost', 'localhost', False),
    ('http://localhost,http://localhost', 'localhost', False),
    ('http://localhost http://localhost', 'localhost', False),
    ('http://localhost:' + '8' * 8000, 'localhost:' + '8' * 8000, False),
    ('http://localhost:٨٨', 'localhost:88', False),
    ('http://\xe9.example', '\xe9.example', False), ('http://localhost\n', 'localhost', False), ('\0', '\0', False),
]


@pytest.mark.parametrize(('origin', 'host', 'is_https'), OWN)
def test_own(origin: str, host: str, is_https: bool) -> None:
    assert foreign(origin, host, is_https) == ''


@pytest.mark.parametrize(('origin', 'host', 'is_https'), FOREIGN, ids=ascii)
def test_foreign(origin: str, host: str, is_https: bool) -> None:
    why = foreign(origin, host, is_https)
    assert why.isprintable()
    assert 0 < len(why) < 300


@pytest.fixture(scope='module')
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp('origin'), {'shop/api/v0/counter.py': COUNTER}) / 'shop'


@pytest.fixture(scope='module', params=SERVERS)
def server(request: pytest.FixtureRequest, product: Path) -> Iterator[Server]:
    with SERVERS[request.param](product) as running:
        yield running


def call(server: Server, action: str, *headers: tuple[str, str], method: str = 'POST') -> tuple[int, str]:
    """Status and body of a call with these headers as they are."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE)
    try:
        connection.putrequest(method, f'/api/v0/counter/{action}', skip_host=any(name == 'Host' for name, _ in headers))
        for header in (*headers, ('Content-Type', 'text/plain'), ('Content-Length', '2')):
            connection.putheader(*header)
        connection.endheaders(b'{}')
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def count(server: Server) -> int:
    return json.loads(call(server, 'read')[1])['count']


def origin_of(server: Server, **changed: object) -> tuple[str, str]:
    return 'Origin', 'http://{host}:{port}'.format(**{'host': server.host, 'port': server.port, **changed})


@pytest.mark.parametrize('headers', [
    [('Origin', 'http://evil.example')], [('Origin', 'null')], [('Origin', '')],
    [('origin', 'x' * 8192)], [('ORIGIN', '\xff')],
    [('Origin', 'http://localhost'), ('Origin', 'http://localhost'), ('Host', 'localhost')]], ids=str)
def test_page_of_others_is_refused(server: Server, headers: list[tuple[str, str]]) -> None:
    before = count(server)
    status, body = call(server, 'create', *headers)
    assert (status, json.loads(body)) == (403, FORBIDDEN)
    assert count(server) == before


def test_another_port_is_another_origin(server: Server) -> None:
    page = origin_of(server, host='10.1.2.3', port=server.port)
    assert call(server, 'create', page, ('Host', '10.1.2.3:1'))[0] == 403


def test_own_page_is_answered(server: Server) -> None:
    before = count(server)
    assert call(server, 'create', origin_of(server)) == (200, json.dumps({'count': before + 1}, separators=(',', ':')))
    assert call(server, 'create', ('Host', 'Shop.LocalHost'), ('Origin', 'https://shop.localhost'))[0] == 200
    assert call(server, 'create', ('Host', '[::1]:8888'), ('Origin', 'http://[::1]:8888'))[0] == 200


def test_programs_notice_nothing(server: Server) -> None:
    assert call(server, 'create')[0] == 200


def test_raw_handlers_decide(server: Server) -> None:
    assert call(server, 'update', ('Origin', 'http://evil.example')) == (200, '{"origin":"http://evil.example"}')
    assert call(server, 'delete', ('Origin', 'http://evil.example')) == (200, '{"raw": true}')


def test_preflight_and_others_are_as_they_were(server: Server) -> None:
    page = ('Origin', 'http://evil.example')
    assert call(server, 'create', page, ('Access-Control-Request-Method', 'POST'), method='OPTIONS')[0] == 501
    assert call(server, 'create', page, method='GET')[0] == 501
    assert call(server, 'missing', page)[0] == 404


def test_connection_is_kept(server: Server) -> None:
    """A page that is refused does not cost others, behind a proxy, their connection."""
    head = f'POST /api/v0/counter/read HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nContent-Length: 2\r\n'
    with Wire(server) as wire:
        wire.send(f'{head}Origin: http://evil.example\r\n\r\n{{}}'.encode())
        assert wire.answer().status == 'HTTP/1.1 403 Forbidden'
        wire.send(f'{head}\r\n{{}}'.encode())
        assert wire.answer().status == 'HTTP/1.1 200 OK'


@pytest.mark.parametrize('serve', [dev, production], ids=['dev', 'production'])
def test_said_and_no_flood(product: Path, serve: object) -> None:
    pattern = r"WARNING.* Refused POST /api/v0/counter/create with 403: .* 'http://evil.example' .* asked as '127"
    with serve(product) as server:  # type: ignore[operator]
        for _ in range(5):
            call(server, 'create', ('Origin', 'http://evil.example'))
        server.wait_for_line(pattern)
        for number in range(3 * MOST):
            call(server, 'create', ('Origin', f'http://evil{number}.example\x1b[2J'.replace('\x1b', '\x9b')))
        assert server.end() == 0
    said = [line for line in server.lines if 'Refused' in line]
    assert len(said) == MOST
    assert len([line for line in said if "'http://evil.example'" in line]) == 1
    assert all(line.isprintable() for line in said)


@pytest.mark.parametrize(('trusted', 'status'), [('127.0.0.1', 403), ('10.0.0.1', 200)])
def test_scheme_that_a_proxy_says(product: Path, trusted: str, status: int) -> None:
    """A page that came by HTTP is none of a site that is known to be asked by HTTPS."""
    forwarded = (('Host', 'example.com'), ('X-Forwarded-Proto', 'https'))
    with production(product, '--forwarded-allow-ips', trusted) as server:
        assert call(server, 'create', ('Origin', 'http://example.com'), *forwarded)[0] == status
        assert call(server, 'create', ('Origin', 'https://example.com'), *forwarded)[0] == 200


def test_under_tls(product: Path, tmp_path: Path) -> None:
    key, certificate = str(tmp_path / 'key.pem'), str(tmp_path / 'cert.pem')
    command = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost']
    subprocess.run([*command, '-keyout', key, '-out', certificate], check=True, capture_output=True)
    with Serving(product, '127.0.0.1:0', '--certfile', certificate, '--keyfile', key) as server:
        assert secure_status(server.place, server.place) == 200
        assert secure_status(server.place, server.place.replace('https', 'http')) == 403


def secure_status(place: str, origin: str) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(place.removeprefix('https://'), timeout=DEADLINE, context=context)
    try:
        connection.request('POST', '/api/v0/counter/read', b'{}', {'Origin': origin})
        return connection.getresponse().status
    finally:
        connection.close()
