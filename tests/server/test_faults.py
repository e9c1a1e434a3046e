"""What goes wrong around a server and in handlers: it goes on, or leaves with one clear line."""
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.kit.processes import (
    Serving,
    answers_promptly,
    connect,
    cpu_of,
    leaves,
    lines_like,
    listening,
    memory_of,
    read_all,
    request_bytes,
    workers_of,
)
from tests.kit.running import Server, production, run_cli, wait_for, write_tree

pytestmark = pytest.mark.once

PLAIN = '''
import os

def read(request):
    return {'pid': os.getpid()}
'''
RAISING = '''
import gevent

class Odd(Exception):
    def __str__(self):
        raise KeyError('odd')

class Odder(Exception):
    def __str__(self):
        raise SystemExit(7)

def deeper(): return deeper() + 1
def memory(): return bytearray(2 ** 62)
def group(): raise ExceptionGroup('group', [KeyError('secret'), ExceptionGroup('inner', [ValueError('secret')])])
def chained():
    try:
        raise KeyError('secret')
    except KeyError as error:
        raise ValueError('secret') from error

ERRORS = {
    error.__name__: error('secret') for error in (
        Exception, KeyError, SystemExit, KeyboardInterrupt, gevent.GreenletExit, StopIteration, BaseException,
        GeneratorExit, BrokenPipeError, BlockingIOError)
}
ERRORS |= {
    'Timeout': gevent.Timeout(9), 'RecursionError': deeper, 'MemoryError': memory, 'Odd': Odd(), 'Odder': Odder(),
    'ExceptionGroup': group, 'surrogate': Exception('secret \\ud800'), 'ValueError': chained,
}

def fail(name):
    error = ERRORS[name]
    if isinstance(error, BaseException):
        raise error
    return error()

def read(request):
    return fail(request.name)
'''
RAW = '''
from apiphant.server import raw_environ, raw_response
from .raising import fail

@raw_environ
def read(environ):
    return fail(environ['QUERY_STRING'])

@raw_response
def create(request, start_response):
    return fail(request.name)

@raw_response
def update(request, start_response):
    start_response('200 OK', [])
    return fail(request.name)

@raw_response
def delete(request, start_response):
    start_response('200 OK', [])
    fail(request.name)
    yield b'never'
'''
RETURNING = '''
import datetime
from decimal import Decimal

def circular():
    content = {}
    content['self'] = content
    return content

def deep():
    content = {}
    for _ in range(100_000):
        content = {'a': content}
    return content

VALUES = {
    'none': lambda: None, 'list': lambda: [1], 'str': lambda: 'text', 'bytes': lambda: b'text',
    'generator': lambda: (i for i in range(3)), 'set': lambda: {1},
    'nan': lambda: {'a': float('nan')}, 'surrogate': lambda: {'a': '\\ud800'}, 'surrogate key': lambda: {'\\ud800': 1},
    'datetime': lambda: {'a': datetime.datetime(2026, 1, 2, 3, 4, 5)}, 'circular': circular,
    'int key': lambda: {1: 2}, 'bytes key': lambda: {b'a': 1}, 'none key': lambda: {None: 1},
    'object': lambda: {'a': object()}, 'large': lambda: {'a': 'x' * 20_000_000}, 'deep': deep,
    'big int': lambda: {'a': 2 ** 4000}, 'generator inside': lambda: {'a': (i for i in range(3))},
    'function': lambda: {'a': print}, 'class': lambda: dict,
}

def read(request):
    return VALUES[request.name]()
'''
ODD = '''
import gevent

KEPT = []

def read(request):
    """Blocks, as no greenlet should."""
    while True:
        pass

def create(request):
    """Leaves a greenlet behind, and one that fails."""
    KEPT.append(gevent.spawn(gevent.sleep, 600))
    gevent.spawn(lambda: 1 / 0) if request.get('fails') else None
    return {}

def update(request):
    gevent.sleep(request.get('seconds', 1))
    return {}

def delete(request):
    """Leaks a megabyte and changes what is not its own."""
    KEPT.append(bytearray(2 ** 20))
    request.clear()
    return {}
'''
FIXED = {'error': '500 Internal Server Error'}
READ = '/api/v0/plain/read'
NAMES = ('Exception', 'KeyError', 'SystemExit', 'KeyboardInterrupt', 'GreenletExit', 'Timeout', 'RecursionError',
         'MemoryError', 'StopIteration', 'Odd', 'Odder', 'ExceptionGroup', 'BaseException', 'GeneratorExit',
         'surrogate', 'ValueError', 'BrokenPipeError', 'BlockingIOError')
