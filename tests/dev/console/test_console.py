"""`apiphant dev` as a person has it: typed at in a terminal, looked at on a screen."""
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.console import PROMPT, Console, OutsideCall, colour_codes, wait_for_busy
from tests.kit.processes import children, is_free, is_running
from tests.kit.running import wait_for, write_tree
from tests.kit.terminal import CTRL_C, CTRL_D, UP

ECHO = """
def read(request):
    return {**request, 'server': 'shop'}
"""
WORK = """
import logging
import time

def create(request):
    logging.info('about to divide')
    return {'x': 1 / request['by']}

def read(request):
    for number in range(request['lines']):
        logging.info('line %d.', number)
        if number % 50 == 0:
            time.sleep(0.001)
    return {'logged': request['lines']}

def update(request):
    print('sleeping', flush=True)
    time.sleep(600)

def delete(request):
    print('spinning', flush=True)
    if request.get('in_c'):
        sum(range(10 ** 12))
    while True:
        pass
"""
SHOP = {
    'shop/api/v0/echo.py': ECHO, 'shop/api/v0/work.py': WORK,
    'shop/api/v1/echo.py': ECHO.replace("'shop'", "'version one'")}
DIVIDE = "return {'x': 1 / request['by']}"
DIVIDE_LINE, SPIN_LINE = (WORK.splitlines().index(f'    {line}') + 1 for line in (DIVIDE, 'while True:'))


@pytest.fixture
def console(start: Callable[..., Console]) -> Console:
    return start()


# Calls and what is shown of them


def test_first_screen(console: Console) -> None:
    assert console.lines[0].startswith('Serving shop on http://127.0.0.1:')
    assert 'help' in console.lines[0]
    console.wait_for_line(PROMPT.strip())
    assert len(console.above) == 1


def test_calls_answered(console: Console) -> None:
    console.call('read echo {"hello": "world"}', '"hello": "world"', '"server": "shop"')
    assert re.search(r'^200 OK  \d+\.\d ms  33 bytes$', console.text, re.MULTILINE)
    assert console.above[-4:] == ['{', '  "hello": "world",', '  "server": "shop"', '}']
    console.call('read echo hello=world n:=3', '"n": 3')
    assert console.above[-5:] == ['{', '  "hello": "world",', '  "n": 3,', '  "server": "shop"', '}']


def test_typed_before_prompt(tmp_path: Path) -> None:
    """Keys that come while it starts are not lost."""
    write_tree(tmp_path, SHOP)
    with Console(tmp_path) as console:
        console.enter('read echo early=bird')
        console.wait_for_text('"early": "bird"')


def test_routes_asked_early(console: Console) -> None:
    """The prompt is there before the app is; a question that the app has to answer waits for it."""
    console.call('routes', '/api/v0/echo/read')


def test_version_of_early_call(tmp_path: Path) -> None:
    write_tree(tmp_path, {'shop/api/v1/echo.py': ECHO})
    with Console(tmp_path) as console:
        console.enter('read echo early=bird')
        console.wait_for_text('"early": "bird"')


def test_failed_call(console: Console) -> None:
    console.call('read nothing', '404 Not Found  ', '"error": "404 Not Found"')
    assert console.colours('404 Not Found  ') == {'red', 'default'}


def test_mistakes_explained(console: Console) -> None:
    console.call('raed echo', "did you mean 'read'?")
    console.call('use v7', 'v0, v1')
    console.call('read echo', '200 OK')


def test_commands_of_console(console: Console) -> None:
    console.call('read echo', '"server": "shop"')
    console.call('help', 'read TARGET [REQUEST]', 'quit')
    console.call('routes', '/api/v0/echo/read', '/api/v1/echo/read')
    console.call('use v1')
    console.call('read echo', '"server": "version one"')
    console.call('use v7', 'v0, v1')


def test_bytes_that_are_no_text(console: Console) -> None:
    console.send(b'read \xff\r')
    console.wait_for_line(PROMPT.strip())
    console.call('read echo after=it', '"after": "it"')


# Colour


def test_colours_are_there(console: Console) -> None:
    console.call('read echo n:=3', '"n": 3')
    assert console.colours('200 OK') == {'green'}
    assert len(console.colours('"n": 3')) > 1
    console.call('create work by:=0', 'ZeroDivisionError', '500 Internal Server Error  ')
    assert console.colours('ZeroDivisionError') == {'red'}
    assert console.colours('INFO') == {'green'}
    assert console.colours('work.py') == {'cyan'}
    assert console.colours('ERROR') == {'red'}


