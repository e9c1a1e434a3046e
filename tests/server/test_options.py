"""Every option of the server: on the command line, in the environment, in --help; and what it does."""
import http.client
import json
import re
import socket
import ssl
import time
from contextlib import suppress

import pytest

from apiphant import cli
from apiphant.server.options import GROUPS, OPTIONS
from tests.kit.processes import (
    Poller,
    Serving,
    answers_promptly,
    connect,
    leaves,
    lines_like,
    listening,
    option_variables,
    option_words,
    read_all,
    request_bytes,
    workers_of,
)
from tests.kit.running import (
    DEADLINE,
    clean_environment,
    make_key_and_certificate,
    production,
    run_cli,
    wait_for,
    write_tree,
)

pytestmark = pytest.mark.once

PLAIN = '''
import os, time
import gevent
from apiphant.server import raw_environ

def read(request):
    return {'pid': os.getpid()}

def create(request):
    print('create begins', flush=True)
    gevent.sleep(request.seconds)
    return {}

def update(request):
    """Blocks."""
    end = time.monotonic() + request.seconds
    while time.monotonic() < end:
        pass
    return {}

@raw_environ
def delete(environ):
    return {'scheme': environ['wsgi.url_scheme'], 'peer': environ['REMOTE_ADDR']}
'''
READ = '/api/v0/plain/read'
SLOW = '/api/v0/plain/create'
BLOCKING = '/api/v0/plain/update'
NUMBERS = ('-1', '1.5', 'x', '1e3', '٣', ' ', '0x10')
BAD = {
    **dict.fromkeys((
        'timeout', 'graceful-timeout', 'max-requests', 'max-requests-jitter', 'max-connections', 'max-body'), NUMBERS),
    'workers': ('0', *NUMBERS), 'fd': ('999', *NUMBERS), 'keep-alive': ('0', *NUMBERS),
    'pid': ('/nowhere/pid', '/'), 'umask': ('8', '-1', '1.5', 'x', '٣', ' ', '0x10', '77777'),
    'access-log': ('/nowhere/access.log', '/'), 'log-level': ('loud', 'INFO', '10'),
    'certfile': ('/nowhere/cert.pem', '/dev/null', '/'),
    'keyfile': ('/nowhere/key.pem', '/dev/null'), 'forwarded-allow-ips': ('nobody', '127.0.0.1;::1', '10.0.0.1/8'),
    'allow-origin': ('example.com', 'null', '*,https://a')}
ALL_BAD = [(name, value) for name, values in BAD.items() for value in values]
BY_SERVER = [
    (name, value) for name, value in ALL_BAD
    if name in ('pid', 'access-log', 'forwarded-allow-ips') or value.startswith('/dev')
    or (name, value) in (('fd', '999'), ('certfile', '/'))]
BY_ARGPARSE = [pair for pair in ALL_BAD if pair not in BY_SERVER]


@pytest.fixture(scope='module')
def product(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('options'), {'lab/api/v0/plain.py': PLAIN}) / 'lab'


@pytest.fixture(params=['words', 'variables'])
def given(request):
    """Options as words and keyword arguments of `production`."""
    def form(**options):
        named = {name.replace('_', '-'): value for name, value in options.items()}
        if request.param == 'words':
            return option_words(named), {}
        return [], {'env': clean_environment(**option_variables(named))}
    return form


def serve(product, given, **options):
    words, keywords = given(**options)
    return production(product, *words, **keywords)


# Bad values, and --help


def test_all_have_bad_values():
    assert set(BAD) == {option.name for option in OPTIONS}


@pytest.mark.parametrize('name, value', BY_ARGPARSE)
def test_bad_word(product, capsys, name, value):
    with pytest.raises(SystemExit) as left:
        cli.main([str(product), '127.0.0.1:0', f'--{name}={value}'])
    errors = capsys.readouterr().err
    assert left.value.code == 2
    assert re.fullmatch(rf'apiphant: argument --{name}: .*; see apiphant --help\n', errors)