RETURNED = {
    'none': (200, {}), 'datetime': (200, {'a': '2026-01-02T03:04:05'}),
    'int key': (200, {'1': 2}), 'bytes key': (200, {'YQ==': 1}), 'large': (200, {'a': 'x' * 20_000_000}),
    **dict.fromkeys((
        'nan', 'list', 'str', 'bytes', 'generator', 'set', 'surrogate', 'surrogate key', 'circular', 'none key',
        'object', 'deep', 'generator inside', 'function', 'class'), (500, FIXED))}


@pytest.fixture(scope='module')
def product(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('faults'), {
        'lab/api/v0/plain.py': PLAIN, 'lab/api/v0/raising.py': RAISING, 'lab/api/v0/raw.py': RAW,
        'lab/api/v0/returning.py': RETURNING, 'lab/api/v0/odd.py': ODD}) / 'lab'


@pytest.fixture(scope='module')
def lasting(product):
    """Handlers may do what they like: one server takes it all."""
    with production(product, '--workers', '2') as running:
        yield running, workers_of(running)


@pytest.fixture
def server(lasting):
    running, workers = lasting
    yield running
    answers_promptly(running)
    assert workers_of(running) == workers


# Starting


def check_clear(done, *texts, status=1):
    """One line of ours, and nothing of our insides."""
    assert done.returncode == status, done
    ours = [line for line in done.stderr.splitlines() if line.startswith('apiphant')]
    assert len(ours) == 1, done.stderr
    for text in texts:
        assert text in done.stderr, done.stderr
    for text in ('/apiphant/', '/gunicorn/', '/gevent/', 'importlib'):
        assert text not in done.stderr, done.stderr
    return ours[0]


def test_port_in_use(product):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        done = run_cli(str(product), f'127.0.0.1:{taken.getsockname()[1]}')
    assert done.stderr == check_clear(done, 'address already in use') + '\n'


def test_privileged_port(product):
    command = [
        'setpriv', '--bounding-set=-net_bind_service', sys.executable, '-m', 'apiphant.cli', str(product),
        '127.0.0.1:81']
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    assert done.stderr == check_clear(
        done, 'cannot listen on 127.0.0.1:81: no permission; ports under 1024 are for root') + '\n'


def test_host_without_address(product):
    done = run_cli(str(product), 'nowhere.invalid:8888')
    assert done.stderr == check_clear(done, 'cannot listen on nowhere.invalid:8888') + '\n'


def test_address_of_another_machine(product):
    done = run_cli(str(product), '192.0.2.1:8888')
    assert done.stderr == check_clear(done, 'cannot listen on 192.0.2.1:8888: cannot assign requested address') + '\n'


def test_unix_path_is_a_file(product, tmp_path):
    path = tmp_path / 'file'
    path.write_text('mine')
    done = run_cli(str(product), f'unix:{path}')
    assert done.stderr == check_clear(done, 'a file that is not a socket is there already') + '\n'
    assert path.read_text() == 'mine'


def test_unix_path_without_folder(product, tmp_path):
    done = run_cli(str(product), f'unix:{tmp_path}/none/socket')
    assert done.stderr == check_clear(done, 'no such file or directory') + '\n'


def test_unix_socket_of_another(product, tmp_path):
    with Serving(product, f'unix:{tmp_path}/socket') as server:
        done = run_cli(str(product), f'unix:{tmp_path}/socket')
        assert done.stderr == check_clear(done, 'another server listens there already') + '\n'
        assert call_unix(server).startswith(b'HTTP/1.1 200')


def test_stale_unix_socket(product, tmp_path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / 'socket'))
    with Serving(product, f'unix:{tmp_path}/socket') as server:
        assert call_unix(server).startswith(b'HTTP/1.1 200')
        assert leaves(server) == 0
    assert not (tmp_path / 'socket').exists()


