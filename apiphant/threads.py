"""Real threads, which no handler that spins can hold up: they end the process when nobody is left to serve for."""
from __future__ import annotations

import os
from collections.abc import Callable

from gevent.monkey import get_original

QUICK = 1.0  # seconds that running requests get on SIGINT


def leave_with(lifeline: int) -> None:
    """In a real thread: a handler that spins must not keep the process."""
    os.read(lifeline, 1)
    os._exit(1)


def start_thread(function: Callable[..., None], *arguments: object) -> None:
    """A real one, that no greenlet can hold."""
    get_original('_thread', 'start_new_thread')(function, arguments)


def leave_after(master: int) -> None:
    """In a real thread: a handler that spins must not keep the port when the master is gone."""
    sleep = get_original('time', 'sleep')
    while os.getppid() == master:
        sleep(1.0)
    sleep(QUICK)
    os._exit(1)
