"""The core: a call in, a status and an object out."""
import logging
import sys

import pytest
from gevent import GreenletExit, Timeout

from apiphant.api.actions import Action
from apiphant.api.answer import MAX_BODY, answer, encode, headers_of, parse
from apiphant.api.origin import Page
from apiphant.validation import ApiError, BadRequest, Invalid

PATH = '/api/v0/x/read'
FAILED = (500, {'error': '500 Internal Server Error'})


def call(handler, body=b'', method='POST', path=PATH):
    return answer({PATH: Action(handler)}.get(path), method, path, body)


def send(handler):
    """Status and bytes, as the server would send them."""
    return encode(PATH, *call(handler))


def test_object_in_and_out():
    assert call(lambda request: {'got': request.a.b}, b'{"a": {"b": 1}}') == (200, {'got': 1})
    assert call(lambda request: request, b'') == (200, {})
    assert call(lambda request: None) == (200, {})


def test_unknown_path():
    for path in ('', '/', '/api/v0/x', '/api/v0/x/read/', '/api/v1/x/read', '/api/v0/x/write', '//api/v0/x/read'):
        assert call(lambda request: {}, path=path) == (404, {'error': '404 Not Found'})
    assert call(lambda request: {}, method='GET', path='/nothing') == (404, {'error': '404 Not Found'})


def test_foreign_origin(caplog):
    action = Action(lambda request: {'reached': True})
    assert answer(action, 'POST', PATH, b'', Page('it is foreign')) == (403, {'error': '403 Forbidden'})
    assert PATH in caplog.text
    assert 'it is foreign' in caplog.text


@pytest.mark.parametrize('method', ['GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'post', ''])
def test_other_methods(method):
    assert call(lambda request: {}, method=method) == (501, {'error': '501 Not Implemented'})


@pytest.mark.parametrize('body', [
    b'"invalid_json_object"', b'[]', b'42', b'null', b'true', b'{', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e400}',
    b'\xef\xbb\xbf{}', b'{"a":"\xff"}',
    b'{"a":"\\ud800"}', b'{"a":"\\udc00\\ud800"}', b'{} {}', b"{'a': 1}", b'{"a":1,}', b'{"a":01}', b'a=1',
    b'{"a":' + b'[' * 200_000, b'\x00', b' ', '{"a":1}'.encode('utf-16'),
])
def test_not_a_json_object(body):
    assert call(lambda request: {}, body) == (400, {'error': 'Request content should be JSON Object'})


def test_exact_integers():
    assert call(lambda request: {'n': request.n + 1}, b'{"n": 123456789012345678901234567890}') == (
        200, {'n': 123456789012345678901234567891})
    assert encode(PATH, 200, {'n': 2**70})[1] == b'{"n":1180591620717411303424}'


def test_errors_answer():
    def raising(error):
        def handler(request):
            raise error
        return handler
    assert call(raising(ApiError(409))) == (409, {'error': '409 Conflict'})
    assert call(raising(ApiError(409, {'why': 1}))) == (409, {'error': {'why': 1}})
    assert call(raising(BadRequest('no'))) == (400, {'error': 'no'})
    assert call(raising(Invalid('id', -1))) == (400, {'error': {'field': 'id', 'state': 'invalid', 'explain': -1}})


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize('error', [
    Exception('x'), KeyError('secret'), SystemExit(3), KeyboardInterrupt(), GreenletExit(), Timeout(), RecursionError(),
    MemoryError(), StopIteration(), Unprintable(),
    ExceptionGroup('several', [ValueError(1), TypeError(2)]), BaseException('base'), GeneratorExit(),
])
def test_whatever_is_raised(error, caplog):
    def handler(request):
        raise error
    assert call(handler) == FAILED
    assert f'POST {PATH} failed:' in caplog.text
    assert type(error).__name__ in caplog.text


def test_deep_recursion(caplog):
    def handler(request):
        return handler(request)
    assert call(handler) == FAILED


@pytest.mark.parametrize('value', [
    'invalid_json_object', [1], b'{}', 42, 0, '', True, {1}, (i for i in 'ab'), object()])
def test_only_dicts_return(value, caplog):
    assert call(lambda request: value) == FAILED
    assert f'returned {type(value).__name__}, not a dict or None' in caplog.text


def circular():
    value = {}
    value['value'] = value
    return value


@pytest.mark.parametrize('value', [
    {'a': object()}, {'a': '\ud800'}, circular(), {'a': (i for i in 'ab')}, {None: 1}, {(1, 2): 3}, {'a': 10**5000}])
def test_not_to_be_said_in_json(value, caplog):
    assert send(lambda request: value) == (500, b'{"error":"500 Internal Server Error"}')
    assert f'The answer of {PATH} cannot be JSON' in caplog.text


def test_error_not_to_be_said_in_json(caplog):
    def handler(request):
        raise BadRequest(object())
    assert send(handler) == (500, b'{"error":"500 Internal Server Error"}')


def test_statuses_without_body():
    for status in (204, 205, 304):
        assert encode(PATH, status, {'error': 'x'}) == (status, b'')


@pytest.mark.parametrize(('status', 'headers'), [
    (200, {'Content-Type': 'application/json', 'Content-Length': '3'}),
    (501, {'Content-Type': 'application/json', 'Content-Length': '3', 'Allow': 'POST'}),
    (204, {}), (304, {}), (205, {'Content-Length': '0'})])
def test_headers(status, headers):
    assert dict(headers_of(status, b'{ }')) == headers


def test_traceback_shows_user_frames(caplog):
    caplog.set_level(logging.ERROR)
    call(lambda request: 1 / 0)
    from apiphant.logs import format_error
    text = format_error(caplog.records[0].exc_info[1])
    assert 'test_answer.py' in text
    assert '/apiphant/api/' not in text


def test_parse_limit_is_the_servers():
    assert parse(b'{"a":"' + b'x' * 2 * MAX_BODY + b'"}').a
    assert sys.getrecursionlimit() >= 1000