def test_no_color(start: Callable[..., Console]) -> None:
    console = start(NO_COLOR='1')
    console.call('read echo n:=3', '"n": 3')
    console.call('create work by:=0', 'ZeroDivisionError', '500 Internal Server Error  ')
    console.send('re')
    console.wait_for_menu('read')
    assert colour_codes(console.raw) == set()


def test_dumb_terminal(start: Callable[..., Console]) -> None:
    console = start(TERM='dumb')
    console.call('read echo n:=3', '"n": 3')
    console.call('create work by:=0', 'ZeroDivisionError', '500 Internal Server Error  ')
    console.send('half')
    console.wait_for_line(PROMPT + 'half')
    console.send(CTRL_C)
    console.wait_for_line(PROMPT.strip())
    console.send(CTRL_D)
    assert console.wait() == 0
    assert b'\x1b' not in console.raw


# Above the prompt


def test_log_above_prompt(console: Console) -> None:
    typed = PROMPT + 'read echo half='
    console.send('read echo half=')
    console.wait_for_line(typed)
    assert OutsideCall(console.port, '/api/v0/work/create', by=0).result() == 500
    console.wait_for_text('ZeroDivisionError')
    console.wait_for_line(typed)
    lines = console.lines
    assert [line for line in lines if PROMPT in line] == [typed]
    found = [next(number for number, line in enumerate(lines) if part in line) for part in (
        'INFO', 'ERROR', 'Traceback', DIVIDE, 'ZeroDivisionError', typed)]
    assert found == sorted(found)
    assert f'shop/api/v0/work.py", line {DIVIDE_LINE}, in create' in console.text
    assert console.colours('ZeroDivisionError') == {'red'}
    console.call('whole', '"half": "whole"')


def test_burst_of_log_lines(console: Console) -> None:
    typed = PROMPT + 'read echo half='
    console.send('read echo half=')
    console.wait_for_line(typed)
    assert OutsideCall(console.port, '/api/v0/work/read', lines=300).result() == 200
    console.wait_for_text('line 299.')
    console.wait_for_line(typed)
    logged = [int(found[1]) for line in console.history if (found := re.search(r'line (\d+)\.$', line))]
    assert logged == list(range(300))
    assert len([line for line in console.lines if PROMPT in line]) == 1


def test_burst_before_answer(console: Console) -> None:
    """What a call of the console logs is shown before its answer, all of it."""
    console.call('read work lines:=300', '"logged": 300')
    shown = [found[0] for line in console.history if (found := re.search(r'line \d+\.$|200 OK', line))]
    assert shown == [*(f'line {number}.' for number in range(300)), '200 OK']


# Live code


def test_edit_is_live(console: Console, tmp_path: Path) -> None:
    console.call('read echo', '"server": "shop"')
    (tmp_path / 'shop/api/v0/echo.py').write_text(ECHO.replace("'shop'", "'edited'"))
    console.wait_for_text('Reloaded')
    console.call('read echo', '"server": "edited"')


def test_syntax_error(console: Console, tmp_path: Path) -> None:
    console.call('read echo', '"server": "shop"')
    (tmp_path / 'shop/api/v0/echo.py').write_text('\n\ndef read(request:\n    return {}\n')
    console.wait_for_text('SyntaxError')
    assert 'shop/api/v0/echo.py", line 3' in console.text
    assert console.colours('SyntaxError') == {'red'}
    console.call('read echo still=old', '"still": "old"')
    (tmp_path / 'shop/api/v0/echo.py').write_text(ECHO.replace("'shop'", "'mended'"))
    console.wait_for_text('Mended')
    console.call('read echo', '"server": "mended"')


def test_endless_import(console: Console, tmp_path: Path) -> None:
    """A saved file that never ends being imported holds the app; Ctrl-C frees it."""
    console.call('read echo', '200 OK')
    app = console.wait_for_app()
    (tmp_path / 'shop/api/v0/endless.py').write_text("print('importing', flush=True)\nwhile True:\n    pass\n")
    console.wait_for_text('importing')
    wait_for_busy(app)
    console.send(CTRL_C)
    console.wait_for_text('KeyboardInterrupt')
    assert re.search(r'shop/api/v0/endless\.py", line [23]', console.text)
    console.call('read echo after=it', '"after": "it"')
    assert console.wait_for_app() == app


