"""What a caller is told of a body that is no JSON object, and of a URL that is no action: in dev, more."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apiphant.api.bad_json import explained
from apiphant.dev.app.meant import meant
from tests.kit.running import Server, dev, production, write_tree

ERROR = 'Request content should be JSON Object'
BODIES = [
    (b'{"hello": }', 'line 1, column 11: expecting value'),
    (b'{\n "a": nope}', 'line 2, column 7: expecting value'),
    ('{"ä": "ö" 1}'.encode(), "line 1, column 11: expecting ',' delimiter"),
    (b'{"a": 1', "line 1, column 8: expecting ',' delimiter"),
    (b"{'a': 1}", 'line 1, column 2: expecting property name enclosed in double quotes'),
    (b'{"a":\n\n"\xff"}', 'line 3, column 2: not in UTF-8'),
    ('{"a": 1}'.encode('utf-16'), 'line 1, column 1: not in UTF-8'),
    (b'a=1&b=2', 'line 1, column 1: expecting value'),
    (b'{} {}', 'line 1, column 4: extra data'),
    (b' ', 'line 1, column 2: expecting value'),
    (b'\xef\xbb\xbf{}', 'line 1, column 1: '),
    (b'[1]', 'an array, not an object'), (b'"a"', 'a text, not an object'), (b'1', 'a number, not an object'),
    (b'true', 'true or false, not an object'), (b'null', 'null, not an object'),
    (b'{"a": NaN}', 'NaN is no JSON'), (b'{"a": -Infinity}', '-Infinity is no JSON'),
    (b'{"a": 1e400}', 'number out of range'), (b'{"a":' + b'9' * 5000 + b'}', 'integer value out of range'),
    (b'{"a":' + b'[' * 200_000, 'nested too deep'),
    (b'{"a": "\\ud800"}', 'a lone surrogate'),
]
ECHO = '''
from apiphant.server import raw_response

def read(request):
    return request

@raw_response
def create(request, start_response):
    start_response('200 OK', [])
    return []
'''
ROUTES = ['/api/v0/echo/read', '/api/v0/shop/items/create', '/api/v0/shop/items/read', '/api/v1/echo/read']


@pytest.mark.parametrize(('body', 'said'), BODIES, ids=ascii)
def test_where_it_broke(body: bytes, said: str) -> None:
    assert said in explained(body)
    assert len(explained(body)) < 200


@pytest.fixture(scope='module')
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp('explain'), {'shop/api/v0/echo.py': ECHO}) / 'shop'


@pytest.fixture(scope='module')
def served(product: Path) -> Iterator[Server]:
    with dev(product) as server:
        yield server


@pytest.mark.parametrize('action', ['read', 'create'])
def test_in_dev(served: Server, action: str) -> None:
    said = {'error': ERROR, 'explain': 'line 1, column 11: expecting value'}
    assert served.post(f'/api/v0/echo/{action}', b'{"hello": }') == (400, said)


def test_in_production(product: Path) -> None:
    with production(product) as server:
        assert server.post('/api/v0/echo/read', b'{"hello": }') == (400, {'error': ERROR})
        assert server.post('/api/v0/echo/create', b'[]') == (400, {'error': ERROR})


@pytest.mark.parametrize(('method', 'path', 'said'), [
    ('POST', '/api/v0/ecko/read', '/api/v0/echo/read'), ('POST', '/api/v0/Echo/read', '/api/v0/echo/read'),
    ('POST', '/v0/echo/read', '/api/v0/echo/read'), ('POST', '/api/v0/echo/read/', '/api/v0/echo/read'),
    ('POST', '/api/v0/echo/raed', '/api/v0/echo/read'), ('POST', '/api/v0/echo', '/api/v0/echo/read'),
    ('POST', '/api/v2/echo/read', '/api/v1/echo/read'), ('POST', '/api/v0/items/create', '/api/v0/shop/items/create'),
    ('GET', '/api/v0/echo/read', 'POST'), ('POST', '/favicon.ico', ''),
    ('POST', '/', ''), ('POST', '/api/v0/zzz/qqq', ''),
    ('POST', 'x' * 100_000, ''), ('GET', '/api/v0/ecko/read', '/api/v0/echo/read'),
])
def test_meant(method: str, path: str, said: str) -> None:
    status = 501 if path in ROUTES else 404
    assert meant(ROUTES, method, path, status) == said


def test_meant_of_many_routes() -> None:
    """It takes no longer than a call may."""
    routes = [f'/api/v0/target{number}/read' for number in range(20_000)]
    assert meant(routes, 'POST', '/api/v0/target77/raed', 404) == '/api/v0/target77/read'


def test_logged(served: Server) -> None:
    """However many other calls there are."""
    for _ in range(5):
        served.post('/api/v0/echo/read', {})
    assert served.post('/api/v0/ecko/read', {}) == (404, {'error': '404 Not Found'})
    served.wait_for_line(r'POST /api/v0/ecko/read 404 .* perhaps /api/v0/echo/read')
    assert served.post('/api/v0/echo/read', {}, 'PUT') == (501, {'error': '501 Not Implemented'})
    served.wait_for_line(r'PUT /api/v0/echo/read 501 .* perhaps POST')
    assert served.post('/nothing', {})[0] == 404
    assert served.wait_for_line(r'POST /nothing 404 [\d.]+ ms(.*)')[1] == ''
