"""Raw bytes to a real server: what comes back, and whether the connection is kept."""
import re
import time
from contextlib import ExitStack
from itertools import permutations
from socket import MSG_PEEK

import pytest

from apiphant.validation import status_line
from tests.kit.cpu import is_quick
from tests.kit.running import DEADLINE, Server, dev, production, wait_for, write_tree
from tests.kit.wire import Wire, descriptors

pytestmark = pytest.mark.once

ECHO = '''
import gevent

def read(request):
    gevent.sleep(request.pop('seconds', 0))
    return request

def create(request):
    return {'large': 'x' * request.size}
'''
RAW = '''
import gevent
from apiphant.server import raw_environ

@raw_environ
def create(environ):
    return {'size': len(environ['wsgi.input'].read())}

@raw_environ(max_body=3 * 2**20)
def update(environ):
    return {'size': len(environ['wsgi.input'].read())}

@raw_environ
def delete(environ):
    return {'unread': True}
'''


@pytest.fixture(scope='module')
def product(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('connection'), {
        'shop/api/v0/echo.py': ECHO, 'shop/api/v0/raw.py': RAW}) / 'shop'


@pytest.fixture(scope='module')
def server(product):
    with production(product) as running:
        yield running
        assert 'Traceback' not in running.text
        assert running.end() == 0


def head(*headers, path='echo/read', method='POST', version='1.1'):
    return '\r\n'.join([f'{method} /api/v0/{path} HTTP/{version}', 'Host: localhost', *headers, '', '']).encode()


def post(body=b'{}', *headers, **options):
    return head(f'Content-Length: {len(body)}', *headers, **options) + body


