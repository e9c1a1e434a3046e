"""SERVER.md, Isolation, its last paragraph: faults of single connections."""
import json
import select
import signal
import socket
import ssl
import threading
import time

import pytest

from tests.kit.processes import children as children_of
from tests.kit.running import DEADLINE, Server, https, make_certificate, production, wait_for, write_tree
from tests.kit.wire import Wire

pytestmark = pytest.mark.once

ECHO = '''
import time
import gevent

def read(request):
    gevent.sleep(request.pop('seconds', 0))
    return request

def create(request):
    return {'large': 'x' * request.size}

def update(request):
    """The longest that nobody else had a turn, in seconds of CPU time."""
    longest, end = 0, time.monotonic() + request.seconds
    while time.monotonic() < end:
        started = time.process_time()
        gevent.sleep(0.001)
        longest = max(longest, time.process_time() - started)
    return {'longest': longest}

def delete(request):
    return {'size': len(request.a)}
'''
RAW = '''
import gevent
from gevent.event import Event
from apiphant.server import raw_environ, raw_response

NOTED = []
LEFT = []
GO = Event()
FAIL = Event()

def read(request):
    return {'noted': NOTED}

@raw_environ
def update(environ):
    return {name: environ[name] for name in ('REMOTE_ADDR', 'SERVER_NAME')}

@raw_environ
@raw_response
def create(environ, start_response):
    return globals()[environ['QUERY_STRING']](environ, start_response)

def none(environ, start_response):
    start_response('200 OK', [])
    return []

def late(environ, start_response):
    """Reads the body after it has begun to answer."""
    write = start_response('200 OK', [('Content-Length', '3')])
    write(b'a')
    return [environ['wsgi.input'].read(2)]

def silent(environ, start_response):
    start_response('200 OK', [])
    try:
        yield b'begun'
        gevent.sleep(60)
    finally:
        NOTED.append('left')

def failing(environ, start_response):
    start_response('200 OK', [])
    yield b'part'
    FAIL.wait()
    raise ValueError('after the head')

def fail(environ, start_response):
    FAIL.set()
    return none(environ, start_response)

def leaving(environ, start_response):
    """Leaves greenlets that write and read when all this is over."""
    write = start_response('200 OK', [('Content-Length', '2')])
    stream = environ['wsgi.input']
    LEFT[:] = [
        gevent.spawn(lambda: (GO.wait(), write(b'evil'))),
        gevent.spawn(lambda: (GO.wait(), NOTED.append(stream.read())))]
    return [b'ok']

def going(environ, start_response):
    """Lets them, while this call goes on."""
    GO.set()
    gevent.joinall(LEFT)
    start_response('200 OK', [('Content-Length', '2')])
    return [environ['wsgi.input'].read(2)]
'''


@pytest.fixture(scope='module')
def product(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('single'), {
        'shop/api/v0/echo.py': ECHO, 'shop/api/v0/raw.py': RAW}) / 'shop'


@pytest.fixture(scope='module')
def server(product):
    with production(product, '--access-log', '-') as running:
        yield running
        assert running.end() == 0


@pytest.fixture(scope='module')
def hasty(product):
    with Server('-m', 'tests.kit.programs.hasty', str(product)) as running:
        yield running
        assert 'Traceback' not in running.text


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp('certificate'))


@pytest.fixture(scope='module')
def hasty_tls(product, certificate):
    with Server('-m', 'tests.kit.programs.hasty', str(product), str(certificate)) as running:
        running.tls = ssl.create_default_context(cafile=certificate)
        yield running
        assert 'Traceback' not in running.text


@pytest.fixture(params=['plain', 'tls'])
def either(request):
    """A hasty server."""
    return request.getfixturevalue('hasty' if request.param == 'plain' else 'hasty_tls')


def post(body=b'{}', *headers, path='echo/read', method='POST'):
    lines = [f'{method} /api/v0/{path} HTTP/1.1', 'Host: x', f'Content-Length: {len(body)}', *headers, '', '']
    return '\r\n'.join(lines).encode() + body


