"""What signals do to a server that runs."""
import os
import signal
import socket
import sys
import threading
import time

import pytest

from tests.kit.processes import (
    Poller,
    Serving,
    answers_promptly,
    children,
    connect,
    is_running,
    leaves,
    lines_like,
    read_all,
    request_bytes,
    workers_of,
)
from tests.kit.running import DEADLINE, Server, make_key_and_certificate, production, wait_for, write_tree

pytestmark = pytest.mark.once

PLAIN = '''
import os

VERSION = 1

def read(request):
    return {'version': VERSION, 'pid': os.getpid()}
'''
SLOW = '''
import os

import gevent

from . import plain

def read(request):
    """Ends by itself, or when a file is there."""
    print('slow begins', flush=True)
    with gevent.Timeout(request.seconds, False):
        while not os.path.exists(request.get('gate', '/none')):
            gevent.sleep(0.01)
    return {'version': plain.VERSION}

def update(request):
    """Blocks, as no greenlet should."""
    print('loop begins', flush=True)
    while True:
        pass
'''
IMPORTING = '''
import sys, time

print('import begins', file=sys.stderr, flush=True)
time.sleep(600)
'''
READ = '/api/v0/plain/read'
SLOWLY = '/api/v0/slow/read'
LONG = 600  # seconds, for which nothing here waits
LOOP = '/api/v0/slow/update'


@pytest.fixture
def product(tmp_path):
    return write_tree(tmp_path, {'lab/api/v0/plain.py': PLAIN, 'lab/api/v0/slow.py': SLOW}) / 'lab'


def wait_until_all_serve(server):
    seen = set()
    wait_for(lambda: seen.add(server.post(READ)[1]['pid']) or len(seen) == 2, 'both workers to answer')


@pytest.fixture
def gate(tmp_path):
    """A file that is not there yet: what waits for it goes on when the test makes it."""
    return tmp_path / 'gate'


@pytest.fixture
def server(product):
    with production(product, '--workers', '2', '--graceful-timeout', str(LONG)) as running:
        wait_until_all_serve(running)
        yield running


@pytest.fixture
def hasty(product):
    """A second or two for everything."""
    with production(product, '--workers', '2', '--graceful-timeout', '2', '--timeout', '2') as running:
        wait_until_all_serve(running)
        yield running


def start_slow(server, seconds=LONG, path=SLOWLY, gate='/none'):
    """A connection whose request is being answered."""
    since = len(server.lines)
    connection = connect(server, request_bytes(path, {'seconds': seconds, 'gate': str(gate)}))
    server.wait_for_line('begins', since)
    return connection


def is_refused(server):
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    return False


def is_free(server):
    try:
        socket.create_server((server.host, server.port)).close()
    except OSError:
        return False
    return True


def check_gone(server, workers):
    assert not [pid for pid in workers if is_running(pid)]
    assert is_refused(server)


# TERM and INT


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stops_with_nothing(server, number):
    workers = workers_of(server)
    assert leaves(server, number) == 0
    check_gone(server, workers)
    assert server.lines[1:] == []


@pytest.mark.parametrize('count', [1, 1000])
def test_term_with_idle(server, count):
    connections = [connect(server, request_bytes(READ)) for _ in range(count)]
    for connection in connections:
        assert connection.recv(4096).startswith(b'HTTP/1.1 200')
    assert leaves(server) == 0
    assert [read_all(connection) for connection in connections] == [b''] * count


def test_term_with_silent_connections(server):
    connections = [connect(server) for _ in range(20)]
    answers_promptly(server)
    assert leaves(server) == 0
    assert {read_all(connection) for connection in connections} == {b''}


def test_term_with_slow_handler(server, gate):
    connection = start_slow(server, gate=gate)
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: is_refused(server), 'new connections to be refused')
    gate.touch()
    answer = read_all(connection)
    assert b'HTTP/1.1 200 OK\r\n' in answer and b'\r\nConnection: close\r\n' in answer, answer
    assert answer.endswith(b'{"version":1}')
    assert server.wait() == 0


def test_term_refuses_new_connections(server, gate):
    with start_slow(server, gate=gate):
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: is_refused(server), 'new connections to be refused')
        assert server.process.poll() is None
        gate.touch()
    assert server.wait() == 0


