"""How a runner hears that it should stop.

Python calls a handler of a signal between two of its own instructions, which a long call into C keeps it from. So the
signal is written into a pipe, as C code does at once, and a real thread reads it.
"""
from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from gevent import GreenletExit

from ..threads import start_thread

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class TaskEnded(GreenletExit):
    """The runner was told to stop, and the time is over that running tasks get."""


def call_on_stop(stop: Callable[[], None]) -> None:
    """At the first SIGTERM or SIGINT call `stop`, in another thread. To be called once, in the main thread."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in NUMBERS:
        signal.signal(number, _handle)
    os.register_at_fork(after_in_child=_forget)
    start_thread(_wait, reading, stop)


def _wait(reading: int, stop: Callable[[], None]) -> None:
    while os.read(reading, 1)[0] not in NUMBERS:
        pass
    stop()


def _handle(number: int, frame: FrameType | None) -> None:
    """Signals without a handler of Python's would not reach the pipe."""


def _forget() -> None:
    """In a child of a task, which shares the pipe: its signals are its own."""
    signal.set_wakeup_fd(-1)
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)