CONTINUE = b'HTTP/1.1 100 Continue\r\n\r\n'


@pytest.mark.parametrize('next_one', [b'POST /api', post()[:-10], post(b'{"a":1}')[:-3], post()])
def test_deadline_of_the_next(either, next_one):
    """A call may take longer than a head or body that waits behind it; that has its own time after the answer."""
    with Wire(either, post(b'{"seconds":2.5,"n":1}') + next_one) as wire:
        assert wire.answer().content == {'n': 1}
        if next_one != post():
            assert wire.answer().status == 'HTTP/1.1 408 Request Timeout'


def test_no_continue_after_the_head(server):
    with Wire(server, post(b'{}', 'Expect: 100-continue', path='raw/create?late')[:-2]) as wire:
        assert wire.until(b'\r\n\r\n').startswith(b'HTTP/1.1 200 OK\r\n')
        assert wire.take(1) == b'a'
        assert wire.is_silent()
        wire.send(b'bc')
        assert wire.take(2) == b'bc'


@pytest.mark.parametrize('path', ['echo/create', 'raw/create?none', 'none/read'])
def test_listened_to_until_it_has_all(server, path):
    """What a client sends after its last request takes nothing of the answer from it."""
    with Wire(server, post(b'{"size":3000000}', 'Connection: close', path=path)) as wire:
        for _ in range(10):
            wire.send(b'x' * 1000)
            time.sleep(0.005)
        answer = wire.answer()
        wire.send(b'x' * 100_000)
        assert wire.rest() == b''
    assert answer.headers['Connection'] == 'close'
    assert path != 'echo/create' or len(answer.content['large']) == 3_000_000


def test_listened_to_while_it_takes(either):
    """A client that is slow, and says something, has its last answer nevertheless."""
    with Wire(either) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        wire.send(post(b'{"size":600000}', 'Connection: close', path='echo/create'))
        data = b''
        while part := wire.socket.recv(16 * 1024):
            data += part
            time.sleep(0.1)
            wire.send(b'x')
    assert data.endswith(b'xxx"}')
    assert len(data) > 600_000


def test_failure_takes_no_earlier_answer(server):
    """What a client has not read yet would be lost with a reset, which closing with something unread is."""
    with Wire(server, post(b'{"n":1}') + post(path='raw/create?failing')) as wire, Wire(server) as other:
        wait_for(lambda: b'part' in wire.socket.recv(4096, socket.MSG_PEEK), 'the begun answer')
        wire.send(post())
        other.send(post(path='raw/create?fail'))
        other.answer()
        logged = server.wait_for_line('POST /api/v0/raw/create ([0-9]+) 4 ')
        assert wire.answer().content == {'n': 1}
        assert wire.rest().endswith(b'\r\n4\r\npart\r\n')
    assert logged[1] == '200'  # the client has not left


def test_listened_to_not_for_ever(hasty):
    with Wire(hasty, post(b'{}', 'Connection: close')) as wire:
        wire.answer()
        with pytest.raises(OSError):
            for _ in range(200):
                wire.send(b'x')
                time.sleep(0.1)


def test_integers():
    """Exact, of up to 4300 digits."""
    from apiphant.api.answer import parse
    from apiphant.validation import BadRequest
    for digits in (1, 19, 20, 100, 4300):
        assert parse(b'{"a":%b}' % (b'9' * digits)).a == int('9' * digits)
    with pytest.raises(BadRequest):
        parse(b'{"a":%b}' % (b'9' * 4301))


def noted(server, count):
    wait_for(
        lambda: server.post('/api/v0/raw/read')[1]['noted'].count('left') >= count, 'the stream to be noticed',
        DEADLINE)