@pytest.mark.parametrize('name, value', BY_ARGPARSE)
def test_bad_variable(product, capsys, monkeypatch, name, value):
    variable = f'APIPHANT_{name.replace("-", "_").upper()}'
    monkeypatch.setenv(variable, value)
    assert cli.main([str(product), '127.0.0.1:0']) == 1
    assert re.fullmatch(rf'apiphant: {variable}: .*\n', capsys.readouterr().err)


@pytest.mark.parametrize('name, value', BY_SERVER)
def test_bad_for_the_server(product, name, value):
    done = run_cli(str(product), '127.0.0.1:0', f'--{name}', value)
    assert done.returncode in (1, 2), done
    assert re.fullmatch(r'apiphant: .*\n', done.stderr), done.stderr


def test_key_without_certificate(product, certificate):
    done = run_cli(str(product), '127.0.0.1:0', '--keyfile', str(certificate / 'key.pem'))
    assert (done.returncode, done.stderr.count('\n')) in ((1, 1), (2, 1)), done.stderr


def test_descriptor_of_a_file(product, tmp_path):
    with open(tmp_path / 'file', 'w') as file:
        done = run_cli(str(product), '--fd', str(file.fileno()), pass_fds=[file.fileno()])
    assert (done.returncode, done.stderr.count('\n')) == (1, 1), done.stderr


def test_descriptor_that_does_not_listen(product):
    with socket.socket() as client:
        number = client.fileno()
        done = run_cli(str(product), '--fd', str(number), pass_fds=[number])
    assert (done.returncode, done.stderr) == (1, f'apiphant: descriptor {number} is a socket that does not listen\n')


def test_unknown_option(product):
    for word in ('--worker=2', '--bind=x', '--nothing'):
        done = run_cli(str(product), word)
        assert (done.returncode, done.stderr.count('\n')) == (2, 1), done.stderr


def test_help_lists_each_once():
    shown = run_cli('--help').stdout
    parts = dict(re.findall(r'^([\w ]+):\n((?:  .*\n|\n)+)', shown, re.MULTILINE))
    assert [title for title in parts if title in GROUPS] == list(GROUPS)
    for title, options in GROUPS.items():
        assert re.findall(r'^  --([\w-]+) ', parts[title], re.MULTILINE) == [option.name for option in options]
    for option in OPTIONS:
        assert len(re.findall(rf'^  --{option.name} ', shown, re.MULTILINE)) == 1


def test_word_before_variable(product):
    with production(product, '--workers', '1', env=clean_environment(APIPHANT_WORKERS='2')) as server:
        assert server.text.endswith(', 1 worker')


def test_empty_variable_is_none(product):
    with production(product, env=clean_environment(APIPHANT_WORKERS='', APIPHANT_FD='', APIPHANT_PID='')) as server:
        assert server.text.endswith(', 1 worker')


# What they do


def test_workers(product, given):
    with serve(product, given, workers=3) as server:
        assert server.text.endswith(', 3 workers')
        assert len(workers_of(server, 3)) == 3


def test_timeout(product, given):
    with serve(product, given, timeout=1) as server, connect(server, request_bytes(READ)) as kept:
        assert kept.recv(4096)
        time.sleep(1.2)
        with connect(server, request_bytes(BLOCKING, {'seconds': 9})):
            server.wait_for_line(f'stuck in POST {BLOCKING}')


def test_no_timeout(product, given):
    with serve(product, given, timeout=0) as server:
        time.sleep(1.2)
        assert server.post(BLOCKING, {'seconds': 3}) == (200, {})
        assert len(server.lines) == 1


def test_graceful_timeout(product, given):
    with serve(product, given, graceful_timeout=1) as server, connect(server, request_bytes(SLOW, {'seconds': 600})):
        server.wait_for_line('create begins')
        assert leaves(server) == 0


