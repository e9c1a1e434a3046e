"""Unix sockets that others reach or own, systems that cannot be written to, and peers by network."""
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys

import pytest

from apiphant.server.peers import Peers
from tests.kit.processes import Serving, leaves, lines_like, read_all, request_bytes, workers_of
from tests.kit.running import Program, Server, clean_environment, production, run_cli, wait_for, write_tree

pytestmark = pytest.mark.once

LAB = '''
import os

def read(request):
    return {'pid': os.getpid()}
'''
READ = '/api/v0/lab/read'
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason='this needs root')


@pytest.fixture
def product(tmp_path):
    return write_tree(tmp_path, {'shop/api/v0/lab.py': LAB}) / 'shop'


def call(path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(request_bytes(READ, {}, 'Connection: close'))
        return read_all(connection)


# Peers


@pytest.mark.parametrize('names, inside, outside', [
    ('10.0.0.0/8',
     ('10.0.0.1', '10.255.0.9', '::ffff:10.1.2.3', ''),
     ('11.0.0.1', '::ffff:11.0.0.1', '::10.0.0.1', 'x', '10.0.0.1:80')),
    ('127.0.0.1, ::1', ('127.0.0.1', '::1', '::ffff:127.0.0.1', '0:0::1'), ('127.0.0.2', '::2')),
    ('::ffff:10.0.0.0/104', ('10.2.3.4', '::ffff:10.2.3.4'), ('11.2.3.4', '::ffff:11.2.3.4')),
    ('fd00::/8,192.168.1.7', ('fd12::1', '192.168.1.7'), ('fe80::1', '192.168.1.8')),
    ('*', ('1.2.3.4', '::1', '', 'x'), ())])
def test_peers(names, inside, outside):
    peers = Peers(names)
    assert [peer for peer in inside if peer not in peers] == []
    assert [peer for peer in outside if peer in peers] == []


@pytest.mark.parametrize('trusted, client', [
    ('127.0.0.0/8', '1.2.3.4'), ('10.0.0.0/8', '(::ffff:)?127.0.0.1'), ('127.0.0.1,1.2.3.0/24', '9.9.9.9')])
@pytest.mark.parametrize('place', ['127.0.0.1:0', '[::]:0'])
def test_forwarded_by_network(product, trusted, client, place):
    """Of a peer on a socket for both kinds of addresses too."""
    with Serving(
            product, place, '--forwarded-allow-ips', trusted, '--access-log', '-',
            place=r' on http\S+:(\d+), ') as server:
        with socket.create_connection(('127.0.0.1', int(server.place))) as connection:
            connection.sendall(request_bytes(READ, {}, 'Connection: close', 'X-Forwarded-For: 9.9.9.9, 1.2.3.4'))
            assert read_all(connection).startswith(b'HTTP/1.1 200')
        server.wait_for_line(rf'^POST {READ} 200 \d+ \d+\.\d {client}$')


@pytest.mark.parametrize('names', ['10.0.0.1/8', '10.0.0.0/33', 'nobody', '10.0.0.0/8;::1', ''])
def test_no_network(product, names):
    done = run_cli(str(product), '127.0.0.1:0', f'--forwarded-allow-ips={names}')
    assert (done.returncode, done.stderr.count('\n')) == (2, 1), done.stderr


# Unix sockets


@pytest.mark.parametrize('mask, mode', [('0', 0o777), ('007', 0o770), ('117', 0o660)])
def test_umask(product, tmp_path, mask, mode):
    with Serving(product, f'unix:{tmp_path}/socket', '--umask', mask, umask=0o077):
        assert stat.S_IMODE((tmp_path / 'socket').stat().st_mode) == mode


def test_umask_is_inherited(product, tmp_path):
    with Serving(product, f'unix:{tmp_path}/socket', umask=0o027):
        assert stat.S_IMODE((tmp_path / 'socket').stat().st_mode) == 0o750


@AS_ROOT
@pytest.mark.parametrize('mask, status', [('0', 0), ('077', 1)])
def test_another_user_connects(product, mask, status):
    """As nginx does."""
    folder = '/run/apiphant-test'
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder, 0o755)
    try:
        with Serving(product, f'unix:{folder}/socket', '--umask', mask, umask=0o022):
            connect = f'import socket; socket.socket(socket.AF_UNIX).connect("{folder}/socket")'
            done = subprocess.run(
                ['/usr/bin/env', 'python3', '-c', connect], user='nobody', group='nogroup', extra_groups=[],
                check=False, capture_output=True, text=True, cwd='/', env={'PATH': '/usr/local/bin:/usr/bin:/bin'})
            assert done.returncode == status, done.stderr
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def inherited(tmp_path):
    """A unix socket that somebody else, such as systemd, listens on, and hands on."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / 'socket'))
        listener.listen()
        listener.set_inheritable(True)
        yield listener


def test_inherited_socket_stays(product, tmp_path, inherited):
    path = tmp_path / 'socket'
    for number in (signal.SIGTERM, signal.SIGINT):
        with Serving(product, '--fd', str(inherited.fileno()), pass_fds=[inherited.fileno()]) as server:
            assert call(path).startswith(b'HTTP/1.1 200')
            assert leaves(server, number) == 0
            assert not lines_like(server, 'ERROR|Traceback')
        assert path.exists()


@pytest.mark.parametrize('is_inherited', [True, False])
def test_socket_after_a_takeover(product, tmp_path, inherited, is_inherited):
    """The program that has become another one knows too whose the socket is."""
    path = tmp_path / ('socket' if is_inherited else 'own')
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
        program = tmp_path / name / 'serve'
        program.write_text(f'#!{sys.executable}\nfrom apiphant.cli import main\nraise SystemExit(main())\n')
        program.chmod(0o755)
    current = tmp_path / 'current'
    current.symlink_to('one')
    words = ['--fd', str(inherited.fileno())] if is_inherited else [f'unix:{path}']
    with Program(str(product), *words, pass_fds=[inherited.fileno()], program=str(current / 'serve')) as server:
        server.wait_for_line(', 1 worker')
        before = workers_of(server, 1)
        current.unlink()
        current.symlink_to('two')
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_line('Becoming the new program')
        wait_for(lambda: not before & workers_of(server, 1), 'the worker of the new program')
        assert call(path).startswith(b'HTTP/1.1 200')
        assert leaves(server) == 0
    assert path.exists() is is_inherited


# Systems that cannot be written to

READ_ONLY = '''
set -e
mount --bind "$1" /mnt
mount -o remount,bind,ro /mnt
mount -o remount,bind,ro /
for folder in /tmp /var/tmp $2; do if [ -d $folder ]; then mount -t tmpfs -o ro tmpfs $folder; fi; done
cd /mnt
exec "$3" -m apiphant.cli /mnt/shop 127.0.0.1:0
'''


def read_only(product, *folders):
    words = ['-m', 'bash', '-c', READ_ONLY, 'bash', str(product.parent), ' '.join(folders), sys.executable]
    environment = {**clean_environment(), 'PYTHONPATH': os.getcwd()}
    for name in ('TMPDIR', 'TEMP', 'TMP'):
        environment.pop(name, None)
    return words, environment


def can_mount():
    if os.geteuid() != 0:
        return False
    return subprocess.run(['unshare', '-m', 'true'], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason='mounts cannot be made here')
def test_read_only_root_serves(product):
    words, environment = read_only(product)
    with Server(*words, program='unshare', env=environment) as server:
        assert server.read('lab')['pid']
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_line('Starting workers with the new code')
        assert server.end() == 0
        assert not lines_like(server, 'ERROR')


@pytest.mark.skipif(not can_mount(), reason='mounts cannot be made here')
def test_nothing_can_be_written(product):
    words, environment = read_only(product, '/dev/shm', '/run')
    done = subprocess.run(['unshare', *words], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        'apiphant: no folder for temporary files can be written to: neither /dev/shm nor /tmp; TMPDIR may name one\n')


# Logging that a product sets up

LOGGED = '''
import logging.config

logging.config.dictConfig({
    'version': 1, 'handlers': {'own': {'class': 'logging.StreamHandler'}}, 'loggers': {'shop': {'handlers': ['own']}}})

def read(request):
    raise ValueError('told')

def create(request):
    logging.config.dictConfig({'version': 1})
    return {}
'''


def test_dict_config_leaves_ours_on(tmp_path):
    product = write_tree(tmp_path, {'shop/api/v0/lab.py': LAB, 'shop/api/v0/logged.py': LOGGED}) / 'shop'
    with production(product, '--access-log', '-') as server:
        for _ in range(2):
            since = len(server.lines)
            assert server.post('/api/v0/logged/read')[0] == 500
            server.wait_for_line('^ERROR at .*/api/v0/logged/read failed:', since)
            server.wait_for_line('^ValueError: told', since)
            server.wait_for_line('^POST /api/v0/logged/read 500', since)
            assert server.post('/api/v0/logged/create')[0] == 200
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_line('Starting workers with the new code')
