"""Whether the loop of a thread turns, watched from a real thread.

A task that neither waits nor ends keeps all others from running.
"""
from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable

import gevent
from gevent.monkey import get_original

from .. import tracebacks
from ..threads import start_thread
from .running import Running

TICK = 1.0  # seconds; there are two beats in each while all is well
STUCK = 2.0  # seconds more that a task may hold all others before the log says so

log = logging.getLogger(__name__)
sleep: Callable[[float], None] = get_original('time', 'sleep')


class Heartbeat:
    """Watches this thread's loop; `running` knows which task holds it."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._thread = get_original('_thread', 'get_ident')()
        self._beat = time.monotonic()

    def watch(self) -> None:
        """Until the process ends, say once of each task that holds all others that it does, and where it is."""
        gevent.spawn(self._beat_on)
        start_thread(self._watch)

    def leave_after(self, seconds: float) -> None:
        """End the process after so many seconds if the loop does not turn then. To be called once."""
        start_thread(self._leave_after, seconds)

    def held(self) -> float:
        """Seconds for which the loop was held beyond what is usual."""
        return max(0.0, time.monotonic() - self._beat - TICK)

    def _beat_on(self) -> None:
        while True:
            self._beat = time.monotonic()
            gevent.sleep(TICK / 2)

    def _watch(self) -> None:
        told = 0.0
        while True:
            sleep(STUCK / 2)
            if self.held() > STUCK and told != self._beat:
                told = self._beat
                self._tell()

    def _leave_after(self, seconds: float) -> None:
        sleep(seconds)
        while not self.held():
            sleep(TICK)
        what, _ = self._running.find(sys._current_frames().get(self._thread))
        log.warning('%s holds all others, and is ended', what)
        os._exit(1)

    def _tell(self) -> None:
        frame = sys._current_frames().get(self._thread)
        what, depth = self._running.find(frame)
        stack = tracebacks.format_stack(frame, depth)
        log.warning('%s holds all others, for %.0f s now:\n%s', what, self.held() + TICK, stack)
