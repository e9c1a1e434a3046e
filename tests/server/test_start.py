import json
import re
import signal
import socket
import subprocess
import sys

import pytest

from apiphant import server
from tests.kit.running import SAMPLE, Server, production, pywsgi, run_cli, wait_for, write_tree
from tests.kit.wire import Wire

RAW = '''
from apiphant.server import raw_environ, raw_response
from apiphant.validation import ApiError

@raw_environ
def create(environ):
    body = environ['wsgi.input'].read().decode()
    return {'method': environ['REQUEST_METHOD'], 'body': body, 'query': environ['QUERY_STRING']}

@raw_response
def read(request, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [request.get('text', 'none').encode(), b'!']

@raw_response
@raw_environ
def update(environ, start_response):
    start_response('201 Created', [('Content-Type', 'text/plain'), ('X-Method', environ['REQUEST_METHOD'])])
    return [environ['wsgi.input'].read()]

@raw_environ
@raw_response
def delete(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    yield b'a'
    yield b'b'
'''
FAILING = '''
from apiphant.server import raw_environ, raw_response
from apiphant.validation import ApiError

@raw_environ
def create(environ):
    raise ApiError(409, 'taken')

@raw_response
def read(request, start_response):
    return 1 / 0

@raw_response
def update(request, start_response):
    start_response('200 OK', [])
    raise KeyError('secret')

@raw_environ
def delete(environ):
    return 'no dict'
'''
UPLOAD = '''
from multipart import parse_form_data
from apiphant.server import raw_environ

@raw_environ
def create(environ):
    forms, files = parse_form_data(environ)
    return {'title': forms['title'], 'name': files['file'].filename, 'size': len(files['file'].file.read())}
'''
OTHER = '''
import gevent

def read(request):
    gevent.sleep(request.get('seconds', 0))
    return {'slept': request.get('seconds', 0)}

def create(request):
    return {'deep': request.user.name, 'n': request.n}

def delete(request):
    raise SystemExit(3)
'''

PACKED = '''
from ....lib import NAME
from shop.lib import NAME as SAME

def read(request):
    return {"name": NAME + SAME}
'''


@pytest.fixture(scope='module')
def shop(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('server'), {
        'shop/api/v0/raw.py': RAW, 'shop/api/v0/failing.py': FAILING, 'shop/api/v0/deep/upload.py': UPLOAD,
        'shop/api/v1/other.py': OTHER,
        'shop/api/v1/packed/__init__.py': PACKED,
        'shop/lib.py': 'NAME = "n"\n', 'shop/api/v1/_hidden.py': 'def read(request): return {}\n'}) / 'shop'


def under(name, product):
    """The same product under one of three servers."""
    if name == 'apiphant':
        return production(product)
    if name == 'pywsgi':
        return pywsgi(product)
    return Gunicorn(
        '-m', 'gunicorn', '-k', 'gevent', '-b', '127.0.0.1:0', '--no-control-socket',
        f'apiphant.server:application({str(product)!r})')


@pytest.fixture(scope='module', params=['apiphant', 'gunicorn', 'pywsgi'])
def server_name(request):
    return request.param


@pytest.fixture(scope='module')
def serving(server_name, shop):
    with under(server_name, shop) as running:
        yield running


class Gunicorn(Server):
    """gunicorn says 'Listening at: http://...'; its worker has to start before it answers."""

    def wait_for_line(self, pattern, since=0):
        found = super().wait_for_line(pattern.replace('on http', 'Listening at: http'), since)
        super().wait_for_line('Booting worker', since)
        return found


def test_sample_list(monkeypatch, server_name, capsys):
    """tests/myproduct's own lists."""
    with under(server_name, SAMPLE) as running:
        from apiphant.test import config
        monkeypatch.setitem(config, 'port', running.port)
        for name in ('test.py', 'test_self.py'):
            exec(compile((SAMPLE / 'api' / name).read_text(), name, 'exec'), {})
    assert capsys.readouterr().out.count(' --> ') == 24


def test_two_kinds_of_raw(serving):
    assert serving.post('/api/v0/raw/create?a=1', b'text', 'PUT') == (
        200, {'method': 'PUT', 'body': 'text', 'query': 'a=1'})
    assert serving.ask('/api/v0/raw/read', b'{"text": "hello"}')[2] == b'hello!'
    assert serving.ask('/api/v0/raw/read', method='GET')[2] == b'none!'


def test_both_raw_in_any_order(serving):
    status, headers, body = serving.ask('/api/v0/raw/update', b'text', 'PATCH')
    assert (status, headers['X-Method'], body) == (201, 'PATCH', b'text')
    assert serving.ask('/api/v0/raw/delete', method='GET')[2] == b'ab'


def test_raw_errors(serving):
    assert serving.post('/api/v0/failing/create') == (409, {'error': 'taken'})
    for action in ('read', 'update', 'delete'):
        assert serving.post(f'/api/v0/failing/{action}') == (500, {'error': '500 Internal Server Error'})
    assert serving.post('/api/v0/raw/read', b'[]') == (400, {'error': 'Request content should be JSON Object'})


