"""`apiphant dev` without a person: lines from `-c` or a pipe, and `--no-console`."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kit.processes import app_of, children, is_free, is_running
from tests.kit.running import DEADLINE, Program, clean_environment, dev, run_cli, wait_for, write_tree
from tests.kit.terminal import Terminal
from tests.kit.wire import Wire

pytestmark = pytest.mark.once

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
from apiphant.server import raw_response

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
CITY = '''
from apiphant.validation import field

def create(request):
    """A new city."""
    name = field(request, 'name', valid_type=str, is_required=True)
    return {'name': name, 'size': field(request, 'size', valid_type=int)}

def read(request):
    return {}
'''
CITY_HELP = 'create city\n  A new city.\n    name  str, required\n    size  int\nread city\n'
TASKS = '''
from apiphant.background import seconds

@seconds(60)
def clean():
    print('cleaned', flush=True)

@seconds(0.5)
def fail():
    1 / 0

def on_error(error):
    print('told', repr(error.splitlines()[0]), flush=True)
'''
CALL = r'INFO \d\d:\d\d:\d\d \S+ \S+ \d{3} \d+\.\d ms$'
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
    assert 'bad JSON: Expecting value (column 17)' in done.stderr
    assert 'Traceback' not in done.stderr


def test_bytes_that_are_no_text(shop: Path) -> None:
    done = subprocess.run([sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0'],
                          env=clean_environment(), input=b'read \xff\nread echo n:=1\n', capture_output=True,
                          timeout=DEADLINE, check=False)
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
                          env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert 'exit status 3' in done.stderr
    assert 'Traceback' not in done.stderr


def test_interrupt_of_script(shop: Path) -> None:
    with Program('-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0', '-c', 'read wait') as program:
        program.wait_for_line('waiting')
        apps = children(program.process.pid)
        assert program.end(signal.SIGINT) == 130
        assert not any(map(is_running, apps))
        assert 'Traceback' not in program.text


def test_reader_that_leaves(shop: Path) -> None:
    """`apiphant dev shop < many | head -1`"""
    process = subprocess.Popen([sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0'],
                               env=clean_environment(),
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
    with Terminal(
            sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0', '-c', 'read echo n:=1',
            environment=environment) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines[-1] == '{"n":1,"server":"shop"}'
        assert 'shop>' not in terminal.text
        assert b'\x1b' not in terminal.raw
        assert terminal.is_as_before


# What goes elsewhere


@pytest.mark.parametrize(('line', 'text'), [
    ('read echo a=1 | cat', '{"a":"1","server":"shop"}\n'),
    ('read echo a=1 | tr a-z A-Z | tr 1 2', '{"A":"2","SERVER":"SHOP"}\n'),
    ('read echo a=" | " | cat', '{"a":" | ","server":"shop"}\n'),
    ('routes echo | wc -l', '2\n'),
    ('help read | head -1', 'read TARGET [REQUEST]\n'),
    ('py 1 + 1 | cat', '2\n'),
    ('read echo | true', ''),
])
def test_pipe_to_command(shop: Path, line: str, text: str) -> None:
    done = run_lines(shop, line)
    assert (done.stdout, done.returncode) == (text, 0)


def test_order_of_outputs(shop: Path) -> None:
    """What a command prints comes between the answers before and after."""
    done = run_lines(shop, 'read echo n:=1', 'read echo n:=2 | cat', 'read echo n:=3')
    assert [answer['n'] for answer in answers(done)] == [1, 2, 3]


def test_output_to_file(shop: Path, tmp_path: Path) -> None:
    done = run_cli(
        'dev', str(shop), '127.0.0.1:0', '-c', 'read echo n:=1 > x.json', '-c', 'read echo n:=2 >> x.json', '-c',
        'curl > "two words.txt"', cwd=tmp_path)
    assert (done.stdout, done.returncode) == ('', 0)
    assert (tmp_path / 'x.json').read_text() == '{"n":1,"server":"shop"}\n{"n":2,"server":"shop"}\n'
    assert (tmp_path / 'two words.txt').read_text().startswith('curl ')


@pytest.mark.parametrize(('line', 'status'), [
    ('read echo | false', 1), ('read echo | no-such-command-here', 1), ('read echo > /no/such/folder/x', 1),
    ('read nothing | cat', 1), ('help | exit 3', 1),
    ('read echo |', 2), ('quit | cat', 2)])
def test_exit_status_of_output(shop: Path, line: str, status: int) -> None:
    done = run_lines(shop, line)
    assert done.returncode == status
    assert 'Traceback' not in done.stderr


# Words about the last call


def test_again(shop: Path) -> None:
    done = run_lines(shop, 'read echo n:=1 > /dev/null', 'again', 'read echo n:=2', 'again | cat')
    assert [answer['n'] for answer in answers(done)] == [1, 2, 2]
    assert done.returncode == 0


def test_last_answer_in_next_call(shop: Path) -> None:
    done = run_lines(shop, 'read echo items:=[{"id":5}]', 'read echo id:=$.items[0].id', 'read echo all:=_')
    assert answers(done)[1:] == [{'id': 5, 'server': 'shop'}, {'all': {'id': 5, 'server': 'shop'}, 'server': 'shop'}]


@pytest.mark.parametrize('line', ['again', 'curl', 'save', 'watch'])
def test_no_call_yet(shop: Path, line: str) -> None:
    done = run_lines(shop, line)
    assert (done.returncode, done.stdout) == (2, '')
    assert 'there was no call yet' in done.stderr


@pytest.mark.parametrize('request_text', ['', 'a=1', 'a="it\'s $HOME" b:=[1,null]', '{"a": "é\\n\\"\\\\"}'])
def test_curl_runs(shop: Path, request_text: str) -> None:
    done = run_lines(shop, f'read echo {request_text}', 'curl', 'curl | sh 2> /dev/null')
    assert done.returncode == 0
    answer, curl, again = done.stdout.split('\n', 2)
    assert curl.startswith('curl -X POST -d ')
    assert json.loads(again) == json.loads(answer)


def test_curl_of_unix_socket(shop: Path, tmp_path: Path) -> None:
    done = run_cli(
        'dev', str(shop), f'unix:{tmp_path}/a b.sock', '-c', 'read echo n:=1', '-c', 'curl | sh 2> /dev/null')
    first, again = done.stdout.splitlines()
    assert json.loads(first) == json.loads(again) == {'n': 1, 'server': 'shop'}


def test_curl_with_half_pair(shop: Path) -> None:
    done = run_lines(shop, 'read echo {"a": "\\ud800"}', 'curl')
    assert 'Traceback' not in done.stderr
    assert r'{"a": "\ud800"}' in done.stdout


def test_save(shop: Path) -> None:
    done = run_lines(shop, 'read echo n:=1', 'save', 'again', 'save', 'read nothing', 'save')
    assert len(answers(done)) == 3
    assert done.stderr.count('Added to shop/api/test.py') == 2
    assert 'Replaced in shop/api/test.py' in done.stderr
    assert (shop / 'api/test.py').read_text() == (
        'from apiphant.test import test\n\ntest(\'echo\', \'read\', {"n": 1}, 200, {"n": 1, "server": "shop"})\n'
        'test(\'nothing\', \'read\', {}, 404, {"error": "404 Not Found"})\n')


def test_save_refused(shop: Path) -> None:
    (shop / 'api/test.py').write_text('def broken(:\n')
    done = run_lines(shop, 'read echo', 'save')
    assert done.returncode == 1
    assert 'not saved' in done.stderr
    assert (shop / 'api/test.py').read_text() == 'def broken(:\n'


# Words about the product


def test_help_on_target(shop: Path) -> None:
    (shop / 'api/v0/city.py').write_text(CITY)
    done = run_lines(shop, 'help city', 'help create city', 'help ctiy')
    assert done.stdout == CITY_HELP + CITY_HELP.partition('read')[0]
    assert "did you mean 'city'?" in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize('line', ['help /', 'help read ../../..', 'help a.b'])
def test_no_help(shop: Path, line: str) -> None:
    done = run_lines(shop, line)
    assert (done.returncode, done.stdout) == (2, '')
    assert 'to help with' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(('line', 'named'), [
    ('read ehco', 'did you mean read echo?'), ('update echo', 'echo has no update; it has create, read')])
def test_target_mistyped(shop: Path, line: str, named: str) -> None:
    done = run_lines(shop, line)
    assert named in done.stderr
    assert answers(done) == [{'error': '404 Not Found'}]
    assert done.returncode == 1


def test_version_used(shop: Path) -> None:
    write_tree(shop.parent, {'shop/api/v1/echo.py': 'def read(request):\n    return {"version": 1}\n'})
    done = run_lines(shop, 'use v1', 'read echo', 'use v2', 'read echo', 'use v0', 'read echo')
    assert answers(done) == [{'version': 1}, {'version': 1}, {'server': 'shop'}]
    assert (done.returncode, 'v0, v1' in done.stderr) == (2, True)


@pytest.mark.parametrize('line', [
    'watch', 'watch read echo', 'unwatch', 'edit', 'edit read echo', 'open', 'open api/v0/echo.py:1'])
def test_words_for_a_terminal(shop: Path, line: str) -> None:
    done = run_lines(shop, 'read echo', line)
    assert done.returncode == 2
    assert 'is for a terminal' in done.stderr
    assert answers(done) == [{'server': 'shop'}]


@pytest.mark.parametrize('line', ['clear', 'restart', 'use v0', 'log warning'])
def test_words_that_print_nothing(shop: Path, line: str) -> None:
    done = run_lines(shop, line, 'read echo')
    assert (done.returncode, done.stdout) == (0, '{"server":"shop"}\n')


# Words for the app


@pytest.mark.parametrize(('lines', 'text'), [
    (['py 1 + 1'], '2\n'),
    (['py None'], ''),
    (['py x = 3', 'py x * 2'], '6\n'),
    (['py import math', 'py math.floor(2.5)'], '2\n'),
    (['py shop.api.v0.echo.read({"a": 1})'], "{'a': 1, 'server': 'shop'}\n"),
    (['read echo n:=1 | true', 'py _.n + _["n"]'], '2\n'),
    (['py _'], ''),
    (['py "é" * 3'], "'ééé'\n"),
])
def test_py(shop: Path, lines: list[str], text: str) -> None:
    done = run_lines(shop, *lines)
    assert (done.stdout, done.returncode) == (text, 0)


@pytest.mark.parametrize(('line', 'last'), [
    ('py 1 / 0', 'ZeroDivisionError: division by zero'), ('py 1 +', 'SyntaxError: invalid syntax'),
    ('py quit()', 'SystemExit'), ('py nope', "NameError: name 'nope' is not defined")])
def test_py_that_raises(shop: Path, line: str, last: str) -> None:
    """Its traceback, which is one; the app goes on."""
    done = run_lines(shop, line, 'read echo')
    assert (done.stdout, done.returncode) == ('{"server":"shop"}\n', 1)
    assert re.search(f'^{re.escape(last)}', done.stderr, re.MULTILINE)
    assert 'another exception' not in done.stderr
    assert 'apiphant/' not in done.stderr


def test_py_without_modules(tmp_path: Path) -> None:
    (tmp_path / 'shop/api').mkdir(parents=True)
    done = run_lines(tmp_path / 'shop', 'py shop.__name__')
    assert done.stdout == "'shop'\n"


def test_tasks(shop: Path) -> None:
    (shop / 'api/background.py').write_text(TASKS)
    done = run_lines(shop, 'tasks', 'run clean', 'run fail', 'run nothing')
    assert (done.stdout, done.returncode) == ('clean every 60 s\nfail every 0.5 s\n', 1)
    for text in (
            "There is no task 'nothing'; there are: clean, fail", 'cleaned', 'Task clean: OK.', 'Task fail failed:',
            'ZeroDivisionError', "told 'Task fail failed:'"):
        assert text in done.stderr
    assert done.stderr.count('cleaned') == 1


def test_no_tasks(shop: Path) -> None:
    assert run_lines(shop, 'tasks').stdout == 'There are no background tasks.\n'


@pytest.mark.parametrize(('level', 'is_logged'), [
    ('debug', True), ('info', True), ('warning', False), ('error', False)])
def test_log_level(shop: Path, level: str, is_logged: bool) -> None:
    done = run_lines(shop, f'log {level}', 'read echo a=1', 'create echo')
    assert ('reading' in done.stderr) == is_logged
    assert 'ZeroDivisionError' in done.stderr


@pytest.mark.parametrize('line', ['py 1', 'tasks', 'run x', 'log info'])
def test_ask_app_that_cannot_start(shop: Path, line: str) -> None:
    (shop / 'api/v0/dying.py').write_text(DYING)
    done = subprocess.run([sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0', '-c', line],
                          env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert 'does not start' in done.stderr
    assert 'Traceback' not in done.stderr


def test_app_that_dies_over_a_question(shop: Path) -> None:
    done = run_lines(shop, 'py __import__("os")._exit(4)', 'read echo')
    assert 'exit status 4' in done.stderr
    assert answers(done) == [{'server': 'shop'}]


# Calls of others


def calls_in(server: Program) -> list[str]:
    return [line for line in server.lines if re.search(CALL, line)]


def count_of_calls(server: Program) -> int:
    """Those that have lines, and those that were counted."""
    more = re.findall(r'INFO \d\d:\d\d:\d\d and (\d+) calls? more in the last second$', server.text, re.MULTILINE)
    return len(calls_in(server)) + sum(map(int, more))


@pytest.mark.parametrize(('sent', 'logged'), [
    (b'POST /api/v0/echo/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
     r'POST /api/v0/echo/read 200'),
    (b'POST /api/v0/nothing/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
     r'POST /api/v0/nothing/read 404'),
    (b'POST /api/v0/echo/create HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
     r'POST /api/v0/echo/create 500'),
    (b'GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', r'GET /nothing 404'),
])
def test_call_logged(shop: Path, sent: bytes, logged: str) -> None:
    with dev(shop) as server:
        server.exchange(sent)
        server.wait_for_line(rf'^INFO \d\d:\d\d:\d\d {logged} \d+\.\d ms$')
        assert '\x1b' not in server.text
        assert 'None' not in server.text


def test_each_call_one_line(shop: Path) -> None:
    with dev(shop) as server:
        for number in range(20):
            server.read('echo', n=number)
        wait_for(lambda: len(calls_in(server)) == 20, 'all lines')
        assert all(' POST /api/v0/echo/read 200 ' in line for line in calls_in(server))


def test_own_calls_not_logged(shop: Path) -> None:
    done = run_lines(shop, 'read echo', 'create echo', 'read nothing', 'curl | sh > /dev/null 2>&1', 'read echo')
    assert len(answers_of(done.stdout)) == 4
    assert len([line for line in done.stderr.splitlines() if re.search(CALL, line)]) == 1  # of curl


def answers_of(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize('agent', ['apiphant-dev', 'apiphant-dev/1', 'apiphant-dev/{pid}0', 'curl/8'])
def test_other_agents_logged(shop: Path, agent: str) -> None:
    with dev(shop) as server:
        server.ask('/api/v0/echo/read', b'{}', headers={'User-Agent': agent.format(pid=server.process.pid)})
        server.wait_for_line(CALL)


def test_agent_of_console(shop: Path) -> None:
    with dev(shop) as server:
        server.ask('/api/v0/echo/read', b'{"own": 1}', headers={'User-Agent': f'apiphant-dev/{server.process.pid}'})
        server.ask('/api/v0/echo/read', b'{"own": 2}')
        server.wait_for_line(CALL)
        assert len(calls_in(server)) == 1
        assert "reading {'own': 1}" in server.text


def test_flood_of_calls(shop: Path) -> None:
    """Each is a line or counted, and no second has many lines."""
    (shop / 'api/v0/quiet.py').write_text('def read(request):\n    return {}\n')
    with dev(shop) as server:
        start = time.monotonic()
        one = b'POST /api/v0/quiet/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}'
        with Wire(server, one * 500) as wire:
            assert [wire.answer().body for _ in range(500)] == [b'{}'] * 500
        seconds = time.monotonic() - start
        wait_for(lambda: count_of_calls(server) == 500, 'all calls to be told of')
        assert re.search(r'and \d+ calls more in the last second', server.text)
        assert len(calls_in(server)) <= 50 * (1 + int(seconds))
        server.read('quiet')
        wait_for(lambda: count_of_calls(server) == 501, 'a line again')


def test_breakpoint_without_terminal(shop: Path) -> None:
    file = shop / 'api/v0/stopping.py'
    file.write_text('def read(request):\n    breakpoint()\n    return {"went": "on"}\n')
    with dev(shop) as server:
        for _ in range(2):
            seen = len(server.lines)
            assert server.read('stopping') == {'went': 'on'}
            server.wait_for_line(rf'^WARNING .*{re.escape(str(file))}:2 .*no terminal', seen)
        assert 'Traceback' not in server.text


def test_breakpoint_in_script(shop: Path) -> None:
    (shop / 'api/v0/stopping.py').write_text('def read(request):\n    breakpoint()\n    return {"went": "on"}\n')
    done = pipe_lines(shop, 'read stopping\nread echo\n')
    assert answers(done) == [{'went': 'on'}, {'server': 'shop'}]
    assert 'stopping.py:2 ' in done.stderr


def test_breakpoint_of_environment(shop: Path) -> None:
    (shop / 'api/v0/stopping.py').write_text('def read(request):\n    breakpoint()\n    return {"went": "on"}\n')
    with dev(shop, env=clean_environment(PYTHONBREAKPOINT='0')) as server:
        assert server.read('stopping') == {'went': 'on'}
        assert 'WARNING' not in server.text


# No console


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_end_by_signal(shop: Path, number: int) -> None:
    with dev(shop) as server:
        assert server.read('echo', n=1) == {'n': 1, 'server': 'shop'}
        apps = children(server.process.pid)
        assert server.end(number) == 0
        assert is_free(server.port)
        assert not any(map(is_running, apps))
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
        app = app_of(server.process.pid, server.port)
        os.kill(app, signal.SIGKILL)
        assert server.read('echo') == {'server': 'shop'}
        server.wait_for_line('killed by SIGKILL')


def test_logs_without_colour(shop: Path) -> None:
    with dev(shop) as server:
        assert server.post('/api/v0/echo/create', {})[0] == 500
        server.wait_for_line('ZeroDivisionError')
        assert '\x1b' not in server.text


HEADERS = '''
from apiphant.server import raw_environ

@raw_environ
def read(environ):
    names = ('HTTP_AUTHORIZATION', 'CONTENT_TYPE')
    return {name: environ.get(name) for name in names} | {'body': environ['wsgi.input'].read().decode()}
'''


def test_values_and_what_goes_with_each_call(shop: Path) -> None:
    write_tree(shop, {'api/v0/headers.py': HEADERS})
    lines = [
        'read echo token=t', 'token = $.token', 'set city=Berlin token=$token', 'set Authorization: Bearer $token',
        'read echo', 'read echo city=Bonn', 'read headers', 'unset *', 'read headers', 'save', 'read echo x=$token',
        'again n:=4',
    ]
    done = run_cli('dev', str(shop), '127.0.0.1:0', *(word for line in lines for word in ('-c', line)))
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {'token': 't', 'server': 'shop'},
        {'city': 'Berlin', 'token': 't', 'server': 'shop'},
        {'city': 'Bonn', 'token': 't', 'server': 'shop'},
        {'HTTP_AUTHORIZATION': 'Bearer t', 'CONTENT_TYPE': 'application/json',
         'body': '{"city": "Berlin", "token": "t"}'},
        {'HTTP_AUTHORIZATION': None, 'CONTENT_TYPE': 'application/json', 'body': '{}'},
        {'x': 't', 'server': 'shop'},
        {'x': 't', 'n': 4, 'server': 'shop'},
    ], done.stderr
    assert done.returncode == 0
