"""The product's `on_error`: how it is called, and how often.

It is called for each different error at once, then at most once a minute, with a count. The clock is an argument.
"""
from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

log = logging.getLogger(__name__)

QUIET = 60.0  # seconds
MOST = 1000  # different errors that are remembered

OnError = Callable[..., Any] | None


@dataclass(slots=True)
class Throttle:
    """Decides which errors are told, and counts those that are not."""
    _told: dict[str, float] = field(default_factory=dict)  # by a key that is the same for errors that are alike
    _untold: dict[str, int] = field(default_factory=dict)

    def count(self, key: str, now: float) -> int:
        """How many errors like this one are to be told now, itself with them; 0 while that has to wait."""
        number = self._untold.get(key, 0) + 1
        if now - self._told.get(key, -QUIET) < QUIET:
            self._untold[key] = number
            return 0
        self._untold.pop(key, None)
        self._told.pop(key, None)
        self._told[key] = now  # it moves to the end, so that the first is the oldest
        while len(self._told) > MOST:
            forgotten = next(iter(self._told))
            del self._told[forgotten]
            self._untold.pop(forgotten, None)
        return number


def report(on_error: Callable[..., Any], text: str, name: str, number: int) -> None:
    """Call it with the text, or, where it takes more, also with the name of the task and the number of errors."""
    try:
        on_error(*(text, name, number)[:_arguments(on_error)])
        log.info('on_error: OK.')
    except BaseException:
        log.exception('on_error failed:')


def _arguments(function: Callable[..., Any]) -> int:
    try:
        return 3 if len(signature(function).parameters) > 1 else 1
    except (TypeError, ValueError):
        return 1