def test_upload(serving):
    edge = 'edge'
    body = (f'--{edge}\r\nContent-Disposition: form-data; name="title"\r\n\r\nT\r\n'
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n'
            f'Content-Type: application/octet-stream\r\n\r\n{"x" * 100_000}\r\n--{edge}--\r\n').encode()
    status, _, content = serving.ask('/api/v0/deep/upload/create', body, headers={
        'Content-Type': f'multipart/form-data; boundary={edge}'})
    assert (status, json.loads(content)) == (200, {'title': 'T', 'name': 'f.bin', 'size': 100_000})


def test_deep_requests_and_imports(serving):
    assert serving.post('/api/v1/other/create', {'user': {'name': 'x'}, 'n': 2**80}) == (200, {'deep': 'x', 'n': 2**80})
    assert serving.post('/api/v1/packed/read') == (200, {'name': 'nn'})


def test_not_found_and_not_implemented(serving):
    for path in (
            '/', '/api/v0/other/read', '/api/v1/other/update', '/api/v1/_hidden/read', '/api/v1/other/read/',
            '/api/v1/lib/read'):
        assert serving.post(path, {}) == (404, {'error': '404 Not Found'})
    status, headers, body = serving.ask('/api/v1/other/read', method='GET')
    assert (status, headers['Allow'], json.loads(body)) == (501, 'POST', {'error': '501 Not Implemented'})
    assert headers['Content-Type'] == 'application/json'
    assert serving.ask('/api/v1/other/read', method='HEAD')[::2] == (501, b'')


def test_bodies(serving):
    assert serving.post('/api/v1/other/read', b'') == (200, {'slept': 0})
    assert serving.post('/api/v1/other/read', b'{"a":"' + b'x' * 2**20 + b'"}') == (413, {'error': server_line(413)})
    chunked = (b'POST /api/v1/other/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
               b'Transfer-Encoding: chunked\r\n\r\n')
    answer = serving.exchange(chunked + b'14\r\n{"user": {"name": 1}\r\n9\r\n, "n": 2}\r\n0\r\n\r\n')
    assert answer.endswith(b'{"deep":1,"n":2}'), answer


def server_line(status):
    return {413: ('413 Request Entity Too Large' if sys.version_info < (3, 13) else '413 Content Too Large')}[status]


def test_system_exit_in_handler(serving):
    assert serving.post('/api/v1/other/delete') == (500, {'error': '500 Internal Server Error'})
    assert serving.post('/api/v1/other/read')[0] == 200
    serving.wait_for_line('SystemExit: 3')


def test_says_what_it_serves(shop):
    with production(shop) as running:
        assert re.search(
            r'INFO at server\.worker\._say_serving:\d+ \[.*\] '
            r'Serving shop: 13 actions on http://127.0.0.1:\d+, 1 worker',
            running.text)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_stops_gracefully(shop, number):
    with production(shop) as running, socket.create_connection((running.host, running.port)) as connection:
        body = b'{"seconds": 0.5}'
        head = b'POST /api/v1/other/read HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
        connection.sendall(head + b'Content-Length: %d\r\n\r\n%s' % (len(body), body))
        wait_for(lambda: running.post('/api/v1/other/read')[0] == 200)
        assert running.end(number) == 0
        assert b'{"slept":0.5}' in b''.join(iter(lambda: connection.recv(4096), b''))


def test_serve_from_a_program(shop):
    with Server('-m', 'tests.kit.programs.program', str(shop), '2') as running:
        assert running.post('/api/v1/other/read') == (200, {'slept': 0})
        assert '2 workers' in running.text
        assert running.end() == 0


def test_serve_with_an_unknown_option(shop):
    """Nothing that is given is dropped without a word."""
    for words, like in (
            ('worker=2', "'worker'; 'workers' is one"), ('nothing=2', "'nothing'"),
            ("workers='x'", "workers: 'x' should be a whole number")):
        call = f"import apiphant.server; apiphant.server.serve({str(shop)!r}, '127.0.0.1:0', {words})"
        done = subprocess.run([sys.executable, '-c', call], check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert like in done.stderr.splitlines()[-1], done.stderr


def test_serve_in_patched_program(shop):
    done = run_cli(str(shop), 'patched', module='tests.kit.programs.program')
    assert done.returncode == 1
    reason = 'serve() forks workers that patch themselves: call it in a process that is not patched'
    assert f'RuntimeError: {reason}' in done.stderr


def test_application_is_for_any_server(shop):
    assert set(server.application(shop).routes) >= {'/api/v0/raw/read', '/api/v1/packed/read'}


def test_keep_alive(shop):
    """Several calls on one connection (test_address has what keeps the second from being held back for 40 ms)."""
    with production(shop) as running, Wire(running) as wire:
        for _ in range(3):
            wire.send(b'POST /api/v1/other/read HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}')
            answer = wire.answer()
            assert (answer.status, answer.content) == ('HTTP/1.1 200 OK', {'slept': 0})
            assert 'Connection' not in answer.headers
        assert wire.is_silent()


LIGHT = """
import sys
from apiphant.server import raw_environ, raw_response
print(*sorted({'argparse', 'gevent', 'gunicorn', 'ssl'} & sys.modules.keys()))
"""


def test_marks_of_handlers_are_light():
    """A handler's first import of them must not take long."""
    done = subprocess.run([sys.executable, '-c', LIGHT], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ('\n', '')
