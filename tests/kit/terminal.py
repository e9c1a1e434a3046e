"""A real terminal for tests: a command in a pty, and what a person would see of it, by a terminal emulator."""
from __future__ import annotations

import os
import select
import signal
import termios
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import pexpect
import pyte

from tests.kit.processes import descendants, is_running
from tests.kit.running import DEADLINE, wait_for

CTRL_C, CTRL_D, TAB, ENTER, UP = '\x03', '\x04', '\t', '\r', '\x1b[A'
SCROLLBACK = 5000  # lines
Value = TypeVar('Value')


class Terminal:
    """Runs a command in a terminal of its own; on leaving, ends it and all that it started."""

    def __init__(
            self, command: str, *words: str, environment: Mapping[str, str], columns: int = 100,
            rows: int = 40) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=SCROLLBACK)
        self._screen.write_process_input = self._answer  # as terminals answer when asked where the cursor is
        self._stream = pyte.ByteStream(self._screen)
        self._raw = bytearray()
        self._news = threading.Condition()
        self._process = pexpect.spawn(
            command, list(words), dimensions=(rows, columns), env=dict(environment), timeout=None)
        self._process.delaybeforesend = None
        self._process.ptyproc.delayafterclose = 0
        self._before = self._state()
        self._stop, self._stopping = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while chunk := self._read_chunk():
            with self._news:
                self._raw += chunk
                self._stream.feed(chunk)
                self._news.notify_all()

    def _read_chunk(self) -> bytes:
        """b'' at the end: nobody has the terminal open any more, or it is to be closed."""
        readable, _, _ = select.select([self._process.child_fd, self._stop], [], [])
        try:
            return b'' if self._stop in readable else os.read(self._process.child_fd, 65536)
        except OSError:
            return b''

    def _answer(self, text: str) -> None:
        os.write(self._process.child_fd, text.encode())

    # The process

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def wait(self, deadline: float = DEADLINE) -> int:
        """Its exit status, minus the number of the signal if that ended it."""
        wait_for(
            lambda: not self._process.isalive(), f'the end of the command, its screen being\n{self.text}', deadline)
        self._reader.join(deadline)
        return int(-self._process.signalstatus if self._process.exitstatus is None else self._process.exitstatus)

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal has its first settings, and its first modes too: cursor shown, no bracketed paste."""
        with self._news:
            return self._state() == self._before

    def _state(self) -> tuple[list[Any], set[int]]:
        return termios.tcgetattr(self._process.child_fd), set(self._screen.mode)

    def hang_up(self) -> None:
        """Close the terminal, as closing its window does."""
        self._stop_reading()
        self._process.ptyproc.fileobj.close()

    def _stop_reading(self) -> None:
        """A terminal that is being read stays open."""
        os.write(self._stopping, b'x')
        self._reader.join(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        started = descendants(self.pid)
        if self._process.isalive():
            os.kill(self.pid, signal.SIGTERM)
        try:
            self.wait()
            wait_for(lambda: not any(map(is_running, started)), 'the end of all that the command started')
        finally:
            for pid in filter(is_running, started):
                os.kill(pid, signal.SIGKILL)
            self._stop_reading()
            self._process.close(force=True)
            for descriptor in (self._stop, self._stopping):
                os.close(descriptor)

    # The keys

    def send(self, keys: str | bytes) -> None:
        self._process.send(keys)

    def enter(self, line: str) -> None:
        """Type a line."""
        self.send(line + ENTER)

    # The screen

    @property
    def raw(self) -> bytes:
        """All bytes that came so far."""
        with self._news:
            return bytes(self._raw)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, down to the last that has text."""
        with self._news:
            return self._lines()

    @property
    def text(self) -> str:
        return '\n'.join(self.lines)

    @property
    def history(self) -> list[str]:
        """The lines that went off the top, and those of the screen."""
        with self._news:
            gone = [
                ''.join(line[column].data for column in range(self._screen.columns)).rstrip()
                for line in self._screen.history.top]
            return gone + self._lines()

    def _lines(self) -> list[str]:
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def cursor_line(self) -> str:
        """The line that the cursor is in."""
        with self._news:
            return str(self._screen.display[self._screen.cursor.y]).rstrip()

    def colours(self, text: str) -> set[str]:
        """The colours of the last place on the screen where the text is."""
        with self._news:
            for row, line in reversed(list(enumerate(self._screen.display))):
                column = line.rfind(text)
                if column >= 0:
                    return {self._screen.buffer[row][column + offset].fg for offset in range(len(text))}
        raise AssertionError(f'no {text!r} on the screen:\n{self.text}')

    def wait_until(self, condition: Callable[[], Value], what: str, deadline: float = DEADLINE) -> Value:
        """The first true value of a condition that looks at the screen, looked at whenever something comes."""
        with self._news:
            value = self._news.wait_for(condition, deadline)
        assert value, f'waited {deadline:g} s for {what}; the screen is\n{self.text}'
        return value

    def wait_for_text(self, text: str, deadline: float = DEADLINE) -> None:
        """Until the screen shows the text."""
        self.wait_until(lambda: any(text in line for line in self._screen.display), repr(text), deadline)

    def wait_for_line(self, line: str, deadline: float = DEADLINE) -> None:
        """Until the line of the cursor is this one, spaces at its end aside."""
        self.wait_until(
            lambda: self._screen.display[self._screen.cursor.y].rstrip() == line, f'the line {line!r}', deadline)
