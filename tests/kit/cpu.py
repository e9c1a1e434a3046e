"""CPU time of what a test calls, which others on the machine hardly change; and how much they slow everything down."""
from __future__ import annotations

import gc
from collections.abc import Callable
from time import monotonic, thread_time

TRIES = 4
TRIFLE = 0.01  # seconds in which clocks and caches say more than the code
QUARTER = 4
SQUARE = QUARTER ** 2
SPIN = 0.1  # seconds


def cpu_time(call: Callable[[], object]) -> float:
    """Seconds of this thread, the least of some tries."""
    return min(_once(call) for _ in range(TRIES))


def _once(call: Callable[[], object]) -> float:
    """Without collections of garbage, which take as long as all that other tests have left."""
    gc.disable()
    try:
        begin = thread_time()
        call()
        return thread_time() - begin
    finally:
        gc.enable()


def assert_linear(call: Callable[[str], object], text: str) -> None:
    """A text takes about four times as long as a quarter of it, in one of some tries; sixteen would be quadratic."""
    found = []
    for _ in range(TRIES):
        quarter = max(TRIFLE, _once(lambda: call(text[:len(text) // QUARTER])))
        found.append(_once(lambda: call(text)) / quarter)
        if found[-1] < SQUARE / 2:
            return
    raise AssertionError(f'so many times as long as a quarter: {found}')


def delay() -> float:
    """How many times as long as on a machine of its own something takes now: 1 where nobody else wants a core."""
    begin, spun = monotonic(), thread_time()
    while thread_time() - spun < SPIN:
        pass
    return (monotonic() - begin) / SPIN


def is_quick(taken: float, seconds: float) -> bool:
    """Whether something took less than so many seconds, or would have on a machine of its own."""
    return taken < seconds or taken < seconds * delay()
