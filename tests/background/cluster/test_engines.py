"""Each kind of engine for real: TLS with certificates made here, redis behind a sentinel, rabbitmq."""
import os
import shutil
import signal
import subprocess
import warnings
from contextlib import ExitStack, contextmanager

import pytest

from tests.kit.processes import free_port
from tests.kit.redis import PASSWORD, Redis
from tests.kit.running import Program, clean_environment, wait_for, write_tree
from tests.kit.tasks import NEEDS_REDIS, RUN

Client = pytest.importorskip('redis').Redis
pytest.importorskip('celery')
pytestmark = [pytest.mark.once, NEEDS_REDIS]

TASK = 'from apiphant.background import seconds\n\n@seconds(1)\ndef quick(): pass\n'
# Debian's on the PATH becomes another user.
RABBITMQ = shutil.which('rabbitmq-server', path='/usr/lib/rabbitmq/bin') or shutil.which('rabbitmq-server')
NO_RABBITMQ = 'no rabbitmq-server, so engines of amqp:// are NOT tested: apt-get install rabbitmq-server'


@contextmanager
def runner(folder, url):
    write_tree(folder, {'shop/api/background.py': TASK})
    variables = clean_environment(APIPHANT_ENGINE=url)
    with Program('-c', RUN, 'shop', '--state', 'state', cwd=folder, env=variables) as program:
        yield program
        program.process.kill()
    assert PASSWORD not in program.text


def check_runs(program, shown):
    """Twice, so that what holds the lock let go of it; nothing else is worth a word."""
    for _ in range(2):
        program.wait_for_line('Task quick: OK', len(program.lines))
    program.wait_for_line(f'Running quick every 1 s on {shown}$')
    late = ('still running', 'skipped')  # as on a busy machine
    troubles = [line for line in program.lines if line.startswith(('WARNING', 'ERROR'))]
    assert not [line for line in troubles if not any(word in line for word in late)]


def make_certificate(folder):
    """For 127.0.0.1, signed by itself."""
    command = (
        'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=redis '
        '-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem')
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / 'certificate.pem'


@pytest.mark.skipif(not shutil.which('openssl'), reason='no openssl')
def test_tls(tmp_path):
    certificate, port = make_certificate(tmp_path), free_port()
    options = f'--tls-port {port} --tls-cert-file certificate.pem --tls-key-file key.pem --tls-auth-clients no'
    with Redis(tmp_path, *options.split()):
        url, shown = f'rediss://:{PASSWORD}@127.0.0.1:{port}/0', f'rediss://127.0.0.1:{port}/0'
        with runner(tmp_path, f'{url}?ssl_ca_certs={certificate}') as program:
            check_runs(program, shown)
        with runner(tmp_path, url) as program:  # its certificate is not known here
            why = 'its certificate is not trusted: self-signed certificate'
            program.wait_for_line(f'ERROR .* The engine {shown} cannot be reached: {why}; trying again')


SENTINEL = """
port {port}
bind 127.0.0.1
sentinel monitor mine 127.0.0.1 {master} 1
sentinel auth-pass mine {password}
sentinel down-after-milliseconds mine 600000
sentinel failover-timeout mine 3000
"""  # it never fails over by itself: the test says when


@contextmanager
def sentinel(folder, master):
    """Answers where the master is. Gives its port."""
    port = free_port()
    path = folder / 'sentinel.conf'
    path.write_text(SENTINEL.format(port=port, master=master.port, password=PASSWORD))
    process = subprocess.Popen(['redis-server', str(path), '--sentinel'], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def test_sentinel(tmp_path):
    """And the master dies."""
    replica = ('--masterauth', PASSWORD, '--repl-diskless-sync-delay', '0')
    with ExitStack() as stack:
        first = stack.enter_context(Redis(tmp_path, '--masterauth', PASSWORD))
        second = stack.enter_context(Redis(tmp_path, *replica, '--replicaof', f'127.0.0.1 {first.port}'))
        port = stack.enter_context(sentinel(tmp_path, first))
        program = stack.enter_context(runner(tmp_path, f'sentinel://:{PASSWORD}@127.0.0.1:{port}/mine/0'))
        shown = f'sentinel://127.0.0.1:{port}/mine/0'
        check_runs(program, shown)
        wait_for(lambda: second.answer_has('INFO replication', 'master_link_status:up'), 'the replica')
        asked = stack.enter_context(Client(port=port))
        wait_for(lambda: asked.info('sentinel')['master0']['slaves'] == 1, 'the sentinel to know the replica')
        first.stop()
        program.wait_for_line(f'The engine {shown} cannot be reached')
        assert asked.execute_command('SENTINEL', 'FAILOVER', 'mine')
        program.wait_for_line(f'The engine {shown} is back')
        program.wait_for_line('Task quick: OK', len(program.lines))


@contextmanager
def rabbitmq(folder):
    """On a free port, with an epmd of its own."""
    port, others = free_port(), (free_port(), free_port())
    variables = clean_environment(
        HOME=str(folder),
        ERL_EPMD_ADDRESS='127.0.0.1',
        ERL_EPMD_PORT=str(others[1]),
        RABBITMQ_CONFIG_FILE=str(folder / 'rabbit'),
        RABBITMQ_DIST_PORT=str(others[0]),
        RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / 'plugins'),
        RABBITMQ_LOG_BASE=str(folder),
        RABBITMQ_MNESIA_BASE=str(folder),
        RABBITMQ_NODENAME='tests@localhost',
        RABBITMQ_NODE_IP_ADDRESS='127.0.0.1',
        RABBITMQ_NODE_PORT=str(port),
    )
    names = subprocess.Popen(['epmd'], env=variables)  # or it would start one that stays
    process = subprocess.Popen([RABBITMQ], cwd=folder, env=variables, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        names.kill()
        process.wait()
        names.wait()


def test_amqp(tmp_path):
    if not RABBITMQ:
        warnings.warn(NO_RABBITMQ, stacklevel=1)
        pytest.skip('no rabbitmq-server')
    with ExitStack() as stack:
        redis, port = stack.enter_context(Redis(tmp_path)), stack.enter_context(rabbitmq(tmp_path))
        program = stack.enter_context(runner(tmp_path, f'amqp://guest:guest@127.0.0.1:{port}/,{redis.url}'))
        shown = f'amqp://127.0.0.1:{port}/'
        wait_for(lambda: 'Task quick: OK' in program.text, 'a run', 60)
        program.wait_for_line(f'Running quick every 1 s on {shown} and {redis.shown}$')
        program.wait_for_line('Task quick: OK', len(program.lines))