@pytest.mark.parametrize('path', [SLOWLY, LOOP])
def test_term_with_endless_handler(hasty, path):
    workers = workers_of(hasty)
    with start_slow(hasty, LONG, path) as connection:
        assert leaves(hasty) == 0
        check_gone(hasty, workers)
        assert b' 200 ' not in read_all(connection)


def test_endless_handler_is_answered(hasty):
    """One that waits can be ended, and its client told."""
    with start_slow(hasty, LONG) as connection:
        assert leaves(hasty) == 0
        assert read_all(connection).startswith(b'HTTP/1.1 500 Internal Server Error\r\n')


def test_term_twice(server, gate):
    connection = start_slow(server, gate=gate)
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: is_refused(server) or len(children(server.process.pid)) == 1)
    server.process.send_signal(signal.SIGTERM)
    gate.touch()
    assert server.wait() == 0
    assert read_all(connection).endswith(b'{"version":1}')


def test_term_to_all(product, gate):
    """As systemd sends it."""
    with production(product, '--workers', '2', start_new_session=True) as server:
        workers = workers_of(server)
        connection = start_slow(server, gate=gate)
        os.killpg(server.process.pid, signal.SIGTERM)
        gate.touch()
        assert server.wait() == 0
        assert read_all(connection).endswith(b'{"version":1}')
        check_gone(server, workers)


def test_term_in_startup(product):
    (product / 'api/v0/endless.py').write_text(IMPORTING)
    with Serving(product, '127.0.0.1:0', '--graceful-timeout', '2', place='(import) begins') as server:
        workers = workers_of(server, 1)
        assert leaves(server) == 0
        assert not [pid for pid in workers if is_running(pid)]


def test_endless_import(product):
    (product / 'api/v0/endless.py').write_text(IMPORTING)
    with Serving(product, '127.0.0.1:0', '--timeout', '2', place='(import) begins') as server:
        assert server.wait() == 1
        assert lines_like(server, r'endless')
        assert not lines_like(server, 'AttributeError')


def test_int_is_quick(server):
    with start_slow(server):
        assert leaves(server, signal.SIGINT) == 0


def test_control_c(product):
    """A terminal sends it to all processes."""
    with production(product, '--workers', '2', '--graceful-timeout', str(LONG), start_new_session=True) as server:
        workers = workers_of(server)
        with start_slow(server):
            os.killpg(server.process.pid, signal.SIGINT)
            assert server.wait() == 0
        check_gone(server, workers)
        assert not lines_like(server, 'KeyboardInterrupt|SystemExit')


# HUP


def change(product, text):
    """Of another length, so that the .pyc is not taken for it."""
    path = product / 'api/v0/plain.py'
    path.write_text(PLAIN.replace('VERSION = 1\n', text))


def test_hup_serves_new_code(server, product, gate):
    old = workers_of(server)
    connection = start_slow(server, gate=gate)
    with Poller(lambda: server.post(READ)) as poller:
        wait_for(lambda: len(poller.answers) > 20)
        change(product, 'VERSION = 22\n')
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: poller.answers[-1]['version'] == 22)
        gate.touch()
        answer = read_all(connection)
        wait_for(lambda: not old & children(server.process.pid), 'the old workers to leave')
    assert poller.failures == []
    assert answer.endswith(b'{"version":1}')  # and then closed, whether or not its worker had been told to leave
    assert {server.post(READ)[1]['version'] for _ in range(10)} == {22}
    assert len(workers_of(server)) == 2


def test_hup_many_times(server):
    with Poller(lambda: server.post(READ)) as poller:
        for _ in range(4):
            old = children(server.process.pid)
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda old=old: not old & children(server.process.pid), 'the old workers to leave')
    assert poller.failures == [] and len(poller.answers) > 50


@pytest.mark.parametrize('text, reason', [
    ('VERSION = = 1\n', 'SyntaxError'), ('import nowhere_at_all\n', "No module named 'nowhere_at_all'"),
    ('raise SystemExit(5)\n', 'SystemExit: 5')])
def test_hup_with_broken_code(server, product, text, reason):
    old = workers_of(server)
    change(product, text)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_line('The new code cannot be imported: the workers go on with the old')
    assert reason in server.text
    assert not lines_like(server, '/apiphant/|/gunicorn/')
    assert [answers_promptly(server)['version'] for _ in range(10)] == [1] * 10
    assert workers_of(server) == old
    change(product, 'VERSION = 333\n')
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: server.post(READ)[1]['version'] == 333)


