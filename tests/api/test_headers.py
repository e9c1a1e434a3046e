"""What goes out with a body."""
import pytest

from apiphant.api.actions import Action
from apiphant.api.answer import MAX_BODY, headers_of, reply

PATH = '/api/v0/x/read'
JSON = ('Content-Type', 'application/json')


@pytest.mark.parametrize(('status', 'body', 'expected'), [
    (200, b'{}', [JSON, ('Content-Length', '2')]),
    (404, b'{"a":"\xc3\xb6"}', [JSON, ('Content-Length', '10')]),
    (501, b'{}', [JSON, ('Content-Length', '2'), ('Allow', 'POST')]),
    (204, b'', []),
    (205, b'', [('Content-Length', '0')]),
    (304, b'', []),
])
def test_headers(status, body, expected):
    assert headers_of(status, body) == expected


def test_status_and_bytes():
    assert reply(Action(lambda request: {'n': request.n}), 'POST', PATH, b'{"n": 1}') == (200, b'{"n":1}')
    assert reply(None, 'POST', PATH, b'') == (404, b'{"error":"404 Not Found"}')


def test_a_megabyte():
    assert MAX_BODY == 2 ** 20
