"""Imports that do not end: one that waits is interrupted by a timer, one that computes by a thread and a signal."""
from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Any

import gevent
from gevent.monkey import get_original
from greenlet import getcurrent

from ...threads import start_thread

NUMBER = signal.SIGUSR1  # that also interrupts handlers
LONGEST = 2.0  # seconds for which an import that is done again may hold calls, or other saves
MARGIN = 3  # times what all imports took at the start, if that is longer
PERIOD = 0.05  # seconds between two interruptions: code may catch them


class Endless(BaseException):
    """An import took longer than it may, and was interrupted there."""


class Patience:
    """With what the greenlet that reloads does."""

    def __init__(self) -> None:
        self.longest = math.inf  # seconds that an import may take; no limit at first
        self._deadline = math.inf
        self._greenlet: object = None
        self._is_watched = False

    def note_start(self, seconds: float) -> None:
        """All imports have taken so long, and from now on there is a limit."""
        self.longest = max(LONGEST, seconds * MARGIN)

    @property
    def is_limited(self) -> bool:
        return self.longest < math.inf

    def limit(self) -> AbstractContextManager[None]:
        """Raise Endless in this block after the longest that it may take."""
        return self._limit() if self.is_limited else nullcontext()

    @contextmanager
    def _limit(self) -> Iterator[None]:
        self._greenlet, self._deadline = getcurrent(), monotonic() + self.longest
        if not self._is_watched:
            self._is_watched = True
            start_thread(self._watch)
        timeout = gevent.Timeout.start_new(self.longest, self._error())
        try:
            yield
        finally:
            timeout.close()
            self._deadline, self._greenlet = math.inf, None

    def _error(self) -> Endless:
        return Endless(f'interrupted after {self.longest:g} s')

    def _watch(self) -> None:
        """In a real thread."""
        sleep = get_original('time', 'sleep')
        while self._deadline < math.inf:
            sleep(PERIOD)
            if self._is_over:
                os.kill(os.getpid(), NUMBER)
        self._is_watched = False

    @property
    def _is_over(self) -> bool:
        return monotonic() > self._deadline

    def interrupt(self) -> bool:
        """For the handler of the signal: raises Endless in the import. Returns whether the signal was for that."""
        if not self._is_over:
            return False
        if getcurrent() is self._greenlet:
            raise self._error()
        return True


def tell_after(seconds: float, is_over: Callable[[], bool], text: Callable[[], str]) -> None:
    """Say something on standard error unless it is over by then, even while nothing but an import runs."""
    def wait(*_: Any) -> None:
        get_original('time', 'sleep')(seconds)
        if not is_over():
            os.write(2, f'{text()}\n'.encode(errors='backslashreplace'))
    start_thread(wait)