CHUNKED = 'Transfer-Encoding: chunked'
REFUSED = {
    'line': (b'GET /' + b'a' * 8192 + b' HTTP/1.1\r\nHost: x\r\n\r\n', 414),
    'fields': (head(*['A: b'] * 100), 431),
    'headers': (head('A: ' + 'a' * 32_768), 431),
    'endless header': (head('A: ' + 'a' * 100_000)[:-4], 431),
    'body': (head('Content-Length: 1048577'), 413),
    'body of nobody': (head('Content-Length: 1048577', path='nothing'), 413),
    'chunked body': (head(CHUNKED) + b'100001\r\n' + b'a' * 0x100001 + b'\r\n0\r\n\r\n', 413),
    'extension': (head(CHUNKED) + b'1;' + b'a' * 100_000, 400),
    'trailers': (head(CHUNKED) + b'0\r\nA: ' + b'a' * 100_000, 400),
    'two lengths': (head('Content-Length: 2', 'Content-Length: 2') + b'{}', 400),
    'length': (head('Content-Length: +2') + b'{}', 400),
    'length and chunked': (head('Content-Length: 5', CHUNKED) + b'0\r\n\r\n', 400),
    'encoding': (head('Transfer-Encoding: gzip, chunked') + b'0\r\n\r\n', 400),
    'chunked on 1.0': (head(CHUNKED, version='1.0') + b'0\r\n\r\n', 400),
    'no host': (b'GET / HTTP/1.1\r\n\r\n', 400),
    'two hosts': (head('Host: y'), 400),
    'host': (b'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n', 400),
    'fold': (head('A: b', ' c'), 400),
    'space before the colon': (head('A : b'), 400),
    'empty name': (head(': b'), 400),
    'control byte': (head('A: \x01'), 400),
    'LF': (b'GET / HTTP/1.1\nHost: x\n\n', 400),
    'star': (b'GET * HTTP/1.1\r\nHost: x\r\n\r\n', 400),
    'CONNECT': (b'CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n', 400),
    'version 2.0': (head(version='2.0'), 505),
    'version 1.2': (head(version='1.2'), 400),
    'no version': (b'GET /\r\n\r\n', 400),
    'expectation': (head('Expect: more', 'Content-Length: 2'), 417),
    'TLS hello': (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(range(256)) * 2, 400),
    'PROXY': (b'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n' + post(), 400),
    'PROXY 2': (
        b'\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x01\x02\x03\x04\x00\x01\x00\x02' + post(), 400),
    'SMTP': (b'EHLO x\r\nMAIL FROM:<a@b>\r\n', 400),
    'HTTP/2 preface': (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00', 400),
}


@pytest.mark.parametrize('name', REFUSED)
def test_refusal_arrives(server, name):
    """One answer, whole, and the end; a request that follows has none."""
    data, status = REFUSED[name]
    with Wire(server, data, post()) as wire:
        answer = wire.answer()
        assert answer.status == f'HTTP/1.1 {status_line(status)}'
        assert answer.content == {'error': status_line(status)}
        assert answer.headers['Connection'] == 'close'
        assert wire.rest() == b''


@pytest.mark.parametrize('name', REFUSED)
def test_refusal_after_what_looks_like_it(server, name):
    """Good requests that are known by now, with the same lines as far as they are good ones, change nothing."""
    data, status = REFUSED[name]
    lines = [line.decode() for line in data[:1000].split(b'\r\n') if line == b'A: b']
    for _ in range(2):
        with Wire(server) as wire:
            for alike in (post(b'{"n":1}'), post(b'{"n":1}', *lines[:1])) * 3:
                wire.send(alike)
                assert wire.answer().content == {'n': 1}
            wire.send(data + post())
            assert wire.answer().status == f'HTTP/1.1 {status_line(status)}'
            assert wire.rest() == b''


@pytest.mark.parametrize('path', ['echo/read', 'raw/create', 'raw/delete'])
def test_too_large_before_any_is_read(server, path):
    """The answer comes before the body, and is not lost when the client sends on."""
    with Wire(server, head('Content-Length: 5000000', path=path)) as wire:
        assert wire.answer().status == f'HTTP/1.1 {status_line(413)}'
        wire.send(b'a' * 3_000_000)
        assert wire.rest() == b''


@pytest.mark.parametrize('path', ['echo/read', 'raw/create'])
def test_chunked_body_too_large(server, path):
    with Wire(server, head(CHUNKED, path=path)) as wire:
        for _ in range(17):
            wire.send(b'10000\r\n' + b' ' * 0x10000 + b'\r\n')
        assert wire.answer().status == f'HTTP/1.1 {status_line(413)}'
        assert wire.rest() == b''


def test_own_limit_of_a_handler(server):
    with Wire(server) as wire:
        wire.send(post(b'a' * 3 * 2**20, path='raw/update'))
        assert wire.answer().content == {'size': 3 * 2**20}
        wire.send(head(f'Content-Length: {3 * 2**20 + 1}', path='raw/update'))
        assert wire.answer().status == f'HTTP/1.1 {status_line(413)}'


def test_body_that_nobody_reads(server):
    """An answer to a request that is only partly there is the last one."""
    with Wire(server, head('Content-Length: 1000', path='raw/delete')) as wire:
        answer = wire.answer()
        assert (answer.content, answer.headers['Connection']) == ({'unread': True}, 'close')
        assert wire.rest() == b''
    with Wire(server, post(b'a' * 100_000, path='nothing') + post(b'{"a":1}')) as wire:
        assert wire.answer().status == 'HTTP/1.1 404 Not Found'
        assert wire.answer().content == {'a': 1}


def test_route_is_decided_once(tmp_path):
    """At the head: a save between it and the rest of the body does not change whom the call is for."""
    versions = {
        'plain': 'def read(request):\n    return {"plain": request}\n',
        'raw': ('from apiphant.server import raw_environ\n\n@raw_environ\ndef read(environ):\n'
                '    return {"raw": len(environ["wsgi.input"].read())}\n'),
        'none': 'def create(request):\n    return {}\n'}
    body = b'{"a": 1}'  # as it is posted
    answers = {'plain': {'plain': {'a': 1}}, 'raw': {'raw': len(body)}, 'none': {'error': '404 Not Found'}}
    target = write_tree(tmp_path, {'shop/api/v0/echo.py': versions['plain']}) / 'shop/api/v0/echo.py'
    with dev(tmp_path / 'shop') as running:
        for before, after in permutations(versions, 2):
            target.write_text(versions[before] * 2)
            wait_for(lambda answer=answers[before]: running.post('/api/v0/echo/read', {'a': 1})[1] == answer, before)
            with Wire(running, post(body)[:-3]) as wire:
                running.post('/api/v0/echo/create')  # so that the head has been read
                target.write_text(versions[after])
                wait_for(lambda answer=answers[after]: running.post('/api/v0/echo/read', {'a': 1})[1] == answer, after)
                wire.send(body[-3:])
                assert wire.answer().content == answers[before], (before, after)


def test_exact_answer(server):
    with Wire(server, post(b'{"a":1}')) as wire:
        assert re.fullmatch(
            rb'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
            rb'Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\nContent-Length: 7\r\n\r\n',
            wire.until(b'\r\n\r\n'))
        assert wire.take(7) == b'{"a":1}'
        assert wire.is_silent()


@pytest.mark.parametrize(('data', 'status'), [
    (head(method='HEAD'), 501), (head(method='HEAD', path='nothing'), 404),
    (head(method='HEAD', path='raw/create'), 200),
    (head('Content-Length: 2000000', method='HEAD'), 413), (b'HEAD / HTTP/1.1\r\n\r\n', 400),
    (head('A : b', method='HEAD'), 400),
    (b'HEAD /' + b'a' * 50_000, 414), (head(*['A: b'] * 100, method='HEAD'), 431)])
def test_head_has_no_body(server, data, status):
    with Wire(server, data) as wire:
        answer = wire.answer(has_body=False)
        assert answer.status == f'HTTP/1.1 {status_line(status)}'
        assert int(answer.headers['Content-Length']) > 0
        wire.half_close()
        assert wire.rest() == b''


def test_head_then_others(server):
    with Wire(server, head(method='HEAD') + post(b'{"a":1}')) as wire:
        assert wire.answer(has_body=False).status == 'HTTP/1.1 501 Not Implemented'
        assert wire.answer().content == {'a': 1}


CONTINUE = b'HTTP/1.1 100 Continue\r\n\r\n'


@pytest.mark.parametrize('path', ['echo/read', 'raw/create'])
def test_continue_once(server, path):
    with Wire(server) as wire:
        for _ in range(2):
            wire.send(head('Expect: 100-continue', 'Content-Length: 2', path=path))
            assert wire.take(len(CONTINUE)) == CONTINUE
            wire.send(b'{')
            assert wire.is_silent()
            wire.send(b'}')
            assert wire.answer().status == 'HTTP/1.1 200 OK'


def test_continue_for_chunks(server):
    with Wire(server, head('Expect: 100-continue', CHUNKED)) as wire:
        assert wire.take(len(CONTINUE)) == CONTINUE
        for piece in (b'1\r\n', b'{\r\n', b'1\r\n}\r\n', b'0\r\n\r\n'):
            wire.send(piece)
        assert wire.answer().body == b'{}'


@pytest.mark.parametrize('data', [
    post(b'{}', 'Expect: 100-continue'), head('Expect: 100-continue', 'Content-Length: 2') + b'{',
    post(b'', 'Expect: 100-continue'),
    head('Expect: 100-continue', 'Content-Length: 2000000'),
    head('Expect: 100-continue', 'Content-Length: 2', version='1.0'),
    head('Expect: 100-continue', 'Content-Length: 2', path='raw/delete')])
def test_no_continue(server, data):
    with Wire(server, data) as wire:
        if data.endswith(b'{') or b'HTTP/1.0' in data:
            assert wire.is_silent()
            wire.send(b'}' if data.endswith(b'{') else b'{}')
        assert re.match(r'HTTP/1.1 (200|413) ', wire.answer().status)


def test_no_continue_for_nobody(server):
    """A body that is not wanted is not asked for."""
    with Wire(server, head('Expect: 100-continue', 'Content-Length: 2', path='nothing')) as wire:
        wire.half_close()
        assert not wire.rest().startswith(CONTINUE)


def test_continue_in_order(server):
    """Not before the answer to the request before it."""
    with Wire(server, post(b'{"seconds": 0.2}') + head('Expect: 100-continue', 'Content-Length: 2')) as wire:
        assert wire.answer().body == b'{}'
        assert wire.take(len(CONTINUE)) == CONTINUE
        wire.send(b'{}')
        assert wire.answer().body == b'{}'


def test_pipelined_in_order(server):
    waits = [0.2, 0, 0.1, 0, 0]
    sent = b''.join(post(b'{"n":%d,"seconds":%g}' % (n, seconds)) for n, seconds in enumerate(waits))
    with Wire(server, sent) as wire:
        assert [wire.answer().content for _ in waits] == [{'n': n} for n in range(5)]


def test_many_pipelined(server):
    with Wire(server, b''.join(post(b'{"n":%d}' % n) for n in range(2000))) as wire:
        assert [wire.answer().content['n'] for _ in range(2000)] == list(range(2000))


def test_pipelined_with_raw(server):
    with Wire(server, post(b'abc', path='raw/create') + post(b'{"n":1}') + post(b'ab', path='raw/create')) as wire:
        assert [wire.answer().content for _ in range(3)] == [{'size': 3}, {'n': 1}, {'size': 2}]


def test_refused_in_the_pipeline(server):
    with Wire(server, post(b'{"n":1,"seconds":0.1}') + head('A : b') + post(b'{"n":2}')) as wire:
        assert wire.answer().content == {'n': 1}
        assert wire.answer().status == 'HTTP/1.1 400 Bad Request'
        assert wire.rest() == b''


def test_in_pieces(server):
    chunks = b'3;x\r\n{"a\r\n4\r\n":1}\r\n0\r\nT: u\r\n\r\n'
    data = post(b'{"a":1}', 'A: b') + head(CHUNKED) + chunks + post(b'ab', path='raw/create')
    with Wire(server) as wire:
        for n in range(len(data)):
            wire.send(data[n:n + 1])
        assert [wire.answer().content for _ in range(3)] == [{'a': 1}, {'a': 1}, {'size': 2}]


def test_keep_alive(server):
    with Wire(server) as wire:
        for n in range(3):
            wire.send(post(b'{"n":%d}' % n))
            answer = wire.answer()
            assert (answer.content, answer.headers.get('Connection')) == ({'n': n}, None)
        assert wire.is_silent()


@pytest.mark.parametrize('path', ['echo/read', 'raw/create', 'nothing'])
@pytest.mark.parametrize(('version', 'header', 'connection'), [
    ('1.1', 'Connection: close', 'close'), ('1.0', 'A: b', 'close'), ('1.0', 'Connection: close', 'close')])
def test_last_answer(server, path, version, header, connection):
    with Wire(server, post(b'{}', header, version=version, path=path)) as wire:
        assert wire.answer().headers['Connection'] == connection
        assert wire.rest() == b''


@pytest.mark.parametrize('path', ['echo/read', 'raw/create', 'nothing'])
def test_keep_alive_of_old(server, path):
    """As nginx and ab ask for it."""
    with Wire(server) as wire:
        for _ in range(2):
            wire.send(post(b'{}', 'Connection: keep-alive', version='1.0', path=path))
            assert wire.answer().headers['Connection'] == 'keep-alive'


def test_more_than_the_last(server):
    """What follows a request with `Connection: close` changes nothing about its answer."""
    for path in ('echo/read', 'raw/create'):
        with Wire(server, post(b'{}', 'Connection: close', path=path) + post(b'{}')) as wire:
            assert wire.answer().status == 'HTTP/1.1 200 OK'
            assert wire.rest() == b''


def test_upgrade_is_passed_over(server):
    """Java's HttpClient offers h2c on each first request."""
    upgrade = ('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk')
    with Wire(server, post(b'{"a":1}', *upgrade)) as wire:
        assert wire.answer().content == {'a': 1}


@pytest.mark.parametrize('data', [
    post(b'{"seconds":0.2}'), post(b'abc', path='raw/create'), post(path='nothing'), b'GET * HTTP/1.1\r\n\r\n'])
def test_half_close(server, data):
    with Wire(server, data) as wire:
        wire.half_close()
        assert wire.answer().status
        assert wire.rest() == b''


PHASES = {
    'nothing': b'', 'line': b'POST /api', 'headers': head()[:-10], 'body': head('Content-Length: 10') + b'{',
    'chunks': head(CHUNKED) + b'5\r\n{',
    'raw body': head('Content-Length: 10', path='raw/create') + b'{', 'handler': post(b'{"seconds":0.3}'),
    'answer': post(b'{"size":5000000}', path='echo/create'),
    'refusal': head('Content-Length: 2000000'), 'continue': head('Expect: 100-continue', 'Content-Length: 2'),
    'pipeline': post(b'{"seconds":0.1}') * 50}


@pytest.mark.parametrize('phase', PHASES)
def test_client_gone(server, phase):
    """By FIN and by RST: nothing is left of it, and others are served."""
    before = descriptors(server)
    for leave in (Wire.reset, lambda wire: wire.socket.close()):
        for _ in range(3):
            wire = Wire(server, PHASES[phase])
            time.sleep(0.01)
            leave(wire)
    with Wire(server, post(b'{"a":1}')) as wire:
        assert wire.answer().content == {'a': 1}
    wait_for(lambda: descriptors(server) <= before, 'the connections to be closed')


def test_large_answer(server):
    """To a client that takes its time."""
    with Wire(server, post(b'{"size":20000000}', path='echo/create')) as wire:
        assert wire.is_silent(DEADLINE) is False
        assert server.post('/api/v0/echo/read', {'a': 1}) == (200, {'a': 1})
        assert wire.answer().body == b'{"large":"%s"}' % (b'x' * 20_000_000)


def test_thousand_idle(server):
    """Beside those that have sent nothing, some of a request, and a whole one, a request is answered at once."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for _ in range(1000)]
        for wire in wires[::3]:
            wire.send(post(b'{}'))
            assert wire.answer().body == b'{}'
        for wire in wires[1::3]:
            wire.send(b'POST /api')
        started = time.monotonic()
        assert server.post('/api/v0/echo/read', {'a': 1}) == (200, {'a': 1})
        assert is_quick(time.monotonic() - started, 1)
        for wire in wires[::3]:
            wire.send(post(b'{"a":2}'))
        assert [wire.answer().content for wire in wires[::3]] == [{'a': 2}] * 334


def test_idle_time(product):
    """It begins anew with each request: a connection that goes on asking outlives one that does not."""
    with production(product, '--keep-alive', '3') as server, Wire(server, post()) as idle, Wire(server, post()) as asks:
        assert (idle.answer().content, asks.answer().content) == ({}, {})
        while idle.is_silent(0.3):
            asks.send(post(b'{"a":1}'))
            assert asks.answer().content == {'a': 1}
        assert idle.rest() == b''
        asks.send(post(b'{"a":2}'))
        assert asks.answer().content == {'a': 2}
        assert asks.rest() == b''


@pytest.fixture(scope='module')
def hasty(product):
    with Server('-m', 'tests.kit.programs.hasty', str(product)) as running:
        yield running
        assert 'Traceback' not in running.text


@pytest.mark.parametrize('data', [
    b'POST /api', head()[:-2], head('Content-Length: 100') + b'{', head(CHUNKED) + b'50\r\n{',
    head('Expect: 100-continue', 'Content-Length: 2')])
def test_slow_request(hasty, data):
    """A head or body that is not whole in time is refused, and what trickles in does not help it."""
    started = time.monotonic()
    with Wire(hasty, data) as wire:
        if b'Expect' in data:
            assert wire.take(len(CONTINUE)) == CONTINUE
        while wire.is_silent(0.2):
            assert time.monotonic() - started < DEADLINE
            wire.send(b'1' if data.endswith(b'{') else b'')
        assert time.monotonic() - started > 0.7
        assert wire.answer().status == 'HTTP/1.1 408 Request Timeout'
        assert wire.rest() == b''


def test_slow_connection(hasty):
    """One that says nothing is closed without a word, and one after an answer has the time of an idle one."""
    with Wire(hasty) as silent, Wire(hasty, post()) as idle:
        idle.answer()
        assert silent.rest() == b''
        idle.send(post(b'{"a":1}'))
        assert idle.answer().content == {'a': 1}
        idle.send(b'POST /api')
        assert idle.answer().status == 'HTTP/1.1 408 Request Timeout'


def test_slow_stream(hasty):
    """A handler that waits for more than comes in time is ended."""
    started = time.monotonic()
    with Wire(hasty, head('Content-Length: 10', path='raw/create') + b'a') as wire:
        wire.rest()
        assert time.monotonic() - started > 0.7


def test_never_reading(hasty):
    with Wire(hasty, post(b'{"size":50000000}', path='echo/create')) as wire:
        wait_for(lambda: wire.socket.recv(1, MSG_PEEK))
        wait_for(lambda: not wire.is_held, 'the server to give it up')
        with pytest.raises((AssertionError, ConnectionError)):
            wire.answer()
    assert hasty.post('/api/v0/echo/read', {'a': 1}) == (200, {'a': 1})