def test_endless_import_at_start(start: Callable[..., Console], tmp_path: Path) -> None:
    (tmp_path / 'shop/api/v0/endless.py').write_text("print('importing', flush=True)\nwhile True:\n    pass\n")
    console = start()
    console.wait_for_text('importing')
    wait_for_busy(console.wait_for_app())
    console.send(CTRL_C)
    console.wait_for_text('KeyboardInterrupt')
    console.call('read echo after=it', '"after": "it"')


def test_broken_at_start(start: Callable[..., Console], tmp_path: Path) -> None:
    (tmp_path / 'shop/api/v0/broken.py').write_text('import nothing_of_that_name\n')
    console = start()
    console.wait_for_text('ModuleNotFoundError')
    assert 'broken.py", line 1' in console.text
    console.call('read broken', '503 Service Unavailable  ')
    console.call('read echo', '200 OK')


# Completion and history


def test_menu_while_typing(console: Console) -> None:
    console.call('read echo', '200 OK')
    console.send('re')
    console.wait_for_menu('read')
    console.send('\x15')
    console.complete('crea', 'create')
    console.send(' ')
    console.wait_for_menu('work')
    assert 'echo' not in console.offered  # it has no create
    console.send('\x15')
    console.complete('read e', 'read echo')
    console.call(' menu=done', '"menu": "done"')


def test_completion_follows_files(console: Console, tmp_path: Path) -> None:
    (tmp_path / 'shop/api/v0/fresh.py').write_text(ECHO)
    console.complete('update w', 'update work')
    console.send('\x15')
    console.complete('read fr', 'read fresh')
    console.call('', '200 OK')


def test_history_of_product(start: Callable[..., Console], tmp_path: Path) -> None:
    first = start()
    first.call('read echo remembered=yes', '"remembered": "yes"')
    first.send(CTRL_D)
    assert first.wait() == 0
    (path,) = (file for file in (tmp_path / 'state').rglob('*') if file.is_file())
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    second = start()
    second.send(UP)
    second.wait_for_line(PROMPT + 'read echo remembered=yes')
    second.call('', '"remembered": "yes"')


# Ctrl-C


def test_interrupt_while_starting(console: Console) -> None:
    """The prompt is there before the app is: Ctrl-C has nothing to interrupt, and must not end it."""
    app = console.wait_for_app()
    console.send(CTRL_C)
    console.call('read echo after=it', '"after": "it"')
    assert console.wait_for_app() == app


def test_interrupt_of_typing(console: Console) -> None:
    console.call('read echo', '200 OK')
    app = console.wait_for_app()
    console.send('read echo half')
    console.wait_for_line(PROMPT + 'read echo half')
    console.send(CTRL_C)
    console.wait_for_line(PROMPT.strip())
    console.call('read echo after=it', '"after": "it"')
    assert console.wait_for_app() == app


def test_interrupt_of_waiting_call(console: Console) -> None:
    app = console.wait_for_app()
    console.enter('update work')
    console.wait_for_text('sleeping')
    console.send(CTRL_C)
    console.wait_for_text('Cancelled.')
    console.wait_for_line(PROMPT.strip())
    console.call('read echo after=it', '"after": "it"')
    assert console.wait_for_app() == app


def test_interrupt_of_busy_call(console: Console) -> None:
    app = console.wait_for_app()
    console.enter('delete work')
    console.wait_for_text('spinning')
    wait_for_busy(app)
    console.send(CTRL_C)
    console.wait_for_text('Cancelled.')
    console.wait_for_text('KeyboardInterrupt')
    console.call('read echo after=it', '"after": "it"')
    assert console.wait_for_app() == app


def test_spinning_handler_of_others(console: Console) -> None:
    app = console.wait_for_app()
    call = OutsideCall(console.port, '/api/v0/work/delete')
    console.wait_for_text('spinning')
    console.send('read echo x')
    console.wait_for_line(PROMPT + 'read echo x')
    assert not call.status
    wait_for_busy(app)
    console.send(CTRL_C)
    console.wait_for_text('KeyboardInterrupt')
    found = re.search(r'shop/api/v0/work\.py", line (\d+), in delete', console.text)
    assert int(found[1]) in (SPIN_LINE, SPIN_LINE + 1)
    assert call.result() == 500
    console.call('read echo after=it', '"after": "it"')
    assert console.wait_for_app() == app


