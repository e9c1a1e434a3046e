"""A worker that answers nobody is replaced, with a line; one that is busy, or has nothing to do, is not."""
import os
import signal
import socket
import time

import pytest

from tests.kit.processes import Poller, children, is_running, lines_like, workers_of
from tests.kit.running import https, production, wait_for, write_tree
from tests.kit.wire import Wire

pytestmark = pytest.mark.once

LAB = '''
import gc
import os
import socket
import time

import gevent
from apiphant.server import raw_environ
from gevent.hub import get_hub
from gevent.monkey import get_original

def acceptors():
    found = [thing for thing in gc.get_objects() if type(thing).__name__ == 'Acceptor']
    return [acceptor for acceptor in found if acceptor._watcher.active]

def stop_watching():
    for acceptor in acceptors():
        acceptor._watcher.stop()

def lose_listener():
    """Its descriptor is something else."""
    for acceptor in acceptors():
        os.dup2(socket.socketpair()[0].detach(), acceptor._listener.fileno())

def accept_nothing():
    for acceptor in acceptors():
        acceptor._watcher.stop()
        acceptor._watcher.start(lambda: time.sleep(0.01))

def lose_events():
    """Nobody is told of anything that came before; timers go on, and so does what comes later."""
    other = get_original('select', 'epoll')()
    os.dup2(other.fileno(), get_hub().loop.fileno())

def read_nothing():
    """Of no connection."""
    for kind in set(map(type, gc.get_objects())):
        if kind.__name__ in ('Connection', 'TlsConnection'):
            for base in kind.__mro__[:-1]:
                base._read = lambda self: False

FAULTS = {fault.__name__: fault for fault in (stop_watching, lose_listener, accept_nothing, lose_events, read_nothing)}

@raw_environ
def create(environ):
    FAULTS[environ['QUERY_STRING']]()
    return {'pid': os.getpid()}

def read(request):
    return {'pid': os.getpid()}

def update(request):
    """Blocks for a while, again and again."""
    for _ in range(request.get('times', 1)):
        end = time.monotonic() + request.seconds
        while time.monotonic() < end:
            pass
        gevent.sleep(0)
    return {'pid': os.getpid()}
'''
CREATE = '/api/v0/lab/create'
UPDATE = '/api/v0/lab/update'
DEAF = r'A worker \(pid (\d+)\) does not answer .* any more: it leaves and is replaced'
FAULTS = ('stop_watching', 'lose_listener', 'accept_nothing', 'lose_events', 'read_nothing')


@pytest.fixture
def product(tmp_path):
    return write_tree(tmp_path, {'shop/api/v0/lab.py': LAB}) / 'shop'


@pytest.mark.parametrize('fault', FAULTS)
@pytest.mark.parametrize('start', ['plain', 'tls'])
def test_deaf_worker_is_replaced(product, tmp_path, fault, start):
    serve = production(product) if start == 'plain' else https(product, tmp_path)
    with serve as server:
        before = workers_of(server, 1)
        assert server.post(f'{CREATE}?{fault}')[1] == {'pid': min(before)}
        with socket.create_connection((server.host, server.port)):
            assert {int(server.wait_for_line(DEAF)[1])} == before
        wait_for(lambda: workers_of(server, 1) != before, 'another worker')
        assert {server.read('lab')['pid']} == workers_of(server, 1)
        assert len(lines_like(server, DEAF)) == 1
        assert server.end() == 0


@pytest.mark.parametrize('fault', ['stop_watching', 'lose_listener'])
def test_deaf_worker_among_others(product, fault):
    """The others answer all new clients meanwhile."""
    with production(product, '--workers', '2') as server:
        before = workers_of(server)
        deaf = server.post(f'{CREATE}?{fault}')[1]['pid']
        with Poller(lambda: server.post('/api/v0/lab/read')) as poller:
            assert int(server.wait_for_line(DEAF)[1]) == deaf
            wait_for(lambda: len(children(server.process.pid) - before) == 1, 'another worker')
        assert not poller.failures
        assert is_running(min(before - {deaf}))


def test_calls_of_a_deaf_worker_go_on(product):
    """One that accepts nobody still has its clients."""
    with production(product) as server, Wire(server) as kept:
        kept.send(b'POST /api/v0/lab/read HTTP/1.1\r\nHost: x\r\n\r\n')
        assert kept.answer().status.endswith('200 OK')
        server.post(f'{CREATE}?stop_watching')
        kept.send(
            b'POST /api/v0/lab/update HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\n{"seconds":0.01,"times":900')
        server.wait_for_line(DEAF)
        kept.send(b'}')
        assert kept.answer(False).status.endswith(('200 OK', '400 Bad Request'))


def test_busy_worker_is_not_deaf(product):
    """That is the affair of --timeout."""
    with production(product, '--timeout', '60') as server:
        before = workers_of(server, 1)
        assert server.post(UPDATE, {'seconds': 12})[1]['pid'] == min(before)
        assert server.post(UPDATE, {'seconds': 0.4, 'times': 30})[1]['pid'] == min(before)
        assert not lines_like(server, DEAF)


def test_stopped_worker_is_not_deaf(product):
    """As long as it was stopped, its own thread looked at nothing."""
    with production(product, '--timeout', '60') as server:
        worker = min(workers_of(server, 1))
        os.kill(worker, signal.SIGSTOP)
        time.sleep(9)
        os.kill(worker, signal.SIGCONT)
        time.sleep(3)
        assert server.read('lab') == {'pid': worker}
        assert not lines_like(server, DEAF)


@pytest.mark.parametrize('more', [(), ('--max-connections', '5')])
def test_full_or_idle_worker_is_not_deaf(product, more):
    """Clients who wait since all connections are busy."""
    with production(product, *more) as server:
        worker = min(workers_of(server, 1))
        clients = [Wire(server, b'POST /api/v0/lab/read HTTP/1.1\r\n') for _ in range(12)]
        time.sleep(10)
        assert not lines_like(server, DEAF)
        for client in clients:
            client.socket.close()
        assert server.read('lab') == {'pid': worker}


def test_own_calls_are_not_counted(product, tmp_path):
    with production(product, '--max-requests', '3', '--access-log', '-') as server:
        worker = min(workers_of(server, 1))
        time.sleep(5)
        assert server.read('lab') == {'pid': worker}
        server.wait_for_line('^POST')
        assert not lines_like(server, 'OPTIONS')
