"""Others get their turn while much is read or imported."""
from __future__ import annotations

from time import perf_counter

import gevent

TURN = 0.012  # seconds of work after which it is the others' turn
BREATH = 0.001  # seconds: less than a timer does not let the loop look for what has arrived


class Turns:
    """Of one who works in this thread, from now on."""

    def __init__(self) -> None:
        self._resumed = perf_counter()

    def pause(self) -> None:
        """If it is time for that."""
        if perf_counter() - self._resumed > TURN:
            gevent.sleep(BREATH)
            self._resumed = perf_counter()
