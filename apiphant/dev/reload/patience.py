"""Imports that do not end: one that waits is interrupted by a timer, one that computes by a thread and a signal."""
from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import gevent
from gevent.monkey import get_original
from greenlet import getcurrent

from ...threads import start_thread

NUMBER = signal.SIGUSR1  # that also interrupts handlers
PERIOD = 0.05  # seconds between two interruptions: code may catch them


class Endless(BaseException):
    """An import took longer than it may, and was interrupted there."""


class Patience:
    """With what the greenlet that reloads does."""

    def __init__(self) -> None:
        self._deadline = math.inf
        self._seconds = 0.0
        self._greenlet: object = None
        self._is_watched = False

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raise Endless in this block after so long."""
        self._greenlet, self._seconds, self._deadline = getcurrent(), seconds, monotonic() + seconds
        if not self._is_watched:
            self._is_watched = True
            start_thread(self._watch)
        timeout = gevent.Timeout.start_new(seconds, self._error())
        try:
            yield
        finally:
            timeout.close()
            self._deadline, self._greenlet = math.inf, None

    def _error(self) -> Endless:
        return Endless(f'interrupted after {self._seconds:g} s')

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
