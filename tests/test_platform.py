"""What platforms set, PORT and WEB_CONCURRENCY, and what others' commands are called like."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.processes import free_port, workers_of
from tests.kit.running import Program, clean_environment, run_cli, write_tree

READ = 'def read(request):\n    return {}\n'


@pytest.fixture(scope='module')
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp('platform'), {'shop/api/v0/x.py': READ}) / 'shop'


def serving(*words: str, **variables: str) -> Program:
    return Program('-m', 'apiphant', *words, env=clean_environment(**variables))


def test_port_of_a_platform(product: Path) -> None:
    """It reaches the server from outside; a console is for this machine."""
    port = free_port()
    with serving(str(product), PORT=str(port)) as program:
        program.wait_for_line(rf'on http://0\.0\.0\.0:{port}, 1 worker')
    with serving('dev', str(product), '--no-console', PORT=str(port)) as program:
        program.wait_for_line(rf'on http://127\.0\.0\.1:{port}$')


def test_what_is_given_wins(product: Path) -> None:
    with serving(str(product), '127.0.0.1:0', PORT='1', WEB_CONCURRENCY='2') as program:
        program.wait_for_line(r'on http://127\.0\.0\.1:\d+, 2 workers')
        workers_of(program, 2)
    with serving(str(product), '127.0.0.1:0', '--workers', '1', WEB_CONCURRENCY='2') as program:
        program.wait_for_line('1 worker$')
    with serving(str(product), '127.0.0.1:0', APIPHANT_WORKERS='1', WEB_CONCURRENCY='2') as program:
        program.wait_for_line('1 worker$')


@pytest.mark.parametrize('port', ['x', '-1', '65536', '1.5', '80 ', 'unix:/x', '٣'])
@pytest.mark.parametrize('command', [[], ['dev']])
def test_port_that_is_none(product: Path, command: list[str], port: str) -> None:
    done = run_cli(*command, str(product), env=clean_environment(PORT=port))
    assert (done.returncode, done.stdout) == (2, '')
    assert f'the variable PORT is {port!r}, no port' in done.stderr
    assert done.stderr.count('\n') == 1


def test_workers_that_are_none(product: Path) -> None:
    for number in ('x', '0', '-1', ' ', ''):
        done = run_cli(str(product), '127.0.0.1:0', env=clean_environment(WEB_CONCURRENCY=number, APIPHANT_WORKERS='1'))
        assert (done.returncode, done.stderr.count('\n')) == (1, 1)
        assert 'apiphant: WEB_CONCURRENCY: ' in done.stderr


OF_BOTH = [
    (['--port', '9000'], 'the port stands after the product: apiphant PRODUCT 9000'),
    (['--port=9000'], 'the port stands after the product: apiphant PRODUCT 9000'),
    (['-p', '9000'], 'the port stands after the product'),
    (['--host', '0.0.0.0'], 'the address stands after the product: apiphant PRODUCT 0.0.0.0:80'),
    (['-b', '0.0.0.0:80'], 'the address stands after the product'),
    (['--bind=unix:/x'], 'the address stands after the product'),
]
OF_SERVER = [
    (['-w', '2'], 'it is --workers 2'), (['-w2'], 'it is --workers 2'), (['--threads', '2'], 'it is --workers 2'),
    (['-t', '60'], 'it is --timeout 60'), (['--reload'], 'apiphant dev PRODUCT reloads'),
    (['--debug'], 'apiphant dev PRODUCT'),
    (['--ssl-certfile', 'x'], 'it is --certfile FILE'),
    (['-c', 'x.py'], 'options are given as words or as variables APIPHANT_'),
]
WORDS = [*(([], *case) for case in OF_BOTH + OF_SERVER), *((['dev'], *case) for case in OF_BOTH)]


@pytest.mark.parametrize(('command', 'words', 'said'), WORDS, ids=str)
def test_words_of_others(product: Path, command: list[str], words: list[str], said: str) -> None:
    done = run_cli(*command, str(product), *words)
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1)
    assert said.replace('apiphant PRODUCT', ' '.join(['apiphant', *command, 'PRODUCT'])) in done.stderr