@pytest.mark.parametrize('how', ['reset', 'closed'])
def test_left_while_a_stream_is_silent(hasty, how):
    before = hasty.post('/api/v0/raw/read')[1]['noted'].count('left')
    with Wire(hasty) as stays, Wire(hasty) as leaves:
        for wire in (stays, leaves):
            wire.send(post(path='raw/create?silent'))
            wire.until(b'\r\n\r\n')
            assert wire.chunk() == b'begun'
        stays.half_close()
        if how == 'reset':
            leaves.reset()
        else:
            forgotten_after = 1  # seconds
            leaves.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, forgotten_after)
            leaves.socket.close()
        noted(hasty, before + 1)
        assert stays.is_silent(1.5)
    noted(hasty, before + 1)


@pytest.mark.parametrize(('sent', 'line'), [
    (post(b'{"a":1}', path='echo/left')[:-3], 'POST /api/v0/echo/left 499 0 '),
    (post(b'{"a":1}', path='raw/create?left&late')[:-3], None),
    (post(b'{"size":40000000}', path='echo/create'), 'POST /api/v0/echo/create 499 '),
    (post(path='raw/create?silent'), 'POST /api/v0/raw/create 499 5 ')])
def test_access_log_of_one_that_left(server, sent, line):
    since = len(server.lines)
    with Wire(server, sent) as wire:
        if line is None or 'left' in line:
            time.sleep(0.1)
        else:
            wire.take(20)
        wire.reset()
    server.wait_for_line(line or 'POST /api/v0/raw/create (499|500) ', since)


@pytest.mark.parametrize('step', [2, 1, 1000, 20_000])
def test_endless_empty_lines(server, step):
    """Bounded, in pieces of any size; some before each request are none of these."""
    with Wire(server) as wire:
        for number in range(3):
            wire.send(b'\r\n' * 2000 + post(b'{"n":%d}' % number) + b'\r\n')
            assert wire.answer().content == {'n': number}
        data = b'\r\n' * 10_000
        try:
            for start in range(0, len(data), step):
                wire.send(data[start:start + step])
        except OSError:
            pass
        assert wire.answer().status == 'HTTP/1.1 400 Bad Request'
        assert wire.rest() == b''


def test_never_reading(either):
    """Nothing taken for the time of the limit ends it, though the client goes on sending."""
    with Wire(either, post(b'{"size":50000000}', path='echo/create')) as wire, pytest.raises(OSError):
        for _ in range(300):
            wire.socket.sendall(b'x' * 10)
            time.sleep(0.1)
    assert either.post('/api/v0/echo/read', {'a': 1}) == (200, {'a': 1})


def test_slow_reader_with_progress(either):
    """One that takes something now and then has all in the end."""
    with Wire(either, post(b'{"size":8000000}', path='echo/create')) as wire:
        head = wire.until(b'\r\n\r\n')
        size = int(head.lower().partition(b'content-length: ')[2].partition(b'\r\n')[0])
        end = time.monotonic() + 4
        taken = len(wire._buffer)
        while taken < size and (part := wire.socket.recv(10_000)):
            taken += len(part)
            time.sleep(0.01 if time.monotonic() < end else 0)
        assert taken == size


def raw_tls(server, certificate, *sent):
    """A client that takes no end without close_notify."""
    context = ssl.create_default_context(cafile=certificate)
    plain = socket.create_connection((server.host, server.port), timeout=DEADLINE)
    wrapped = context.wrap_socket(plain, server_hostname=server.host, suppress_ragged_eofs=False)
    for data in sent:
        wrapped.sendall(data)
    return wrapped


def read_on(wrapped):
    parts = []
    while part := wrapped.recv(65536):
        parts.append(part)
    return b''.join(parts)


@pytest.mark.parametrize('sent', [
    post(b'{}', 'Connection: close'), b'GET * HTTP/1.1\r\n\r\n', b'POST /', b'', post(path='raw/create?none')[:-1]])
def test_close_notify(hasty_tls, certificate, sent):
    """However a connection ends, idle for too long too."""
    with raw_tls(hasty_tls, certificate, sent) as wrapped:
        found = read_on(wrapped)
    assert bool(found) is bool(sent)


