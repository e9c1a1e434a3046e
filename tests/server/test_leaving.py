"""A process that is told to stop answers calls whose last bytes arrive, and is gone: production, TLS and dev."""
import os
import signal
import threading
import time

import pytest

from tests.kit.processes import children, is_running, lines_like, request_bytes, workers_of
from tests.kit.running import dev, https, production, wait_for, write_tree
from tests.kit.wire import Wire

pytestmark = pytest.mark.once

LAB = '''
import os
import sys
from pathlib import Path

import gevent

def read(request):
    gevent.sleep(request.get('seconds', 0))
    return {'pid': os.getpid()}

def update(request):
    """Has this process told to stop; when it stops, holds it until there is the file."""
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get('self'), 'is_stopping'):
        frame = frame.f_back
    server = frame.f_locals['self']
    os.kill(request.pid, request.signal)
    while not server.is_stopping:
        gevent.sleep(0.001)
    print('It stops', flush=True)
    while not Path(request.file).exists():
        pass
    return {}
'''
READ = '/api/v0/lab/read'
STARTS = {
    'production': lambda product, folder: production(product, '--graceful-timeout', '60'),
    'tls': lambda product, folder: https(product, folder, '--graceful-timeout', '60'),
    'dev': lambda product, folder: dev(product)}


@pytest.fixture
def product(tmp_path):
    return write_tree(tmp_path, {'shop/api/v0/lab.py': LAB}) / 'shop'


def kept(server, number):
    """Connections that have had an answer."""
    wires = [Wire(server, request_bytes(READ)) for _ in range(number)]
    return wires, {wire.answer().content['pid'] for wire in wires}.pop()


@pytest.mark.parametrize(('kind', 'number'), [
    ('production', signal.SIGTERM), ('production', signal.SIGHUP), ('tls', signal.SIGTERM), ('tls', signal.SIGHUP),
    ('dev', signal.SIGTERM)])
@pytest.mark.parametrize('seconds', [0, 0.2])
def test_last_bytes_when_it_stops(product, tmp_path, kind, number, seconds):
    """Whole requests and ends of them, all unread when idle connections are closed."""
    data, file = request_bytes(READ, {'seconds': seconds}), tmp_path / 'go'
    with STARTS[kind](product, tmp_path) as server:
        (idle, _), (whole, _), (half, pid) = (kept(server, 40) for _ in range(3))
        for wire in half:
            wire.send(data[:-5])
        told = pid if kind == 'dev' else server.process.pid
        last = Wire(server, request_bytes('/api/v0/lab/update', {'pid': told, 'signal': number, 'file': str(file)}))
        server.wait_for_line('It stops')
        for wire in whole:
            wire.send(data[:20])
            wire.send(data[20:])
        for wire in half:
            wire.send(data[-5:])
        time.sleep(0.5)  # it is long past the moment when idle connections are closed
        os.close(os.open(file, os.O_CREAT))
        for wire in (*half, *whole):
            assert wire.answer().content == {'pid': pid}
        assert last.answer().content == {}
        assert {wire.rest() for wire in (*idle, *half, *whole, last)} == {b''}
        wait_for(lambda: not is_running(pid), 'the process to leave')
        for wire in (*idle, *half, *whole, last):
            wire.socket.close()
        if kind != 'dev':
            assert server.end() == 0


def test_none_is_left_over_many_hups(product):
    """Under two hundred clients who keep their connections and call all the time."""
    with production(product, '--graceful-timeout', '8') as server:
        is_over = threading.Event()
        answered, failed = [0], []
        threads = [
            threading.Thread(target=call_all_the_time, args=(server, 25, is_over, answered, failed)) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                olds, before = children(server.process.pid), answered[0]
                server.process.send_signal(signal.SIGHUP)
                wait_for(lambda: not olds & children(server.process.pid), 'the old workers to leave', 30)  # noqa: B023
                wait_for(lambda: answered[0] > before + 200, 'calls to go on')  # noqa: B023
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        assert not failed
        assert len(workers_of(server, 1)) == 1
        assert not lines_like(server, 'ERROR|WARNING')
        assert server.end() == 0


def call_all_the_time(server, number, is_over, answered, failed):
    """On so many connections in turn; one that was closed between two calls is opened again."""
    wires = [Wire(server) for _ in range(number)]
    while not is_over.is_set():
        for index, wire in enumerate(wires):
            try:
                wire.send(request_bytes(READ))
                answer = wire.answer()
                answered[0] += 1
            except (AssertionError, OSError) as error:
                if 'after b\'\'' not in str(error) and not isinstance(error, ConnectionError):
                    failed.append(error)
                answer = None
            if answer is None or answer.headers.get('Connection') == 'close':
                wire.socket.close()
                wires[index] = Wire(server)
    for wire in wires:
        wire.socket.close()
