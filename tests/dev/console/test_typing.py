"""Keys at the prompt: what Enter takes, what a paste is, and how long much of it takes."""
from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.console import PROMPT, Console
from tests.kit.running import run_cli, write_tree
from tests.kit.terminal import ENTER

SHOP = {
    'shop/api/v0/echo.py': 'def read(request):\n    return dict(request)\n',
    'shop/api/v0/echoes.py': 'def read(request):\n    return dict(request)\n',
}
RAW = '''
from apiphant.server import raw_response

@raw_response
def read(request, start_response):
    start_response('200 OK', [('Content-Type', 'application/octet-stream')])
    return [bytes(range(256))]
'''
PASTE = '\x1b[200~%s\x1b[201~'
DOWN, LEFT = '\x1b[B', '\x1b[D'


@pytest.fixture
def start(start: Callable[..., Console]) -> Callable[..., Console]:
    """Starts consoles that have made a call."""
    def begin(**options: Any) -> Console:
        console = start(**options)
        console.call('read echo', '200 OK')
        console.call('clear')
        return console
    return begin


def test_enter_takes_from_menu(start: Callable[..., Console]) -> None:
    console = start()
    console.send('read e')
    console.wait_for_menu('echoes')
    console.send(DOWN + DOWN)
    console.wait_for_line(f'{PROMPT}read echoes')
    console.send(ENTER)
    console.wait_until(lambda: not [word for word in console.offered if word == 'echo'], 'the menu to go')
    console.send(' a=1')
    console.wait_for_line(f'{PROMPT}read echoes a=1')
    assert '200 OK' not in console.text
    console.enter('')
    console.wait_for_text('"a": "1"')


def test_enter_inside_unfinished_object(start: Callable[..., Console]) -> None:
    console = start()
    console.send('read echo {"a": 1, ')
    console.wait_for_line(PROMPT + 'read echo {"a": 1,')
    console.send(LEFT * 3 + ENTER)
    console.wait_until(lambda: any(line.strip() == '1,' for line in console._lines()), 'a new line')
    assert 'bad JSON' not in console.text
    console.send('\x1b[F')  # End
    console.send(' "b": 2}' + ENTER)
    console.wait_for_text('200 OK')


def test_pasted_commands(start: Callable[..., Console]) -> None:
    console = start()
    console.send(PASTE % 'read echo a=1\r\nread echo {\n  "b": 2\n}\nread echo c=3\n')
    console.wait_for_text('c=3')
    assert '200 OK' not in console.text
    console.send(ENTER)
    for text in ('"a": "1"', '"b": 2', '"c": "3"'):
        console.wait_for_text(text)
    console.wait_for_line(PROMPT.strip())


def test_pasted_mistake(start: Callable[..., Console]) -> None:
    console = start()
    console.send(PASTE % 'read echo a=1\nread echo a:=}' + ENTER)
    console.wait_for_text('line 2, column 14')
    assert '200 OK' not in console.text


def test_much_without_bracketed_paste(start: Callable[..., Console]) -> None:
    console = start(columns=200)
    begin = time.monotonic()
    console.send('read echo a=' + 'x' * 4000)
    console.send('.')
    console.wait_until(lambda: console._screen.display[console._screen.cursor.y].rstrip().endswith('x.'), 'all of it')
    print(time.monotonic() - begin)
    console.enter('')
    console.wait_for_text('200 OK')


def test_bytes_to_file(start: Callable[..., Console], tmp_path: Path) -> None:
    """As they came: no newline more, nothing replaced; only JSON is a line."""
    (tmp_path / 'shop/api/v0/raw.py').write_text(RAW)
    console = start()
    console.call(f'read raw > {tmp_path}/one', '200 OK', '256 bytes')
    assert (tmp_path / 'one').read_bytes() == bytes(range(256))
    console.call('read raw | head -c 42 | tail -c 2', 'read raw', '()')
    assert '()' in console.lines


def test_bytes_of_script(tmp_path: Path) -> None:
    write_tree(tmp_path, {**SHOP, 'shop/api/v0/raw.py': RAW})
    done = run_cli(
        'dev', str(tmp_path / 'shop'), '127.0.0.1:0', '-c', f'read raw > {tmp_path}/one', '-c',
        f'read raw | cat > {tmp_path}/two')
    assert done.returncode == 0
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'two').read_bytes() == bytes(range(256))


@pytest.mark.parametrize('columns', [40, 80])
def test_long_message(start: Callable[..., Console], columns: int) -> None:
    """It goes on below where the screen is too narrow, in place of the toolbar."""
    console = start(columns=columns)
    console.send('read echo a:=1 not-an-item b=2')
    message = "the request should be a JSON object or items, key=text or key:=JSON, not 'not-an-item' (column 16)"
    console.wait_until(
        lambda: message in ''.join(line.ljust(columns) for line in console._lines()), 'all of the message')