def test_unix_socket_that_was_removed(product, tmp_path):
    with Serving(product, f'unix:{tmp_path}/socket') as server:
        (tmp_path / 'socket').unlink()
        assert leaves(server) == 0
        assert not lines_like(server, 'Traceback')


def call_unix(server):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server.place.removeprefix('unix:'))
        connection.sendall(request_bytes(READ, {}, 'Connection: close'))
        return read_all(connection)


BROKEN = {'import nowhere_at_all\n': "ModuleNotFoundError: No module named 'nowhere_at_all'",
          'def read(:\n': 'SyntaxError', 'raise SystemExit(0)\n': 'SystemExit: 0',
          'import os; 1 / 0\n': 'ZeroDivisionError', 'raise KeyboardInterrupt\n': 'KeyboardInterrupt',
          'async def read(request): return {}\n': 'TypeError'}


@pytest.mark.parametrize('text', BROKEN)
def test_broken_at_start(tmp_path, text):
    path = write_tree(tmp_path, {'lab/api/v0/broken.py': text, 'lab/api/v0/plain.py': PLAIN}) / 'lab'
    done = run_cli(str(path), '127.0.0.1:0', '--workers', '2')
    assert check_clear(done, BROKEN[text]) in (
        'apiphant: cannot import lab.api.v0.broken', 'apiphant: cannot import lab')


# Streams and descriptors


def check_goes_on(server):
    answers_promptly(server)
    for name in NAMES[:3]:
        assert server.post('/api/v0/raising/read', {'name': name}) == (500, FIXED)
    answers_promptly(server)


def test_closed_output(product):
    with production(product, '--access-log', '-', preexec_fn=lambda: os.close(1)) as server:
        check_goes_on(server)
        assert leaves(server) == 0


def close_streams():
    for number in range(3):
        os.close(number)


def test_all_streams_closed(product):
    with listening() as listener:
        number = listener.fileno()
        with Quiet(product, listener, '--access-log', '-', preexec_fn=close_streams) as server:
            assert number > 2
            check_goes_on(server)
            assert leaves(server) == 0


class Quiet(Server):
    """A server that cannot say where it is, on a socket that it inherits."""

    def __init__(self, product, listener, *words, **options):
        self._listener = listener
        super().__init__(
            '-m', 'apiphant.cli', str(product), '--fd', str(listener.fileno()), *words, pass_fds=[listener.fileno()],
            **options)
        try:
            wait_for(self._is_up, 'an answer')
        except BaseException:
            self.process.kill()
            raise

    def wait_for_line(self, pattern, since=0):
        host, port = self._listener.getsockname()
        return {'host': host, 'port': port}

    def _is_up(self):
        return self.post(READ)[0] == 200


