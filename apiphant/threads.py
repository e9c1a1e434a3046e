"""Real threads, which no handler that spins can hold up: they end the process when nobody is left to serve for."""
from __future__ import annotations

import os
from collections.abc import Callable

from gevent.monkey import get_original

QUICK = 1.0  # seconds that running requests get on SIGINT


def start_thread(function: Callable[..., None], *arguments: object) -> None:
    """A real one, that no greenlet can hold."""
    get_original('_thread', 'start_new_thread')(function, arguments)


def leave_with_parent(parent: int) -> None:
    """End this process when its parent, the process `parent`, is gone; also while a handler spins."""
    start_thread(_leave_after, parent)


def leave_with_lifeline(descriptor: int) -> None:
    """End this process when the other end of a pipe is closed; also while a handler spins."""
    start_thread(_leave_at_end, descriptor)


def _leave_after(parent: int) -> None:
    sleep = get_original('time', 'sleep')
    while os.getppid() == parent:
        sleep(1.0)
    sleep(QUICK)
    os._exit(1)


def _leave_at_end(descriptor: int) -> None:
    os.read(descriptor, 1)
    os._exit(1)
