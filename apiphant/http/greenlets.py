"""Greenlets that are used again: since Python 3.11 a new one maps memory for its frames, 25 us that a request would pay."""
from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

from gevent.hub import get_hub
from greenlet import getcurrent, greenlet

PARKED = 256  # greenlets kept for the next requests


class Runner:
    """Runs functions from the hub, each in a greenlet and with a context of its own."""

    def __init__(self) -> None:
        self._hub: Any = get_hub()
        self._parked: list[greenlet] = []

    def run(self, function: Callable[[], None]) -> None:
        """Call it at once; returns when it has ended, or waits for something. It should not raise."""
        (self._parked.pop() if self._parked else greenlet(self._serve, self._hub)).switch(function)

    def _serve(self, function: Callable[[], None] | None) -> None:
        current = getcurrent()
        while function:
            current.gr_context = Context()
            function()
            function = None
            if len(self._parked) < PARKED:
                self._parked.append(current)
                function = self._hub.switch()
