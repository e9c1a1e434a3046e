"""Calls that others make, as log lines: all of them, or under load some and a count of the rest."""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

import gevent

from ...http.message import Message
from ...words import printable
from ..control import agent
from .meant import meant

PERIOD = 1.0  # seconds
MANY = 50  # lines in each
MISSED = (404, 501)
HINTS = 3  # lines in each that say what was perhaps meant; to find out may take 30 ms
TELLING = 0.2  # seconds between two tellings of the count

log = logging.getLogger(__name__)


class Calls:
    """`tell(number)` gets how many there were, now and then; `routes()` is what can be called."""

    def __init__(self, tell: Callable[[int], Any], routes: Callable[[], Iterable[str]]) -> None:
        self._tell = tell
        self._routes = routes
        self._own = agent(os.getppid()).encode()
        self._served = self._told = 0
        self._lately = self._missed = 0  # in this period, and those that nothing answers to
        self._beat: Any = None

    def note(self, message: Message, status: int, size: int, seconds: float, client: str) -> None:
        """A call was answered."""
        if (b'User-Agent', self._own) in message.headers:
            return
        self._served += 1
        self._lately += 1
        if self._lately <= MANY:
            hint = self._hint(message, status)
            call = printable(f'{message.method} {message.path}')
            log.info('%s %d %.1f ms%s', call, status, seconds * 1000, hint and f'; perhaps {hint}')
        if not self._beat:
            self._beat = gevent.spawn(self._report)

    def _hint(self, message: Message, status: int) -> str:
        if status not in MISSED:
            return ''
        self._missed += 1
        return meant(self._routes(), message.method, message.path, status) if self._missed <= HINTS else ''

    def _report(self) -> None:
        """Until a period without calls has passed."""
        while self._lately:
            for _ in range(round(PERIOD / TELLING)):
                gevent.sleep(TELLING)
                if self._told != self._served:
                    self._told = self._served
                    self._tell(self._served)
            if self._lately > MANY:
                log.info('and %d calls more in the last second', self._lately - MANY)
            self._lately = self._missed = 0
            gevent.sleep(0)
        self._beat = None