def test_loop_in_c(console: Console) -> None:
    app = console.wait_for_app()
    console.enter('delete work in_c:=true')
    console.wait_for_text('spinning')
    wait_for_busy(app)
    console.send(CTRL_C)
    console.wait_for_text('Cancelled.')
    console.wait_for_text('Starting it again.')
    console.call('read echo after=it', '"after": "it"')
    assert not is_running(app)


# The end


@pytest.mark.parametrize(('leave', 'status'), [
    (lambda console: console.send(CTRL_D), 0),
    (lambda console: console.enter('quit'), 0),
    (lambda console: os.kill(console.pid, signal.SIGTERM), 128 + signal.SIGTERM),
    (lambda console: os.kill(console.pid, signal.SIGHUP), 128 + signal.SIGHUP),
], ids=['ctrl-d', 'quit', 'sigterm', 'sighup'])
def test_terminal_as_before(console: Console, leave: Callable[[Console], None], status: int) -> None:
    console.call('read echo', '200 OK')
    console.wait_until(lambda: not console.is_as_before, 'the prompt to have its own settings')
    app, port = console.wait_for_app(), console.port
    leave(console)
    assert console.wait() == status
    assert console.is_as_before
    assert console.cursor_line == ''
    assert not is_running(app)
    assert is_free(port)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_signal_in_call(console: Console, number: int) -> None:
    app = console.wait_for_app()
    console.enter('update work')
    console.wait_for_text('sleeping')
    os.kill(console.pid, number)
    assert console.wait() == 128 + number
    assert console.is_as_before
    assert not is_running(app)


def test_signal_with_half_line(console: Console) -> None:
    console.send('re')
    console.wait_for_menu('read')
    os.kill(console.pid, signal.SIGTERM)
    assert console.wait() == 128 + signal.SIGTERM
    assert console.is_as_before
    assert not console.offered


def test_closed_window(console: Console) -> None:
    app, port = console.wait_for_app(), console.port
    console.hang_up()
    wait_for(
        lambda: not is_running(app) and not is_running(console.pid) and is_free(port),
        'both processes to end, and listening')


def test_killed_console(start: Callable[..., Console]) -> None:
    """Started by a shell, as in life: the end of a session's first process would send SIGHUP to all."""
    console = start('sh', '-c', '"$@"; echo ended with $?; read line', 'sh')
    port = console.port
    (pid,) = children(console.pid)
    app = wait_for(lambda: next(iter(children(pid)), 0), 'an app process')
    console.call('read echo', '200 OK')
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_running(app) and is_free(port), 'the end of the app, and of listening')
    console.wait_for_text('ended with 137')


def test_killed_console_while_spinning(start: Callable[..., Console]) -> None:
    console = start('sh', '-c', '"$@"; echo ended with $?; read line', 'sh')
    (pid,) = children(console.pid)
    app = wait_for(lambda: next(iter(children(pid)), 0), 'an app process')
    console.enter('delete work')
    console.wait_for_text('spinning')
    wait_for_busy(app)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_running(app), 'the end of the app')


def test_killed_app(console: Console) -> None:
    console.call('read echo', '200 OK')
    app = console.wait_for_app()
    os.kill(app, signal.SIGKILL)
    console.call('read echo after=it', 'was killed by SIGKILL', '"after": "it"')
    assert console.wait_for_app(other_than=app)


# A narrow screen


def test_forty_columns(start: Callable[..., Console]) -> None:
    console = start(columns=40)

    def typed_on_two_lines() -> str:
        return ''.join([*console.above[-1:], console.cursor_line]).replace(' ', '')
    line = 'read echo {"hello": "a world that is wider than the screen"}'
    typed = line.replace(' ', '')
    console.send(line)
    console.wait_until(lambda: typed in typed_on_two_lines(), 'the line on two lines')
    console.call('', '"server": "shop"')
    console.send(UP)
    console.wait_until(lambda: typed in typed_on_two_lines(), 'the line on two lines again')
    console.send(CTRL_C)
    console.call('help', 'quit')
    console.complete('crea', 'create')
