"""A greenlet for each call, used once: a time-out left behind, greenlet-locals and whoever remembers it reach no other call.

Since Python 3.11 a new one maps memory for its frames, which is most of what this costs.
"""
from __future__ import annotations

from collections.abc import Callable

from gevent.hub import get_hub
from greenlet import getcurrent, greenlet


def new(function: Callable[[], None]) -> greenlet:
    """One that has not begun. Its function should not raise."""
    return greenlet(function, get_hub())


def start(begun: greenlet) -> None:
    """Let it begin: at once from the hub, which goes on when it ends or waits; else as soon as the hub has its turn.

    Any other greenlet that switched to it would be left for good, since the hub knows nothing of it.
    """
    if getcurrent() is begun.parent:
        begun.switch()
    else:
        get_hub().loop.run_callback(begun.switch)
