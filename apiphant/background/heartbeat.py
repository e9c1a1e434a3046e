"""Whether the loop of a thread turns, watched from a real thread: a task that neither waits nor ends keeps all others from running."""
from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from types import CodeType, FrameType

from gevent.monkey import get_original

from .. import logs
from ..threads import start_thread

TICK = 1.0  # seconds at most between two beats while all is well
STUCK = 2.0  # seconds more for which a task may hold all others unsaid

log = logging.getLogger(__name__)
sleep: Callable[[float], None] = get_original('time', 'sleep')


class Pulse:
    """Of this thread's loop, where `beat` should be called each `TICK`. Whatever calls a task has this `code`, and the task as its `task`."""

    def __init__(self, code: CodeType) -> None:
        self._code = code
        self._thread = get_original('_thread', 'get_ident')()
        self.beat()

    def beat(self) -> None:
        """The loop turns."""
        self._beat = time.monotonic()

    def watch(self) -> None:
        """Until the process ends, say once of each task that holds all others, and where it is."""
        start_thread(self._watch)

    def leave_after(self, seconds: float) -> None:
        """Once; then the process ends if the loop does not turn, so that no task keeps it longer than that."""
        start_thread(self._leave_after, seconds)

    def held(self) -> float:
        """Seconds for which the loop was held beyond what is usual."""
        return max(0.0, time.monotonic() - self._beat - TICK)

    def _watch(self) -> None:
        told = 0.0
        while True:
            sleep(STUCK / 2)
            if self.held() > STUCK and told != self._beat:
                told = self._beat
                self._tell(self._frame())

    def _leave_after(self, seconds: float) -> None:
        sleep(seconds)
        while not self.held():
            sleep(TICK)
        log.warning('Task %s holds all others, and is ended', self._task_in(self._frame())[0])
        os._exit(1)

    def _frame(self) -> FrameType | None:
        return sys._current_frames().get(self._thread)

    def _tell(self, frame: FrameType | None) -> None:
        name, depth = self._task_in(frame)
        log.warning('Task %s holds all others, for %.0f s now:\n%s', name, self.held() + TICK, logs.format_stack(frame, depth))

    def _task_in(self, frame: FrameType | None) -> tuple[str, int | None]:
        """Its name, and how many of the innermost frames are its own."""
        depth = 0
        while frame is not None:
            if frame.f_code is self._code:
                return str(frame.f_locals['task'].name), depth
            frame, depth = frame.f_back, depth + 1
        return 'none', None
