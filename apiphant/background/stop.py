"""How a runner hears that it should stop.

Python calls a handler of a signal between two of its own instructions, which a long call into C keeps it from. So the
signal is written into a pipe, as C code does at once, and a real thread reads it.
"""
from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable
from types import FrameType

from gevent import GreenletExit

from ..threads import start_thread

GRACEFUL_TIMEOUT = 10.0  # seconds that running tasks get when the runner is told to stop
CLEANING = 1.0  # seconds that they get after that to clean up
NUMBERS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


class TaskEnded(GreenletExit):
    """The runner was told to stop, and the time is over that running tasks get."""


def tell_ended(names: Iterable[str]) -> None:
    """Log a line for each task that is still running."""
    for name in sorted(names):
        log.warning('Task %s: still running after %g s, and is ended', name, GRACEFUL_TIMEOUT)


def call_on_stop(stop: Callable[[], None]) -> None:
    """At the first SIGTERM or SIGINT call `stop`, in another thread. To be called once, in the main thread."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in NUMBERS:
        signal.signal(number, _handle)
    os.register_at_fork(before=_hold, after_in_parent=_let_through, after_in_child=_forget)
    start_thread(_wait, reading, stop)


def _wait(reading: int, stop: Callable[[], None]) -> None:
    while os.read(reading, 1)[0] not in NUMBERS:
        pass
    stop()


def _handle(number: int, frame: FrameType | None) -> None:
    """Does nothing, but without a handler in Python a signal would not reach the pipe."""


def _hold() -> None:
    """A signal for a child that has just begun waits until the child has handlers of its own."""
    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


def _forget() -> None:
    """In a child of a task, which shares the pipe: its signals are its own."""
    signal.set_wakeup_fd(-1)
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)
    _let_through()
