"""What the terminal does while lines are typed and printed: who echoes, whose Ctrl-C it is, and who has it."""
from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.kit.console import PROMPT, Console, OutsideCall
from tests.kit.running import wait_for
from tests.kit.terminal import CTRL_C

LOUD = '''
import time

def create(request):
    for number in range(request['lines']):
        print(f'line {number}.' + 'x' * request.get('length', 0))
        time.sleep(0.002)

def read(request):
    print('slow begins')
    time.sleep(request['seconds'])
    return {'slow': 'ends'}
'''
SHOP = {'shop/api/v0/loud.py': LOUD, 'shop/api/v0/echo.py': 'def read(request):\n    return dict(request)\n'}
REPEAT = 0.015  # seconds between two presses of a key that is held down


def is_echoing(console: Console) -> bool:
    return bool(termios.tcgetattr(console._process.child_fd)[3] & termios.ECHO)


def hold(console: Console, key: str, presses: int) -> None:
    for _ in range(presses):
        console.send(key)
        time.sleep(REPEAT)


def test_no_echo_while_lines_come(start: Callable[..., Console]) -> None:
    """What is typed while a line is written above the prompt is shown by the prompt alone."""
    console = start()
    call = OutsideCall(console.port, '/api/v0/loud/create', lines=40, length=5000)
    console.wait_until(lambda: b'line 1.' in console._raw, 'the first lines')
    seen = set()
    while not call.status:
        seen.add(is_echoing(console))
    assert call.result() == 200
    assert seen == {False}


def test_interrupt_held_at_prompt(start: Callable[..., Console]) -> None:
    console = start()
    hold(console, CTRL_C, 200)
    console.wait_for_line(PROMPT.strip())
    console.call('read echo after=it', '"after": "it"')


def test_interrupt_held_while_lines_come(start: Callable[..., Console]) -> None:
    console = start()
    call = OutsideCall(console.port, '/api/v0/loud/create', lines=1000)
    hold(console, CTRL_C, 100)
    assert call.result() == 200
    console.wait_for_line(PROMPT.strip())
    console.call('read echo after=it', '"after": "it"')


def test_interrupt_of_line_leaves_others_alone(start: Callable[..., Console]) -> None:
    console = start()
    call = OutsideCall(console.port, '/api/v0/loud/read', seconds=3)
    console.wait_for_text('slow begins')
    while not call.status:
        console.send('half a line')
        console.send(CTRL_C)
        time.sleep(REPEAT)
    assert call.result() == 200
    assert 'KeyboardInterrupt' not in console.text


def test_end_just_after_an_interrupt(start: Callable[..., Console]) -> None:
    """Whatever the prompt is about to do when SIGTERM comes."""
    for number in range(6):
        console = start()
        for _ in range(3):
            console.send('half a line')
            console.send(CTRL_C)
            time.sleep(number * REPEAT / 6)
        os.kill(console.pid, signal.SIGTERM)
        console.wait()


def test_interrupt_held_in_calls(start: Callable[..., Console]) -> None:
    console = start()
    for _ in range(5):
        console.enter('read loud seconds:=30')
        console.wait_for_text('slow begins')
        hold(console, CTRL_C, 30)
        console.wait_for_text('Cancelled.')
        console.wait_for_line(PROMPT.strip())
        console.call('clear')
    console.call('read echo after=it', '"after": "it"')


def test_interrupt_held_on_dumb_terminal(start: Callable[..., Console]) -> None:
    console = start(TERM='dumb')
    hold(console, CTRL_C, 100)
    console.wait_for_line(PROMPT.strip())
    console.call('read echo after=it', '"after": "it"')


EDITOR = '''
import sys, time, pathlib, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
folder = pathlib.Path(sys.argv[0]).parent
(folder / 'opened').touch()
while not (folder / 'close').exists():
    time.sleep(0.02)
pathlib.Path(sys.argv[1]).write_text('read echo edited=1')
'''


def test_lines_wait_for_editor(start: Callable[..., Console], tmp_path: Path) -> None:
    """They would be painted over the editor, and be lost with its screen."""
    script = tmp_path / 'editor.py'
    script.write_text(EDITOR)
    console = start(EDITOR=f'{sys.executable} {script}')
    console.enter('edit read echo')
    wait_for((tmp_path / 'opened').exists, 'the editor')
    assert OutsideCall(console.port, '/api/v0/loud/create', lines=3).result() == 200
    console.send(CTRL_C)  # is the editor's
    assert 'line 2.' not in console.text
    (tmp_path / 'close').touch()
    console.wait_for_text('line 2.')
    console.wait_for_line(f'{PROMPT}read echo edited=1')


def test_lines_wait_for_pager(start: Callable[..., Console]) -> None:
    console = start()
    console.enter("read echo | sh -c 'echo begun; read line </dev/tty; echo ended'")
    console.wait_until(lambda: 'begun' in console._lines(), 'the pager')
    assert OutsideCall(console.port, '/api/v0/loud/create', lines=3).result() == 200
    assert 'line 2.' not in console.text
    console.enter('')
    console.wait_until(lambda: 'ended' in console._lines(), 'its end')
    console.wait_for_text('line 2.')


def test_editor_by_key_waits_at_prompt(start: Callable[..., Console], tmp_path: Path) -> None:
    script = tmp_path / 'editor.py'
    script.write_text(EDITOR)
    (tmp_path / 'close').touch()
    console = start(EDITOR=f'{sys.executable} {script}')
    console.send('read echo first=1')
    console.send('\x18\x05')
    console.wait_for_line(f'{PROMPT}read echo edited=1')
    assert '"edited"' not in console.text