def test_max_requests(product, given):
    with serve(product, given, max_requests=10) as server, Poller(lambda: server.post(READ)) as poller:
        wait_for(lambda: len({answer['pid'] for answer in poller.answers}) > 1, 'another worker')


def test_max_requests_jitter(product, given):
    with serve(product, given, max_requests=1, max_requests_jitter=1_000_000) as server:
        with Poller(lambda: server.post(READ)) as poller:
            time.sleep(2.5)
        assert len({answer['pid'] for answer in poller.answers}) == 1


def test_pid(product, given, tmp_path):
    path = tmp_path / 'pid'
    with serve(product, given, pid=path) as server:
        assert path.read_text() == f'{server.process.pid}\n'
        assert leaves(server) == 0
    assert not path.exists()


def test_stale_pid(product, tmp_path):
    path = tmp_path / 'pid'
    path.write_text('4194303\n')
    with production(product, '--pid', str(path)) as server:
        assert path.read_text() == f'{server.process.pid}\n'
        done = run_cli(str(product), '127.0.0.1:0', '--pid', str(path))
        assert (done.returncode, done.stderr.count('\n')) == (1, 1), done.stderr
        answers_promptly(server, READ)


def test_descriptor(product, given):
    with listening() as listener:
        words, keywords = given(fd=listener.fileno())
        with Serving(product, *words, pass_fds=[listener.fileno()], **keywords) as server:
            server.host, server.port = listener.getsockname()
            assert server.place == f'http://{server.host}:{server.port}'
            with socket.create_connection((server.host, server.port)) as connection:
                connection.sendall(request_bytes(READ, {}, 'Connection: close'))
                assert read_all(connection).startswith(b'HTTP/1.1 200')


def test_keep_alive(product, given):
    started = time.monotonic()
    with serve(product, given, keep_alive=1) as server, connect(server, request_bytes(READ)) as connection:
        assert connection.recv(4096).startswith(b'HTTP/1.1 200')
        assert connection.recv(4096) == b''
        assert time.monotonic() - started > 1


def test_max_connections(product, given):
    """The longest idle makes room."""
    with serve(product, given, max_connections=2) as server:
        connections = [ask_kept(server) for _ in range(2)]
        answers_promptly(server, READ)
        for connection in connections:
            connection.settimeout(0.2)
        assert connections[0].recv(4096) == b''
        with pytest.raises(TimeoutError):
            connections[1].recv(4096)


def ask_kept(server):
    connection = connect(server, request_bytes(READ))
    assert connection.recv(4096).startswith(b'HTTP/1.1 200')
    return connection


def test_max_connections_busy(product):
    """Those over it wait for their turn."""
    with production(product, '--max-connections', '2') as server:
        connections = [connect(server, request_bytes(SLOW, {'seconds': 0.5}, 'Connection: close')) for _ in range(6)]
        assert all(read_all(connection).endswith(b'{}') for connection in connections)
        assert len(lines_like(server, 'Accepting is paused, with 2 connections')) == 1


def test_max_body(product, given):
    with serve(product, given, max_body=10) as server:
        assert server.post(READ, b'{"a":1   }')[0] == 200
        assert server.post(READ, b'{"a":1    }')[0] == 413


def test_access_log(product, given, tmp_path):
    log = tmp_path / 'access.log'
    with serve(product, given, access_log=log) as server:
        answers_promptly(server, READ)
        assert server.ask('/nowhere?secret=1', method='GET')[0] == 404
        assert server.exchange(b'nonsense\r\n\r\n').startswith(b'HTTP/1.1 400')
        lines = wait_for(lambda: len(found := log.read_text().splitlines()) == 3 and found)
    size = rf'{len(json.dumps({"pid": 0}, separators=(",", ":"))) - 1 + len(str(server.process.pid))}\d?'
    assert re.fullmatch(rf'POST {READ} 200 {size} \d+\.\d 127\.0\.0\.1', lines[0])
    assert re.fullmatch(r'GET /nowhere 404 25 \d+\.\d 127\.0\.0\.1', lines[1])
    assert re.fullmatch(r'\S+ \S+ 400 27 \d+\.\d 127\.0\.0\.1', lines[2])


