"""The dev console in a terminal, and others who call its server."""
from __future__ import annotations

import http.client
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.kit.processes import children, cpu_of
from tests.kit.running import DEADLINE, clean_environment, wait_for
from tests.kit.terminal import CTRL_C, TAB, Terminal

PROMPT = 'shop> '
COLOUR_CODES = {*range(30, 39), *range(40, 49), *range(90, 108)}


class Console(Terminal):
    """`apiphant dev shop` on a free port, at its prompt."""

    def __init__(self, folder: Path, *command: str, columns: int = 160, **environment: str) -> None:
        self.folder = folder
        words = [*command, sys.executable, '-m', 'apiphant.cli', 'dev', str(folder / 'shop'), '127.0.0.1:0']
        more = {'TERM': 'xterm-256color', 'XDG_STATE_HOME': str(folder / 'state'), **environment}
        super().__init__(*words, environment=clean_environment(**more), columns=columns)

    @property
    def port(self) -> int:
        """As it was told at first, which may have been cleared from the screen since."""
        return int(re.search(rb'http://127\.0\.0\.1:(\d+)', self.raw)[1])

    def call(self, line: str, *shown: str) -> None:
        """Type a line, and wait until the screen shows each of these, and the prompt."""
        self.send(line)
        if line:
            self.wait_until(lambda: self._screen.display[self._screen.cursor.y].rstrip() != PROMPT.strip(), 'the line')
        self.enter('')
        for text in shown:
            self.wait_for_text(text)
        self.wait_for_line(PROMPT.strip())

    def clear(self) -> None:
        """An empty prompt on an empty screen, whatever was typed before."""
        if self.cursor_line != PROMPT.strip():
            self.send(CTRL_C)
            self.wait_for_line(PROMPT.strip())
        self.enter('clear')
        self.wait_until(
            lambda: self._screen.cursor.y == 0 and self._screen.display[0].rstrip() == PROMPT.strip(),
            'an empty screen')

    @property
    def above(self) -> list[str]:
        """The lines above the one of the cursor."""
        with self._news:
            return [line.rstrip() for line in self._screen.display[:self._screen.cursor.y]]

    @property
    def offered(self) -> list[str]:
        """What the menu offers: the first word of each line below that of the cursor, down to the toolbar."""
        with self._news:
            below = [line.split() for line in self._screen.display[self._screen.cursor.y + 1:]]
        return [words[0] for words in below if words and words[0] != 'shop']

    def wait_for_menu(self, word: str, deadline: float = DEADLINE) -> None:
        """Until the word is offered."""
        self.wait_until(lambda: word in self.offered, f'{word!r} in the menu', deadline)

    def wait_for_app(self, other_than: int = 0) -> int:
        """The process id of the app."""
        return wait_for(lambda: next((pid for pid in children(self.pid) if pid != other_than), 0), 'an app process')

    def complete(self, text: str, whole: str) -> None:
        """Tab makes the text whole, sooner or later: the routes of a new file may be on their way."""
        def try_it() -> bool:
            self.send(text)
            self.wait_for_line(PROMPT + text)
            self.send(TAB)
            try:
                self.wait_for_line(PROMPT + whole, deadline=0.5)
            except AssertionError:
                self.send('\x15')  # Ctrl-U: the line is empty again
                return False
            return True
        wait_for(try_it, f'{text!r} to become {whole!r}, the screen being\n{self.text}')


@contextmanager
def consoles(folder: Path, kind: type[Console] = Console) -> Iterator[Callable[..., Console]]:
    """Starts consoles of the product in a folder, which are at their prompts, and ends them."""
    with ExitStack() as stack:
        def begin(*command: str, **options: Any) -> Console:
            console = stack.enter_context(kind(folder, *command, **options))
            console.wait_for_line(PROMPT.strip())
            return console
        yield begin


class SharedConsole:
    """A console for one test after the other, with its prompt alone on the screen; another when that one was ended."""

    def __init__(self, make: Callable[[], Console]) -> None:
        self._make = make
        self._console: Console | None = None

    def get(self) -> Console:
        if self._console is None:
            self._console = self._make()
            self._console.wait_for_line(PROMPT.strip())
            self._console.clear()
        return self._console

    def put_back(self) -> None:
        assert self._console
        try:
            self._console.clear()
        except AssertionError:
            self.end()
            raise

    def end(self) -> None:
        console, self._console = self._console, None
        if console:
            console.__exit__()


class OutsideCall(threading.Thread):
    """A call by somebody else, going on while the test does; `status` is 0 until it is answered."""

    def __init__(self, port: int, path: str, **request: Any) -> None:
        super().__init__(daemon=True)
        self.status = 0
        self._port = port
        self._path = path
        self._request = request
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection('127.0.0.1', self._port, timeout=DEADLINE)
        try:
            connection.request('POST', self._path, json.dumps(self._request))
            response = connection.getresponse()
            response.read()
            self.status = response.status
        except OSError:
            pass
        finally:
            connection.close()

    def result(self) -> int:
        self.join(DEADLINE)
        return self.status


def colour_codes(raw: bytes) -> set[str]:
    """The parameters of all escapes that set a colour."""
    parameters = {one for found in re.findall(rb'\x1b\[([\d;]*)m', raw) for one in found.decode().split(';') if one}
    return {one for one in parameters if int(one) in COLOUR_CODES}


def wait_for_busy(pid: int) -> None:
    """Until the process has used another 0.1 s: a handler that said so before a loop is in it."""
    start = cpu_of(pid)
    wait_for(lambda: cpu_of(pid) >= start + 0.1, 'the process to be busy')
