"""`apiphant dev` without a person: lines from `-c` or a pipe, and `--no-console`."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .running import DEADLINE, Program, clean_environment, dev, run_cli, wait_for, write_tree
from .terminal import Terminal, children, is_running

SHOP = {
    'shop/api/v0/echo.py': """
import logging

def read(request):
    logging.info('reading %s', dict(request))
    return {**request, 'server': 'shop'}

def create(request):
    return {'x': 1 / 0}
""",
    'shop/api/v0/raw.py': """
from apiphant.app import raw_response

@raw_response
def read(request, start_response):
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [b'{\\n  "a":\\n  1\\n}\\n']
""",
    'shop/api/v0/wait.py': """
import time

def read(request):
    print('waiting', flush=True)
    time.sleep(600)
""",
}
DYING = 'import os\n\nos._exit(3)\n'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_tree(tmp_path, SHOP) / 'shop'


def run_lines(shop: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Each line with a `-c` of its own."""
    return run_cli('dev', str(shop), '127.0.0.1:0', *(word for line in lines for word in ('-c', line)))


def pipe_lines(shop: Path, text: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_cli('dev', str(shop), '127.0.0.1:0', stdin=text, **options)


def answers(done: subprocess.CompletedProcess[str]) -> list[Any]:
    """What is on standard output, which should be a JSON document on each line."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) != 0


# Lines


def test_one_line(shop: Path) -> None:
    done = run_lines(shop, 'read echo hello=world n:=3')
    assert done.stdout == '{"hello":"world","n":3,"server":"shop"}\n'
    assert done.returncode == 0


def test_lines_in_order(shop: Path) -> None:
    done = run_lines(shop, *(f'read echo n:={number}' for number in range(5)))
    assert [answer['n'] for answer in answers(done)] == [0, 1, 2, 3, 4]
    assert done.returncode == 0


def test_lines_from_pipe(shop: Path) -> None:
    done = pipe_lines(shop, 'read echo {"n": 1}\n\n  \nread echo n:=2\nquit\nread echo n:=3\n')
    assert [answer['n'] for answer in answers(done)] == [1, 2]
    assert done.returncode == 0


def test_empty_pipe(shop: Path) -> None:
    done = pipe_lines(shop, '')
    assert (done.stdout, done.returncode) == ('', 0)


def test_last_line_without_end(shop: Path) -> None:
    assert answers(pipe_lines(shop, 'read echo n:=1')) == [{'n': 1, 'server': 'shop'}]


def test_logs_on_stderr(shop: Path) -> None:
    done = run_lines(shop, 'read echo hello=world', 'create echo')
    assert answers(done) == [{'hello': 'world', 'server': 'shop'}, {'error': '500 Internal Server Error'}]
    assert 'INFO' in done.stderr
    assert "reading {'hello': 'world'}" in done.stderr
    assert re.search(r'shop/api/v0/echo\.py", line 9, in create\n', done.stderr)
    assert 'ZeroDivisionError: division by zero\n' in done.stderr


@pytest.mark.parametrize('environment', [{}, {'FORCE_COLOR': '1', 'CLICOLOR_FORCE': '1', 'TERM': 'xterm-256color'}])
def test_no_colour_in_pipes(shop: Path, environment: dict[str, str]) -> None:
    done = pipe_lines(shop, 'read echo\ncreate echo\nbogus\n', env=clean_environment(**environment))
    assert len(answers(done)) == 2
    assert '\x1b' not in done.stdout + done.stderr


def test_json_on_one_line(shop: Path) -> None:
    """A raw response may have its JSON on many."""
    done = run_lines(shop, 'read raw', 'read echo')
    assert answers(done) == [{'a': 1}, {'server': 'shop'}]


@pytest.mark.parametrize(('lines', 'status', 'count'), [
    (['read nothing'], 1, 1),
    (['create echo', 'read echo'], 1, 2),
    (['bogus', 'read echo'], 2, 1),
    (['read echo {"a": }', 'read echo'], 2, 1),
    (['read nothing', 'bogus', 'read nothing'], 2, 2),
    (['quit', 'bogus'], 0, 0),
])
def test_exit_status(shop: Path, lines: list[str], status: int, count: int) -> None:
    done = run_lines(shop, *lines)
    assert (done.returncode, len(answers(done))) == (status, count)


def test_exit_status_of_pipe(shop: Path) -> None:
    done = pipe_lines(shop, 'read nothing\nbogus\nread echo\n')
    assert (done.returncode, len(answers(done))) == (2, 2)


def test_bad_line_explained(shop: Path) -> None:
    done = run_lines(shop, 'raed echo', 'read echo {"a": }')
    assert "'raed' is no action and no command; did you mean 'read'?" in done.stderr
    assert 'bad JSON at column 7' in done.stderr
    assert 'Traceback' not in done.stderr


def test_bytes_that_are_no_text(shop: Path) -> None:
    done = subprocess.run([sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0'],
                          env=clean_environment(), input=b'read \xff\nread echo n:=1\n', capture_output=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2
    assert done.stdout == b'{"n":1,"server":"shop"}\n'
    assert b'Traceback' not in done.stderr


def test_nothing_left_running(shop: Path, tmp_path: Path) -> None:
    run_lines(shop, f'read echo marker={tmp_path}')
    assert not [path for path in Path('/proc').glob('[0-9]*/cmdline') if str(shop).encode() in _content(path)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b''


def test_app_that_cannot_start(shop: Path) -> None:
    """Nobody is there to save a file: it ends, and says why."""
    (shop / 'api/v0/dying.py').write_text(DYING)
    done = subprocess.run([sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0', '-c', 'read echo'],
                          env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5, check=False)
    assert done.returncode == 1
    assert 'exit status 3' in done.stderr


def test_interrupt_of_script(shop: Path) -> None:
    with Program('-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0', '-c', 'read wait') as program:
        program.wait_for_line('waiting')
        app = wait_for(lambda: next(iter(children(program.process.pid)), 0), 'the app')
        assert program.end(signal.SIGINT) == 130
        assert not is_running(app)
        assert 'Traceback' not in program.text


def test_reader_that_leaves(shop: Path) -> None:
    """`apiphant dev shop < many | head -1`"""
    process = subprocess.Popen([sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0'], env=clean_environment(),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write('read echo n:=1\n')
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write('read echo n:=2\n' * 3)
        process.stdin.close()
        stderr = process.stderr.read()
        process.wait(DEADLINE)
    assert 'Traceback' not in stderr


def test_terminal_is_no_script(shop: Path) -> None:
    """`-c` in a terminal is as in a pipe: no prompt and no escapes."""
    environment = clean_environment(TERM='xterm-256color')
    with Terminal(sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0', '-c', 'read echo n:=1', environment=environment) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines[-1] == '{"n":1,"server":"shop"}'
        assert 'shop>' not in terminal.text
        assert b'\x1b' not in terminal.raw
        assert terminal.is_as_before


# No console


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_end_by_signal(shop: Path, number: int) -> None:
    with dev(shop) as server:
        assert server.read('echo', n=1) == {'n': 1, 'server': 'shop'}
        app = wait_for(lambda: next(iter(children(server.process.pid)), 0), 'the app')
        assert server.end(number) == 0
        assert is_free(server.port)
        assert not is_running(app)
        assert 'Traceback' not in server.text


def test_end_while_starting(shop: Path) -> None:
    with dev(shop) as server:
        assert server.end() == 0
        assert is_free(server.port)
        assert 'Traceback' not in server.text


def test_app_dies_at_import(shop: Path) -> None:
    file = shop / 'api/v0/dying.py'
    file.write_text(DYING)
    with dev(shop) as server:
        server.wait_for_line('exit status 3 while it started')
        file.write_text('def read(request):\n    return {"alive": True}\n')
        assert server.read('dying') == {'alive': True}
        assert server.read('echo') == {'server': 'shop'}
        assert len([line for line in server.lines if 'exit status 3' in line]) == 1


def test_app_dies_when_edited(shop: Path) -> None:
    """It served already: the new code ends it, and each next attempt, until the file is saved again."""
    file = shop / 'api/v0/dying.py'
    with dev(shop) as server:
        assert server.read('echo') == {'server': 'shop'}
        file.write_text(DYING)
        server.wait_for_line('exit status 3 while it started')
        file.write_text('def read(request):\n    return {"alive": True}\n')
        assert server.read('dying') == {'alive': True}


def test_app_killed(shop: Path) -> None:
    with dev(shop) as server:
        assert server.read('echo') == {'server': 'shop'}
        app = children(server.process.pid)[0]
        os.kill(app, signal.SIGKILL)
        assert server.read('echo') == {'server': 'shop'}
        server.wait_for_line('killed by SIGKILL')


def test_logs_without_colour(shop: Path) -> None:
    with dev(shop) as server:
        assert server.post('/api/v0/echo/create', {})[0] == 500
        server.wait_for_line('ZeroDivisionError')
        assert '\x1b' not in server.text
