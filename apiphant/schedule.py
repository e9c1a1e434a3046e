"""When a task is due. Pure: the clock is an argument, in seconds of any monotonic clock."""
from __future__ import annotations


def next_run(start: float, period: float, now: float) -> float:
    """The first time of the grid `start`, `start + period`, ... that lies after `now`: missed runs are skipped."""
    return start + (max(0, int((now - start) // period)) + 1) * period if now >= start else start