@pytest.fixture
def full_pipe():
    """The end to write to, and nobody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b'x' * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize('words', [(), ('--access-log', '-')])
def test_full_output(product, full_pipe, words):
    with production(product, *words, '--graceful-timeout', '2', preexec_fn=lambda: os.dup2(full_pipe, 1)) as server:
        check_goes_on(server)


def test_full_error_output(product, full_pipe):
    with (
        listening() as listener,
        Quiet(product, listener, '--graceful-timeout', '2', preexec_fn=lambda: os.dup2(full_pipe, 2)) as server,
    ):
        check_goes_on(server)


@pytest.mark.parametrize('number', [1, 2])
def test_full_disk(product, number):
    with (
        listening() as listener,
        Quiet(
            product, listener, '--access-log', '-',
            preexec_fn=lambda: os.dup2(os.open('/dev/full', os.O_WRONLY), number)) as server,
    ):
        check_goes_on(server)
        server.process.send_signal(signal.SIGHUP)
        check_goes_on(server)
        leaves(server)


def test_access_log_on_full_disk(product):
    with production(product, '--access-log', '/dev/full') as server:
        check_goes_on(server)
        assert len(server.lines) < 200, len(server.lines)


def test_removed_access_log(product, tmp_path):
    log = tmp_path / 'access.log'
    with production(product, '--access-log', str(log)) as server:
        check_goes_on(server)
        log.unlink()
        check_goes_on(server)
        server.process.send_signal(signal.SIGUSR1)
        wait_for(log.exists, 'a new log')
        check_goes_on(server)
        wait_for(lambda: len(log.read_text().splitlines()) >= 5)


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def check_calm(server):
    """No spinning, no flood."""
    pids = [server.process.pid, *workers_of(server, 1)]
    before = sum(map(cpu_of, pids))
    time.sleep(1)
    assert sum(map(cpu_of, pids)) - before < 0.3
    assert len(server.lines) < 10, server.text


@pytest.mark.parametrize('sent', [b'', request_bytes(READ)])
def test_few_descriptors_and_idle_clients(product, sent):
    with production(product, preexec_fn=few_descriptors) as server:
        clients = [connect(server, sent) for _ in range(200)]
        answers_promptly(server)
        check_calm(server)
        answers_promptly(server)
        for client in clients:
            client.close()
        answers_promptly(server)


def test_few_descriptors_and_busy_clients(product):
    with production(product, preexec_fn=few_descriptors) as server:
        clients = [
            connect(server, request_bytes('/api/v0/odd/update', {'seconds': 2}, 'Connection: close'))
            for _ in range(50)]
        check_calm(server)
        assert all(read_all(client).endswith(b'{}') for client in clients)
        answers_promptly(server)
        check_calm(server)


def test_few_descriptors_and_slow_heads(product):
    with production(product, preexec_fn=few_descriptors) as server:
        clients = [connect(server, b'POST /api') for _ in range(200)]
        check_calm(server)
        for client in clients:
            client.close()
        wait_for(lambda: server.post(READ)[0] == 200)
        answers_promptly(server)


# Handlers


def test_endless_handler(product):
    with production(product, '--workers', '2', '--graceful-timeout', '1') as server:
        workers_of(server)
        with connect(server, request_bytes('/api/v0/odd/read')):
            wait_for(lambda: any(cpu_of(pid) > 1 for pid in workers_of(server)), 'the loop')
            assert len({answers_promptly(server)['pid'] for _ in range(20)}) == 1


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('path', ['raising/read', 'raw/read', 'raw/create', 'raw/update', 'raw/delete'])
def test_raising(server, path, name):
    since = len(server.lines)
    status, headers, body = server.ask(f'/api/v0/{path}?{name}', json.dumps({'name': name}).encode())
    assert (status, json.loads(body)) == (500, FIXED)
    assert headers['Content-Type'] == 'application/json'
    server.wait_for_line(rf'POST /api/v0/{path} failed', since)
    server.wait_for_line(rf'(\b|\.|\| ){"Exception" if name == "surrogate" else name}\b', since)
    assert not lines_like(server, 'A connection failed|Logging error')


@pytest.mark.parametrize('name', RETURNED)
def test_returning(server, name):
    assert server.post('/api/v0/returning/read', {'name': name}) == RETURNED[name]


def test_returning_a_huge_number(server):
    assert server.ask('/api/v0/returning/read', b'{"name": "big int"}')[::2] == (200, b'{"a":%d}' % 2 ** 4000)


def test_greenlets_left_behind(product):
    with production(product) as server:
        for number in range(200):
            assert server.post('/api/v0/odd/create', {'fails': number % 50 == 0}) == (200, {})
        answers_promptly(server)
        assert leaves(server) == 0


def test_leaking_handler(server):
    for _ in range(50):
        assert server.post('/api/v0/odd/delete', {'a': 1}) == (200, {})


def test_memory_does_not_grow(product):
    with production(product) as server:
        worker = workers_of(server, 1).pop()
        call_often(server, 5000)
        before = memory_of(worker)
        call_often(server, 20_000)
        assert memory_of(worker) - before < 1_000_000


def call_often(server, number):
    """Kept connections, new ones, and failures."""
    batch = request_bytes(READ) * 50
    with connect(server) as connection:
        for _ in range(number // 50 - 10):
            connection.sendall(batch)
            received = b''
            while received.count(b'HTTP/1.1 200') < 50 or not received.endswith(b'}'):
                part = connection.recv(65536)
                assert part
                received += part
    for _ in range(400):
        with connect(server, request_bytes(READ, {}, 'Connection: close')) as connection:
            assert read_all(connection).startswith(b'HTTP/1.1 200')
    for _ in range(100):
        with connect(server, b'nonsense\r\n\r\n') as connection:
            assert read_all(connection).startswith(b'HTTP/1.1 400')
