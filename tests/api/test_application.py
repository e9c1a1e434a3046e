"""The WSGI callable, as a server that checks everything calls it (three real ones: tests/server/test_start.py)."""
import io
import json
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from apiphant.api.actions import Action
from apiphant.api.answer import MAX_BODY
from apiphant.api.application import Application, ClientLeft
from apiphant.validation import ApiError, status_line

PATH = '/api/v0/x/read'
RAW = '/api/v0/x/create'


def environ_of(body=b'', method='POST', path=PATH, **more):
    environ = {
        'REQUEST_METHOD': method, 'PATH_INFO': path, 'CONTENT_LENGTH': str(len(body)), 'wsgi.input': io.BytesIO(body),
        'SCRIPT_NAME': '', **more}
    setup_testing_defaults(environ)
    return environ


def ask(app, environ):
    """Status, headers and body."""
    began = []
    answer = validator(app)(environ, lambda status, headers, exc_info=None: began.append((status, dict(headers))))
    try:
        body = b''.join(answer)
    finally:
        answer.close()
    return *began[-1], body


def app_of(handler, **marks):
    return Application({PATH: Action(handler), RAW: Action(handler, **marks)})


def test_answer():
    status, headers, body = ask(app_of(lambda request: {'a': request.a}), environ_of(b'{"a": 1}'))
    assert (status, body) == ('200 OK', b'{"a":1}')
    assert headers == {'Content-Type': 'application/json', 'Content-Length': '7'}


def test_path_below_another():
    """SCRIPT_NAME is what a server was told to serve it under."""
    environ = environ_of(b'{}', path='/x/read', SCRIPT_NAME='/api/v0')
    assert ask(app_of(lambda request: {}), environ)[0] == '200 OK'


def test_other_method_is_not_read():
    environ = environ_of(method='GET')
    status, headers, body = ask(app_of(lambda request: {}), {**environ, 'CONTENT_LENGTH': str(MAX_BODY + 1)})
    assert (status, headers['Allow'], json.loads(body)) == (
        '501 Not Implemented', 'POST', {'error': '501 Not Implemented'})
    assert environ['wsgi.input'].tell() == 0


def test_head_has_no_body():
    status, headers, body = ask(app_of(lambda request: {}), environ_of(method='HEAD', path='/nothing'))
    assert (status, int(headers['Content-Length']) > 0, body) == ('404 Not Found', True, b'')


@pytest.mark.parametrize('length', ['+2', '-2', '2.0', '\u0662', 'x'])
def test_length_that_is_none(length):
    environ = environ_of(b'{}')
    answer = app_of(lambda request: {})({**environ, 'CONTENT_LENGTH': length}, lambda status, headers: None)
    assert json.loads(b''.join(answer)) == {'error': '400 Bad Request'}


def test_body_that_is_cut():
    assert ask(app_of(lambda request: {}), {**environ_of(b'{}'), 'CONTENT_LENGTH': '3'})[0] == '400 Bad Request'


@pytest.mark.parametrize(('size', 'status'), [(MAX_BODY, 200), (MAX_BODY + 1, 413)])
@pytest.mark.parametrize('is_chunked', [True, False])
def test_limit_of_a_body(size, status, is_chunked):
    environ = environ_of(b'{"a":"%s"}' % (b'x' * (size - 8)))
    if is_chunked:
        environ.update({'CONTENT_LENGTH': '', 'wsgi.input_terminated': True})
    assert ask(app_of(lambda request: {}), environ)[0] == status_line(status)


def test_routes_are_swapped_at_once():
    app = app_of(lambda request: {'code': 1})
    app.routes = {PATH: Action(lambda request: {'code': 2})}
    assert ask(app, environ_of())[2] == b'{"code":2}'
    assert ask(app, environ_of(path=RAW))[0] == '404 Not Found'


def raising(error):
    def handler(environ):
        raise error
    return handler


@pytest.mark.parametrize(('error', 'status'), [
    (ApiError(409, 'taken'), '409 Conflict'), (KeyError('secret'), '500 Internal Server Error'),
    (SystemExit(3), '500 Internal Server Error')])
def test_raw_handler_that_raises(error, status):
    found, _, body = ask(app_of(raising(error), raw_environ=True), environ_of(path=RAW))
    assert found == status
    assert b'secret' not in body


def test_client_left():
    """Nobody is there to be answered: it is the server's to see that."""
    with pytest.raises(ClientLeft):
        app_of(raising(ClientLeft()), raw_environ=True)(environ_of(path=RAW), None)
