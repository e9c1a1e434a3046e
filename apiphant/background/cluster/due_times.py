"""When a task that is sent through an engine runs: schedules as JSON, and how long a message is good for."""
from __future__ import annotations

from dataclasses import asdict
from random import Random
from typing import Any

from ..schedule import Cron, Every, Schedule

SKEW = 60.0  # seconds by which the clocks of two machines may differ
LONGEST_WAIT = 3600.0  # seconds that a run of a cron line waits for a runner: a nightly task should not run at noon
SOONEST = 0.001  # seconds, for a grid that floating point cannot hold

KINDS: dict[str, type[Schedule]] = {'every': Every, 'cron': Cron}


def to_json(schedule: Schedule) -> dict[str, Any]:
    return {'kind': type(schedule).__name__.lower(), **asdict(schedule)}


def from_json(fields: dict[str, Any]) -> Schedule:
    return KINDS[fields['kind']](**{name: value for name, value in fields.items() if name != 'kind'})


def following(name: str, schedule: Schedule, last: float, now: float) -> float:
    """When a task that ran at `last` is due next, by the clock on the wall: its grid is the same on all machines."""
    last = now if last > now + SKEW else last
    base = last - schedule.jitter
    while True:
        base = schedule.following(0.0, base)
        due = base + schedule.jitter * Random(f'{name} {base}').random()
        if due > last:
            return due
        base += SOONEST


def lifetime(schedule: Schedule, now: float) -> float:
    """Seconds for which a run may wait for a runner: by then the next one is due."""
    if isinstance(schedule, Every):
        return max(1.0, schedule.period)
    first = schedule.following(now, now)
    return max(1.0, min(schedule.following(first, first) - first, LONGEST_WAIT))