def test_hup_with_endless_import(hasty, product):
    change(product, 'import time; time.sleep(600)\n')
    hasty.process.send_signal(signal.SIGHUP)
    hasty.wait_for_line('The new code cannot be imported')
    assert answers_promptly(hasty)['version'] == 1


def test_worker_of_broken_code_is_tried_again(server, product):
    """Broken on disk when a worker dies: the other goes on, and the mended code is found without a signal."""
    change(product, 'VERSION = = 1\n')
    os.kill(min(workers_of(server)), signal.SIGKILL)
    server.wait_for_line('could not start; it is tried again')
    assert answers_promptly(server)['version'] == 1
    change(product, 'VERSION = 4444\n')
    wait_for(lambda: server.post(READ)[1]['version'] == 4444)


# HUP, when the program has moved


PROGRAM = """#!{python}
import sys
import apiphant.cli
{text}
sys.RELEASE = {name!r}
sys.exit(apiphant.cli.main())
"""
RELEASED = """
import os, sys

def read(request):
    return {'version': sys.RELEASE, 'pid': os.getpid(), 'parent': os.getppid()}
"""


def release(folder, name, text='', target=RELEASED):
    """A folder with a program and a product, as a deploy makes it."""
    write_tree(folder, {f'{name}/bin/serve': PROGRAM.format(python=sys.executable, text=text, name=name),
                        f'{name}/lab/api/v0/plain.py': target,
                        f'{name}/lab/api/v0/slow.py': SLOW.replace('plain.VERSION', "'slow'")})
    (folder / name / 'bin/serve').chmod(0o755)


def switch(folder, name):
    (folder / 'next').symlink_to(name)
    (folder / 'next').replace(folder / 'current')


@pytest.fixture
def site(tmp_path):
    for name in ('one', 'two', 'three'):
        release(tmp_path, name)
    switch(tmp_path, 'one')
    return tmp_path


@pytest.fixture
def graceful():
    """Seconds that workers get which have to leave."""
    return LONG


@pytest.fixture
def moved(site, graceful):
    words = [
        str(site / 'current/lab'), '127.0.0.1:0', '--workers', '2', '--graceful-timeout', str(graceful), '--pid',
        str(site / 'pid')]
    with Server(*words, program=str(site / 'current/bin/serve'), cwd='/') as running:
        wait_until_all_serve(running)
        yield running


def test_moved_program_takes_over(moved, site, gate):
    master, old = moved.process.pid, workers_of(moved)
    connection = start_slow(moved, gate=gate)
    with Poller(lambda: moved.post(READ)) as poller:
        for name in ('two', 'three', 'one'):
            switch(site, name)
            moved.process.send_signal(signal.SIGHUP)
            wait_for(lambda name=name: poller.answers and poller.answers[-1]['version'] == name)
        gate.touch()
        answer = read_all(connection)
        wait_for(lambda: not old & children(master), 'the old workers to leave')
        assert {answer['parent'] for answer in poller.answers} == {master}
    assert poller.failures == [] and len(poller.answers) > 50
    assert answer.endswith(b'{"version":"slow"}')
    wait_for(lambda: len(children(master)) == 2)
    assert {moved.post(READ)[1]['version'] for _ in range(10)} == {'one'}
    assert (site / 'pid').read_text().strip() == str(master)
    moved.process.send_signal(signal.SIGHUP)  # and an ordinary one after that
    wait_for(lambda: not {answer['pid'] for answer in poller.answers} & children(master), 'new workers')
    assert answers_promptly(moved)['version'] == 'one'


@pytest.mark.parametrize(('text', 'target', 'reason'), [
    ('raise SystemExit("no such library")', RELEASED, 'no such library'),
    ('', 'VERSION = = 1', 'SyntaxError'),
    ('import os; os.chmod(__file__, 0o644)', RELEASED, 'cannot be run: .*Permission denied')])
def test_moved_program_that_cannot_serve(moved, site, text, target, reason):
    old = workers_of(moved)
    release(site, 'broken', text, target)
    switch(site, 'broken')
    moved.process.send_signal(signal.SIGHUP)
    moved.wait_for_line(reason)
    moved.wait_for_line('The new program cannot')
    assert {answers_promptly(moved)['version'] for _ in range(10)} == {'one'}
    assert workers_of(moved) == old
    switch(site, 'two')
    moved.process.send_signal(signal.SIGHUP)
    wait_for(lambda: moved.post(READ)[1]['version'] == 'two')