def test_access_log_on_output(product):
    with production(product, '--access-log', '-') as server:
        answers_promptly(server, READ)
        server.wait_for_line(rf'^POST {READ} 200 \d+ \d+\.\d 127\.0\.0\.1$')


def test_access_log_escapes(product):
    with production(product, '--access-log', '-', '--forwarded-allow-ips', '127.0.0.1') as server:
        for value in (b'\xff\x9b31mred', b'1.2.3.4\tPOST', b'\xc2\x85', b'1.2.3.4\x1b[2J'):
            server.exchange(request_bytes(READ, {}, 'Connection: close', 'X-Forwarded-For: @').replace(b'@', value))
        server.exchange(b'POST /\x1b[31m\xe2\x80\xa8 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        server.wait_for_line(r'\d \\xff\\x9b31mred$')
        server.wait_for_line(r'1\.2\.3\.4\\x09POST$')
        server.wait_for_line(r'\d \\xc2\\x85$')
        assert all(line.isascii() and line.isprintable() for line in server.lines)


def test_log_level(product, given):
    with listening() as listener:
        words, keywords = given(fd=listener.fileno(), log_level='warning')
        with Serving(product, *words, place='', pass_fds=[listener.fileno()], **keywords) as server:
            server.host, server.port = listener.getsockname()
            with socket.create_connection((server.host, server.port)) as connection:
                connection.sendall(request_bytes(READ, {}, 'Connection: close'))
                assert read_all(connection).startswith(b'HTTP/1.1 200')
            assert leaves(server) == 0
            assert server.lines == []


def test_log_level_of_debugging(product):
    with production(product, '--log-level', 'debug') as server:
        server.wait_for_line('^DEBUG at ')


FORWARDED = {'X-Forwarded-For': '9.9.9.9, 1.2.3.4', 'X-Forwarded-Proto': 'https'}


@pytest.mark.parametrize('trusted, client, scheme', [
    ('127.0.0.1', '1.2.3.4', 'https'), ('10.0.0.1', '127.0.0.1', 'http'), ('127.0.0.1, 1.2.3.4', '9.9.9.9', 'https'),
    ('*', '9.9.9.9', 'https')])
def test_forwarded_allow_ips(product, given, trusted, client, scheme):
    with serve(product, given, forwarded_allow_ips=trusted, access_log='-') as server:
        content = json.loads(server.ask('/api/v0/plain/delete', headers=FORWARDED)[2])
        assert content['scheme'] == scheme
        server.wait_for_line(rf'^POST /api/v0/plain/delete 200 \d+ \d+\.\d {re.escape(client)}$')


def test_unix_address(product, tmp_path):
    path = tmp_path / 'socket'
    with (
        Serving(product, f'unix:{path}', '--workers', '2', '--access-log', '-') as server,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        assert server.place == f'unix:{path}'
        connection.connect(str(path))
        for _ in range(3):
            connection.sendall(request_bytes(READ, {}, 'X-Forwarded-For: 1.2.3.4'))
            assert connection.recv(4096).startswith(b'HTTP/1.1 200')
        server.wait_for_line(r'^POST .* 1\.2\.3\.4$')
        connection.sendall(request_bytes('/api/v0/plain/delete', {}, 'Connection: close'))
        assert read_all(connection).endswith(b'{"scheme":"http","peer":""}')
        assert leaves(server) == 0
    assert not path.exists()


# TLS


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tls')
    make_key_and_certificate(folder / 'key.pem', folder / 'cert.pem')
    (folder / 'both.pem').write_text((folder / 'key.pem').read_text() + (folder / 'cert.pem').read_text())
    return folder


class Https:
    """Calls to a server that shows this certificate."""

    def __init__(self, server, certificate):
        self.host, port = server.place.removeprefix('https://').split(':')
        self.port = int(port)
        self._context = ssl.create_default_context(cafile=certificate / 'cert.pem')

    def connect(self):
        return http.client.HTTPSConnection(self.host, self.port, timeout=DEADLINE, context=self._context)

    def post(self, path, request=None):
        connection = self.connect()
        try:
            return post_on(connection, path, request)
        finally:
            connection.close()

    def plain(self):
        return socket.create_connection((self.host, self.port), timeout=DEADLINE)


def post_on(connection, path, request=None):
    connection.request('POST', path, json.dumps(request or {}))
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@pytest.fixture
def https(product, certificate):
    with Serving(
            product, '127.0.0.1:0', '--certfile', str(certificate / 'cert.pem'), '--keyfile',
            str(certificate / 'key.pem'), '--access-log', '-') as server:
        assert server.place.startswith('https://')
        yield server, Https(server, certificate)


def test_certificate(product, given, certificate):
    words, keywords = given(certfile=certificate / 'cert.pem', keyfile=certificate / 'key.pem')
    with Serving(product, '127.0.0.1:0', *words, **keywords) as server:
        assert Https(server, certificate).post('/api/v0/plain/delete') == (
            200, {'scheme': 'https', 'peer': '127.0.0.1'})


def test_certificate_and_key_in_one_file(product, certificate):
    with Serving(product, '127.0.0.1:0', '--certfile', str(certificate / 'both.pem')) as server:
        assert Https(server, certificate).post(READ)[0] == 200


def test_https_keep_alive(https):
    server, client = https
    connection = client.connect()
    for _ in range(3):
        assert post_on(connection, READ)[0] == 200
        kept = connection.sock
    assert connection.sock is kept is not None
    assert post_on(connection, '/api/v0/plain/delete')[1]['scheme'] == 'https'
    connection.close()
    server.wait_for_line(rf'^POST {READ} 200 \d+ \d+\.\d 127\.0\.0\.1$')


def test_https_large_body(https):
    _, client = https
    assert client.post(READ, {'a': 'x' * 1_000_000})[0] == 200
    assert client.post(READ, {'a': 'x' * 1_100_000})[0] == 413


@pytest.mark.parametrize('sent', [request_bytes(READ), b'\x16\x03\x01\x02\x00\x01', b'EHLO x\r\n', b'\x00' * 100])
def test_no_tls_on_its_port(https, sent):
    """What is no TLS is turned away, and does not keep others waiting."""
    server, client = https
    with client.plain() as connection:
        connection.sendall(sent)
        assert client.post(READ)[0] == 200
        with suppress(OSError):  # it may be gone already
            connection.shutdown(socket.SHUT_WR)
        assert b'200' not in read_all(connection)
    assert client.post(READ)[0] == 200
    assert not lines_like(server, 'Traceback')


def test_https_stops_gracefully(https):
    server, client = https
    silent, idle, busy = client.plain(), client.connect(), client.connect()
    assert post_on(idle, READ)[0] == 200
    busy.request('POST', SLOW, '{"seconds": 1}')
    server.wait_for_line('create begins')
    server.process.terminate()
    response = busy.getresponse()
    assert (response.status, response.headers['Connection'], response.read()) == (200, 'close', b'{}')
    assert server.wait() == 0
    for connection in (silent, idle, busy):
        connection.close()


def test_https_idle_costs_no_errors(https):
    server, client = https
    for _ in range(20):
        connection = client.connect()
        assert post_on(connection, READ)[0] == 200
        connection.close()
    assert client.post(READ)[0] == 200
    assert not lines_like(server, 'Traceback')
