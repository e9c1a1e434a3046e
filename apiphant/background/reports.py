"""Tells the product's `on_error` of failed runs, beside the tasks.

An `on_error` that hangs, or that ends what calls it, must not take a task or the runner with it.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from hashlib import sha256

import gevent
from gevent.pool import Group

from ..tracebacks import format_error
from .on_error import OnError, Throttle, report
from .running import Running

LIMIT = 60.0  # seconds that on_error gets
MOST = 20  # calls at a time
LEAVES = 100  # errors of a group that are looked at

log = logging.getLogger(__name__)


class OnErrorTimeout(BaseException):
    """A call of on_error took longer than its limit. No `except Exception` in it keeps it going."""


class Reports:
    """Calls `on_error` as often as `throttle` lets it."""

    def __init__(self, on_error: OnError, throttle: Throttle | None, running: Running) -> None:
        self._on_error = on_error
        self._throttle = throttle
        self._running = running
        self._calls = Group()

    def tell(self, name: str, error: BaseException, text: str) -> None:
        """Tell of an error of the task of this name; `text` is its traceback. Returns at once."""
        number = self._throttle.count(_key_of(name, error, text), time.monotonic()) if self._throttle else 1
        if not self._on_error or not number:
            return
        if len(self._calls) < MOST:
            self._calls.spawn(self._call, text, name, number)
        else:
            log.warning('on_error: not told of task %s, %d calls of it are still running', name, MOST)

    def join(self, seconds: float) -> None:
        """Wait for the calls that are under way, but not longer than that."""
        self._calls.join(timeout=seconds)

    def _call(self, text: str, name: str, number: int) -> None:
        with gevent.Timeout(LIMIT, OnErrorTimeout(f'it took longer than {LIMIT:g} s')):
            self._running.call(f'on_error of task {name}', report, self._on_error, text, name, number)


def _key_of(name: str, error: BaseException, text: str) -> str:
    """The same for errors of one task, type and last line. Short, whatever the length of the line."""
    lines = [text.splitlines()[-1], *(format_error(leaf).splitlines()[-1] for leaf in _leaves(error))]
    parts = [name, type(error).__name__, *lines]
    return sha256('\n'.join(parts).encode(errors='backslashreplace')).hexdigest()


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The first errors in a group, whose own last line is the same for all groups."""
    pending, left = [error], LEAVES
    while pending and left:
        left -= 1
        current = pending.pop()
        if isinstance(current, BaseExceptionGroup):
            pending += reversed(current.exceptions)
        elif current is not error:
            yield current