def test_close_notify_of_an_idle_connection(product, tmp_path):
    with (
        https(product, tmp_path, '--keep-alive', '1') as server,
        raw_tls(server, tmp_path / 'both.pem', post()) as wrapped,
    ):
        assert read_on(wrapped).endswith(b'{}')


def test_mapped_addresses(product):
    """IPv4 clients of [::] are known by their IPv4 address, so that they can be trusted as proxies."""
    with Server('-m', 'apiphant.cli', str(product), '[::]:0', '--access-log', '-') as server:
        server.host = '127.0.0.1'
        status, _, body = server.ask('/api/v0/raw/update', b'', headers={'X-Forwarded-For': '1.2.3.4'})
        assert (status, json.loads(body)) == (200, {'REMOTE_ADDR': '127.0.0.1', 'SERVER_NAME': '127.0.0.1'})
        server.wait_for_line(r'/api/v0/raw/update 200 \d+ [\d.]+ 1\.2\.3\.4$')


@pytest.mark.parametrize('path', ['echo/read', 'raw/create?late'])
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_half_a_body_at_the_end(product, number, path):
    """The rest of it may come in the graceful time, and is answered."""
    with production(product) as server, Wire(server, post(b'{"a":1}', path=path)[:-3]) as wire:
        worker = workers(server)
        server.post('/api/v0/echo/read', {})
        server.process.send_signal(number)
        if number == signal.SIGHUP:
            wait_for(lambda: workers(server) - worker, 'the new worker')
        else:
            wait_for(lambda: not is_open(server), 'the listener to be closed')
        time.sleep(0.3)
        wire.send(b':1}')
        answer = wire.answer()
        assert answer.status == 'HTTP/1.1 200 OK'
        assert number == signal.SIGHUP or answer.headers['Connection'] == 'close'
        wire.rest()
        wait_for(lambda: not worker & workers(server), 'the old worker to leave')


def workers(server):
    return children_of(server.process.pid)


def is_open(server):
    try:
        socket.create_connection((server.host, server.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_left_greenlets_of_a_raw_call(server):
    """They can neither write into the next answer nor take the next body."""
    with Wire(server, post(path='raw/create?leaving')) as wire:
        assert wire.answer().body == b'ok'
        wire.send(post(b'{}', path='raw/create?going')[:-2])
        assert wire.is_silent(0.3)
        wire.send(b'{}')
        answer = wire.answer()
        assert (answer.status, answer.body) == ('HTTP/1.1 200 OK', b'{}')
        assert wire.is_silent()


# Fairness

MANY = b'{"a":[' + b','.join([b'{}'] * 330_000) + b']}'


def test_large_body_gives_way(server):
    """330,000 objects in a MB: while they are made, others have their turn. It is CPU time that is measured."""
    with Wire(server, post(b'{"seconds":3}', path='echo/update')) as watching:
        for _ in range(3):
            with Wire(server, post(MANY, path='echo/delete')) as wire:
                assert wire.answer().content == {'size': 330_000}
        assert watching.answer().content['longest'] < 0.05


def test_endless_pipeline_gives_way(server):
    """It never waits for an answer, and its buffers are full all the time."""
    with Wire(server, post(b'{"seconds":2}', path='echo/update')) as watching, Wire(server) as wire:
        reader = threading.Thread(target=read_until_it_ends, args=(wire.socket,))
        reader.start()
        wire.socket.setblocking(True)
        watching.socket.setblocking(False)
        sent, data = 0, post(b'{"a":1}') * 1000
        while not select.select([watching.socket], [], [], 0)[0]:
            wire.send(data)
            sent += 1
        watching.socket.settimeout(DEADLINE)
        assert watching.answer().content['longest'] < 0.02
        wire.half_close()
        reader.join()
        assert sent > 5


def read_until_it_ends(client):
    while client.recv(1_000_000):
        pass