def test_moved_program_and_term(moved, site, gate):
    """What the workers of the program before are answering is brought to its end."""
    connection = start_slow(moved, gate=gate)
    switch(site, 'two')
    moved.process.send_signal(signal.SIGHUP)
    moved.process.send_signal(signal.SIGHUP)
    wait_for(lambda: moved.post(READ)[1]['version'] == 'two')
    moved.process.send_signal(signal.SIGTERM)
    gate.touch()
    assert read_all(connection).endswith(b'{"version":"slow"}')
    assert moved.wait() == 0


@pytest.mark.parametrize('pause', [0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_moved_program_and_term_at_any_moment(moved, site, pause):
    switch(site, 'two')
    moved.process.send_signal(signal.SIGHUP)
    time.sleep(pause)
    moved.process.send_signal(signal.SIGTERM)
    assert moved.wait() == 0
    wait_for(lambda: is_free(moved), 'the port')


@pytest.mark.parametrize('graceful', [2])
def test_moved_program_and_a_worker_that_spins(moved, site):
    """It gets its time and no more."""
    start_slow(moved, 0, LOOP)
    old = workers_of(moved)
    switch(site, 'two')
    moved.process.send_signal(signal.SIGHUP)
    wait_for(lambda: moved.post(READ)[1]['version'] == 'two')
    wait_for(lambda: not old & children(moved.process.pid), 'the old workers to leave')
    assert answers_promptly(moved)['version'] == 'two'


def test_old_workers_serve_while_the_new_import(server, product, gate):
    change(
        product, f'import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\nVERSION = 55555\n')
    with Poller(lambda: server.post(READ)) as poller:
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(children(server.process.pid)) == 3, 'the import')
        begun = len(poller.answers)
        wait_for(lambda: len(poller.answers) > begun + 20, 'answers meanwhile')
        assert {answer['version'] for answer in poller.answers} == {1}
        gate.touch()
        wait_for(lambda: poller.answers[-1]['version'] == 55555, 'the new code')
    assert poller.failures == []


# USR1


def test_usr1_reopens_access_log(product, tmp_path):
    log, old = tmp_path / 'access.log', tmp_path / 'access.log.1'
    with production(product, '--workers', '2', '--access-log', str(log)) as server:
        workers_of(server)
        assert server.post(READ)[0] == 200
        wait_for(lambda: len(log.read_text().splitlines()) == 1)
        log.rename(old)
        server.process.send_signal(signal.SIGUSR1)
        wait_for(log.exists, 'a new file')
        wait_for(
            lambda: all(str(log) in opened_by(pid) and str(old) not in opened_by(pid) for pid in workers_of(server)),
            'all workers to turn to it')
        for _ in range(20):
            assert server.post(READ)[0] == 200
        wait_for(lambda: len(log.read_text().splitlines()) == 20)
        assert len(old.read_text().splitlines()) == 1


def test_usr1_when_the_log_cannot_be_opened(product, tmp_path):
    folder = tmp_path / 'logs'
    folder.mkdir()
    with production(product, '--workers', '2', '--access-log', str(folder / 'access.log')) as server:
        old = workers_of(server)
        folder.rename(tmp_path / 'gone')
        for number in (signal.SIGUSR1, signal.SIGHUP):
            server.process.send_signal(number)
            server.wait_for_line('The access log cannot be opened again: .*No such file')
            assert answers_promptly(server)['version'] == 1
        folder.mkdir()
        server.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: answers_promptly(server) and list(folder.glob('access.log')), 'a log again')
        wait_for(lambda: not old & children(server.process.pid), 'the old workers to leave')


def test_hup_with_half_a_certificate(product, tmp_path):
    """As a renewal leaves it for a moment."""
    def renew(*names):
        make_key_and_certificate(tmp_path / 'new.key', tmp_path / 'new.cert')
        for name in names:
            (tmp_path / f'new.{name}').replace(tmp_path / name)
    renew('key', 'cert')
    certified = ('--certfile', str(tmp_path / 'cert'), '--keyfile', str(tmp_path / 'key'))
    with Serving(product, '127.0.0.1:0', '--workers', '2', *certified) as server:
        wait_for(lambda: len(children(server.process.pid)) == 2)
        old = children(server.process.pid)
        renew('key')
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_line('its certificate cannot be used; it is tried again')
        wait_for(lambda: len(lines_like(server, 'certificate cannot be used')) >= 2)
        assert old <= children(server.process.pid)
        (tmp_path / 'new.cert').replace(tmp_path / 'cert')
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not old & children(server.process.pid), 'the old workers to leave')
        assert server.process.poll() is None


