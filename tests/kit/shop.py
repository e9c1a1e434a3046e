"""A product that is edited while `apiphant dev` serves it, and a poller that sees whether anybody noticed."""
from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any, Self

from tests.kit.running import Server, dev, wait_for, write_tree
from tests.kit.saves import from_outside

FENCE = 'api/v0/a_fence.py'  # sorts first, so that a log line names it whatever else it names
FENCE_ALONE = re.compile(r'Reloaded 1 module in \d+ ms: api/v0/a_fence(\.py| \(gone\))$')
PID = 'import os\n\n\ndef read(request):\n    return {"value": os.getpid()}\n'
PAUSE = 0.003  # seconds between polls


def reads(expression: object, *before: str) -> str:
    """The source of a target that reads the value of an expression."""
    return '\n'.join([*before, '', '', 'def read(request):', f'    return {{"value": {expression}}}', ''])


def handler(target: str) -> str:
    """The file of a target of v0, as `Shop.save` wants it."""
    return f'api/v0/{target}.py'


class Shop:
    """A product `shop` in a folder, and its server."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self._marks = count()

    def save(self, name: str, text: str, save: Callable[[Path, str], None] = from_outside) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, text)

    def add(self, name: str, text: str, value: Any) -> None:
        """A target of v0 that reads the value, once it does."""
        self.save(handler(name), text)
        self.becomes(name, value)

    def answer(self, target: str, action: str = 'read', version: str = 'v0') -> Any:
        """The value that a target answers with, or 'status 404'."""
        status, content = self.server.post(f'/api/{version}/{target}/{action}')
        return content.get('value') if status == 200 else f'status {status}'

    def becomes(self, target: str, value: Any, action: str = 'read', version: str = 'v0') -> None:
        """Wait until a target answers with the value."""
        self.wait_for(lambda: self.answer(target, action, version) == value, f'{target} to answer {value!r}')

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        try:
            return wait_for(condition, what)
        except AssertionError as error:
            raise AssertionError(f'{error}; the log ends with:\n' + '\n'.join(self.server.lines[-20:])) from None

    def fence(self) -> int:
        """The number of log lines there are, once all saves before this have been seen."""
        since, mark = len(self.server.lines), next(self._marks)
        self.save(FENCE, reads(mark))
        self._wait_for_fence(r'Reloaded .*a_fence\.py', mark, since)
        return len(self.server.lines)

    def settle(self) -> int:
        """As `fence`, but also what has to wait to be believed has been: what is missing, empty, or new."""
        since = self.fence()
        (self.folder / FENCE).unlink()
        self._wait_for_fence(r'Reloaded .*a_fence \(gone\)', 'status 404', since)
        return len(self.server.lines)

    def _wait_for_fence(self, line: str, value: Any, since: int) -> None:
        """A line names it, or a process that took over meanwhile has it from its start."""
        def is_seen() -> bool:
            if any(re.search(line, logged) for logged in self.server.lines[since:]):
                return True
            has_restarted = any('Restarted in' in logged for logged in self.server.lines[since:])
            return has_restarted and self.answer('a_fence') == value
        self.wait_for(is_seen, f'a line like {line!r}')

    def reloads(self, since: int) -> list[str]:
        """Log lines that tell of a reload, less those of fences."""
        return [line for line in self.server.lines[since:] if 'Reloaded' in line and not FENCE_ALONE.search(line)]

    def logged(self, pattern: str, since: int) -> list[str]:
        return [line for line in self.server.lines[since:] if re.search(pattern, line)]

    @contextmanager
    def steady(self, target: str, reloads: Container[int] = (1,), allowed: Container[int] = (200,)) -> Iterator[Poller]:
        """Nobody notices what is done in this block (i1), one process does it (i2), so many lines tell it (i3, i4)."""
        pid, since = self.answer('pid'), self.settle()
        with Poller(self.server, f'/api/v0/{target}/read', allowed) as poller:
            yield poller
            self.settle()
            poller.polls(1)
        lines = self.reloads(since)
        assert poller.failures == [], self.server.lines[since:]
        assert self.answer('pid') == pid
        assert len(lines) in reloads, lines


class Poller:
    """Posts to a path over and over from a thread, each time on a new connection. What it was answered is kept."""

    def __init__(self, server: Server, path: str, allowed: Container[int]) -> None:
        self.values: list[Any] = []
        self.failures: list[Any] = []
        self.waits: list[float] = []  # seconds that each took
        self.count = 0
        self._server = server
        self._path = path
        self._allowed = allowed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE):
            started = time.perf_counter()
            self._poll()
            self.waits.append(time.perf_counter() - started)
            self.count += 1

    def _poll(self) -> None:
        try:
            status, content = self._server.post(self._path)
        except (OSError, HTTPException, ValueError) as error:  # refused, reset, or no JSON
            self.failures.append(repr(error))
            return
        if status not in self._allowed:
            self.failures.append((status, content))
        elif status == 200:
            self.values.append(content.get('value'))

    def polls(self, number: int = 3) -> None:
        """Wait for so many answers more."""
        wanted = self.count + 1 + number  # one may have begun before this
        wait_for(lambda: self.count >= wanted, 'polls')

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()


@contextmanager
def shop_with(folder: Path, files: dict[str, str], *words: str, **options: Any) -> Iterator[Shop]:
    """A shop with these files, served; words and options are those of `dev`."""
    write_tree(folder / 'shop', {'__init__.py': '', handler('pid'): PID, **files})
    with dev(folder / 'shop', *words, **options) as server:
        yield Shop(folder / 'shop', server)
