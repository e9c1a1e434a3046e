"""The screen: text above the prompt, from any thread, and whether there are colours.

Only one thread ever writes to the terminal at a time: while a line is read that is the prompt's own event loop,
otherwise whoever has something to say. While a debugger, an editor or a pager has the terminal, nobody does:
text waits.
"""
from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any

from prompt_toolkit.application import in_terminal
from prompt_toolkit.application.current import get_app

from .. import escapes
from . import highlight
from .failure import reason

ERASE = '\x1b[2J\x1b[H'
REDRAW = 0.03  # seconds between two batches of lines above the prompt


class Screen:
    """Where text goes: to the terminal, above the prompt if there is one. Any thread may write whole lines."""

    def __init__(self, is_colour: bool) -> None:
        self.is_colour = is_colour
        self.painter = highlight.Painter()
        self.is_free = threading.Event()  # nobody else has the terminal
        self.is_free.set()
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._wake: Callable[[], object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._returned = asyncio.Event()
        self._has_program = False  # an editor or a pager
        self._borrower: Callable[[], None] | None = None  # a debugger that waits for that to end
        self._failures: set[str] = set()  # said already

    # Text

    def write(self, text: str) -> None:
        """What the app prints. It is painted without colours too: the painter keeps where a traceback ended."""
        with self._lock:
            painted = self.painter.paint(text)
            self._put(painted if self.is_colour else escapes.printed(text, False))

    def say(self, text: str) -> None:
        """A line of ours."""
        self.write(f'{escapes.shown(text)}\n')

    def show(self, text: str) -> None:
        """Coloured already, after what could act on the terminal in it was escaped."""
        with self._lock:
            self._put(text)

    def clear(self) -> None:
        with self._lock:
            self._flush()
            sys.stdout.write(ERASE)
            sys.stdout.flush()

    def begin_line(self) -> None:
        """Behind what a program has printed: a new line, unless the cursor is at the beginning of one.

        Spaces up to the last column go on in the next line only if there is something before them.
        """
        with self._lock:
            sys.stdout.write(' ' * (get_terminal_size().columns - 1) + '\r')
            sys.stdout.flush()

    def _put(self, text: str) -> None:
        """Under the lock."""
        self._waiting.append(text)
        if self._wake:
            self._wake()
        else:
            self._flush()

    def _flush(self) -> None:
        """Under the lock."""
        while self._waiting and self.is_free.is_set():
            text = self._waiting.popleft()
            sys.stdout.write(escapes.coloured(text) if self.is_colour else escapes.shown(text))
        sys.stdout.flush()

    # Others who have the terminal

    @contextmanager
    def given_away(self) -> Iterator[None]:
        """To a program that the console runs, between two lines: what is to be said waits until it has ended."""
        while not self._begin_program():
            self.is_free.wait()
        try:
            yield
        finally:
            self._end_program()

    def _begin_program(self) -> bool:
        """Unless a debugger has the terminal."""
        with self._lock:
            if self.is_free.is_set():
                self.is_free.clear()
                self._has_program = True
            return self._has_program

    def _end_program(self) -> None:
        with self._lock:
            self._has_program = False
            granted, self._borrower = self._borrower, None
            if not granted:
                self.is_free.set()
                self._flush()
        if granted:
            granted()

    def lend(self, granted: Callable[[], None]) -> None:
        """To a debugger: nothing is written or read until it is taken back."""
        with self._lock:
            self.is_free.clear()
            loop = self._loop
            if self._has_program:
                self._borrower = granted
                return
        if not loop or not _call_in(loop, lambda: self._begin_lending(granted)):
            granted()

    def take_back(self) -> None:
        with self._lock:
            self._borrower = None
            if self._has_program:  # the debugger has gone before it was its turn
                return
            self.is_free.set()
            loop = self._loop
            if self._wake is None:
                self._flush()
        if loop:
            _call_in(loop, self._end_lending)

    def _begin_lending(self, granted: Callable[[], None]) -> None:
        self._returned = asyncio.Event()
        get_app().create_background_task(self._step_aside(granted, self._returned))

    def _end_lending(self) -> None:
        self._returned.set()

    async def _step_aside(self, granted: Callable[[], None], returned: asyncio.Event) -> None:
        async with in_terminal():
            granted()
            await returned.wait()
        if self._wake:
            self._wake()

    # The prompt

    @contextmanager
    def prompting(self) -> Iterator[Callable[[], None]]:
        """While a line is read, text waits for the prompt's loop. Gives what the prompt is to call when it runs."""
        with self._lock:
            self._wake = _nobody
        try:
            yield self._attach
        finally:
            with self._lock:
                self._wake = self._loop = None
                self._flush()

    def _attach(self) -> None:
        loop, has_text = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(self._say_failure)
        with self._lock:
            self._loop, self._returned = loop, asyncio.Event()
            self._wake = lambda: _call_in(loop, has_text.set)
        has_text.set()
        get_app().create_background_task(self._print_above(has_text))

    def _say_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Of what runs beside the typing: each once, since it may happen at each key."""
        error = context.get('exception')
        text = reason(error) if error else str(context['message'])
        if text not in self._failures:
            self._failures.add(text)
            self.say(f'The prompt failed: {text}')

    async def _print_above(self, has_text: asyncio.Event) -> None:
        while True:
            await has_text.wait()
            has_text.clear()
            if self._waiting and self.is_free.is_set():
                async with in_terminal():
                    with self._lock:
                        self._flush()
                await asyncio.sleep(REDRAW)


def _nobody() -> None:
    """Nobody is to be woken: the prompt is about to start and looks then."""


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> bool:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:  # closed: the line has been read, what waits is written then
        return False
    return True
