"""One answer, by connection, by a raw handler and by the prepared 200, has one head."""
import re

import pytest

from apiphant.http.heads import Clock, connection_of, head, length, length_for
from tests.kit.running import production, write_tree
from tests.kit.wire import Wire

PLAIN = '''
from apiphant.validation import ApiError

def read(request):
    if request.status != 200:
        raise ApiError(request.status)
    return {'a': 1}
'''
RAW = '''
import json
from apiphant.server import raw_environ, raw_response
from apiphant.validation import ApiError, status_line

@raw_environ
def read(environ):
    status = json.loads(environ['wsgi.input'].read())['status']
    if status != 200:
        raise ApiError(status)
    return {'a': 1}

@raw_response
def create(request, start_response):
    body = b'{"a":1}' if request.status == 200 else b'{"error":"%b"}' % status_line(request.status).encode()
    has_body = request.status not in (204, 205, 304)
    start_response(status_line(request.status), [('Content-Type', 'application/json')] if has_body else [])
    return [body]

@raw_response
def update(request, start_response):
    if request.status != 200:
        raise ApiError(request.status)
    start_response('200 OK', [('content-length', '7'), ('Content-Type', 'application/json')])
    yield b'{"a"'
    yield b':1}'
'''
WAYS = ('plain/read', 'raw/read', 'raw/create', 'raw/update')


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    folder = write_tree(tmp_path_factory.mktemp('heads'), {'shop/api/v0/plain.py': PLAIN, 'shop/api/v0/raw.py': RAW})
    with production(folder / 'shop') as running:
        yield running
        assert 'Traceback' not in running.text
        assert running.end() == 0


def head_of(server, way, status, version, header):
    body = b'{"status":%d}' % status
    sent = f'POST /api/v0/{way} HTTP/{version}\r\nHost: x\r\n{header}Content-Length: {len(body)}\r\n\r\n'
    with Wire(server, sent.encode() + body) as wire:
        return re.sub(rb'Date: [^\r]+', b'Date: D', wire.until(b'\r\n\r\n'))


@pytest.mark.parametrize(('version', 'header'), [
    ('1.1', ''), ('1.1', 'Connection: close\r\n'), ('1.0', ''), ('1.0', 'Connection: keep-alive\r\n')])
@pytest.mark.parametrize('status', [200, 400, 404, 409, 503, 204, 205, 304])
def test_same_head(server, status, version, header):
    heads = {way: head_of(server, way, status, version, header) for way in WAYS}
    assert set(heads.values()) == {heads['plain/read']}, heads
    assert heads['plain/read'].count(b'Content-Length') == (status not in (204, 304))
    assert (b'Content-Length: 0\r\n' in heads['plain/read']) is (status == 205)


def test_prepared():
    clock = Clock()
    assert clock.head_of_ok(7) == head('200 OK', [('Content-Type', 'application/json')], clock.date, framing=length(7))


def test_of_the_handler():
    """Its own Date stays, and its length is said where lengths are."""
    headers = [('date', 'today'), ('CONTENT-LENGTH', '3'), ('X', 'y')]
    assert head('299 Very well', headers, 'D', framing=length(3)) == (
        b'HTTP/1.1 299 Very well\r\ndate: today\r\nX: y\r\nContent-Length: 3\r\n\r\n')


def test_rules():
    assert [length_for(status, 7) for status in (200, 204, 205, 206, 304)] == [
        'Content-Length: 7', '', 'Content-Length: 0', 'Content-Length: 7', '']
    ways = ((True, '1.1'), (True, '1.0'), (False, '1.1'), (False, '1.0'))
    assert [connection_of(*way) for way in ways] == ['', 'keep-alive', 'close', 'close']