def test_term_while_new_code_is_imported(server, product):
    change(product, 'import time; time.sleep(600)\n')
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(children(server.process.pid)) == 3, 'the import')
    assert leaves(server) == 0


def test_import_ends_with_the_master(server, product):
    change(product, 'import time; time.sleep(600)\n')
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(children(server.process.pid)) == 3, 'the import')
    started = children(server.process.pid)
    server.process.kill()
    wait_for(lambda: not any(map(is_running, started)) and is_free(server), 'all to leave')


def opened_by(pid):
    folder = f'/proc/{pid}/fd'
    return {os.readlink(f'{folder}/{name}') for name in os.listdir(folder) if os.path.lexists(f'{folder}/{name}')}


# Processes that die or hang


def test_killed_worker_is_replaced(server):
    killed, other = sorted(workers_of(server))
    os.kill(killed, signal.SIGKILL)
    assert answers_promptly(server)['pid'] == other
    wait_for(lambda: len(children(server.process.pid) - {killed}) == 2, 'another worker')
    wait_for(lambda: server.post(READ)[1]['pid'] not in (killed, other), 'it to serve')


def test_killed_master(server):
    workers = workers_of(server)
    with connect(server, request_bytes(READ)) as connection:
        assert connection.recv(4096).startswith(b'HTTP/1.1 200')
        server.process.kill()
        wait_for(lambda: not any(map(is_running, workers)), 'the workers to leave')
    wait_for(lambda: is_free(server), 'the port to be free')


def test_killed_master_of_a_stuck_worker(server):
    workers = workers_of(server)
    with start_slow(server, 0, LOOP):
        server.process.kill()
        wait_for(lambda: not any(map(is_running, workers)), 'the workers to leave')
    wait_for(lambda: is_free(server), 'the port to be free')


def test_stuck_worker_is_replaced(hasty):
    old = workers_of(hasty)
    with start_slow(hasty, 0, LOOP):
        for _ in range(10):
            answers_promptly(hasty)
        hasty.wait_for_line(rf'A worker was stuck in POST {LOOP} and is replaced')
        assert lines_like(hasty, 'slow.py", line .* in update')
        wait_for(
            lambda: len(children(hasty.process.pid) - old) == 1 and len(children(hasty.process.pid)) == 2,
            'another worker')
        answers_promptly(hasty)


def test_waiting_worker_is_not_stuck(hasty):
    with start_slow(hasty, 3) as connection:
        assert connection.recv(4096).endswith(b'{"version":1}')
    assert not lines_like(hasty, 'stuck')


def test_max_requests(product):
    with production(product, '--workers', '2', '--max-requests', '40') as server:
        with Poller(lambda: server.post(READ)) as poller:
            wait_for(lambda: len({answer['pid'] for answer in poller.answers}) >= 5, 'five workers in turn')
        assert poller.failures == []
        workers_of(server)


def test_leaving_worker_ends_its_requests(product):
    """Also those that take longer than a worker may be stuck."""
    with production(product, '--timeout', '2', '--graceful-timeout', str(LONG), '--max-requests', '1') as server:
        connection = start_slow(server, 5)
        assert read_all(connection).endswith(b'{"version":1}'), server.text
        assert not lines_like(server, 'stuck')


def test_signals_in_a_burst(server):
    """HUP while another is under way; what comes last holds."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
        server.process.send_signal(number)
    assert server.wait() == 0


def test_calls_while_stopping(server):
    """An answer or a refusal, never a cut one."""
    cut = []
    done = threading.Event()

    def call():
        while not done.is_set():
            try:
                with connect(server, request_bytes(READ, {}, 'Connection: close')) as connection:
                    answer = read_all(connection)
                    if not answer.endswith(b'}'):
                        cut.append(answer)
            except ConnectionRefusedError:
                return

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        wait_for(lambda: server.post(READ)[0] == 200)
        assert leaves(server) == 0
    finally:
        done.set()
        for caller in callers:
            caller.join(DEADLINE)
    assert len(cut) < 5, len(cut)
