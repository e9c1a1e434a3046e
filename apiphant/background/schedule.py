"""When a task is due. Pure: clocks and time zones are arguments. Times are seconds since the epoch."""
from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

HOUR, DAY, WEEKDAY = 1, 2, 4  # fields of a cron line
RANGES = (
    ('minute', '0 to 59'),
    ('hour', '0 to 23'),
    ('day', '1 to 31'),
    ('month', '1 to 12, or jan to dec'),
    ('day of week', '0 to 7, or sun to sat'),
)
RANDOM = re.compile(r'[rh](\(|$)', re.IGNORECASE)  # croniter puts a number of its own there
A_DAY = 86400.0  # seconds


@dataclass(frozen=True, slots=True)
class Every:
    """On a grid of `period` seconds; each run up to `jitter` seconds later than that."""
    period: float
    jitter: float = 0.0

    def first(self, now: float, last: float | None) -> float:
        """At once, or a period after the last run."""
        return now if last is None or last > now else max(now, last + self.period)

    def following(self, due: float, now: float) -> float:
        """The first time of the grid that `due` is on that lies after `now`: missed runs are skipped."""
        return next_run(due, self.period, now)

    def __str__(self) -> str:
        return f'every {self.period:g} s' + _jitter_text(self.jitter)


@dataclass(frozen=True, slots=True)
class Cron:
    """When a cron line says so, by the clocks of a zone.

    On a day without 02:30 a task of 02:30 runs at 03:00; on a day with two it runs at the first.
    A task of each hour runs in both. Of a day and a day of week either is enough, unless one begins with `*`.
    """
    line: str
    timezone: str = 'UTC'
    jitter: float = 0.0

    def first(self, now: float, last: float | None) -> float:
        """The next time; at once if one was missed since the last run."""
        return self.following(now, now) if last is None or last > now else max(now, self.following(last, last))

    def following(self, due: float, now: float) -> float:
        """The first time after `now`."""
        croniter, fields = _croniter(), self.line.split()
        start = datetime.fromtimestamp(now, ZoneInfo(self.timezone))
        is_either = not (fields[DAY].startswith('*') or fields[WEEKDAY].startswith('*'))
        times = croniter(self.line, start, day_or=is_either)
        date: datetime = times.get_next(datetime)
        is_hourly = croniter.expand(self.line)[0][HOUR] == ['*']
        while date.fold and not is_hourly:
            date = times.get_next(datetime)
        return date.astimezone(UTC).timestamp()

    def __str__(self) -> str:
        return f'at {self.line!r} {self.timezone}' + _jitter_text(self.jitter)


Schedule = Every | Cron


def _jitter_text(jitter: float) -> str:
    return f' and up to {jitter:g} s later' if jitter else ''


def has_next(schedule: Schedule, now: float) -> bool:
    """Whether it is due at any date after `now`. 31 February never comes, nor does the year 10000."""
    try:
        if isinstance(schedule, Every):
            schedule.following(now - A_DAY, now)  # as after a pause
        due = schedule.following(now, now)
        datetime.fromtimestamp(due, UTC)
    except (ValueError, OverflowError, OSError):
        return False
    return due > now


def fault_of(line: str) -> str:
    """What is wrong with a cron line, '' if nothing is."""
    fields = line.split()
    if len(fields) != len(RANGES):
        return f'should be five fields: {", ".join(name for name, _ in RANGES)}'
    for number, (name, allowed) in enumerate(RANGES):
        if any(RANDOM.match(part) for part in re.split('[,/-]', fields[number])):
            return f'has the {name} {fields[number]!r}, which would be another one at each start'
        if not _is_cron(['*'] * number + [fields[number]] + ['*'] * (len(RANGES) - number - 1)):
            return f'has the {name} {fields[number]!r}, which makes no sense: {allowed}'
    return '' if _is_cron(fields) else 'has fields that make no sense together'


def _is_cron(fields: list[str]) -> bool:
    return bool(_croniter().is_valid(' '.join(fields)))


def _croniter() -> Any:
    from croniter import croniter  # noqa: PLC0415  # takes 2 MB, and only cron lines need it
    return croniter


def next_run(start: float, period: float, now: float) -> float:
    """The first time of the grid `start`, `start + period`, ... that lies after `now`."""
    if now < start:
        return start
    return start + (max(0, int((now - start) // period)) + 1) * period


def back_off(period: float, failures: int, longest: float) -> float:
    """Seconds from one run to the next of a task that failed so often in a row: twice as many each time, to a limit."""
    return max(period, min(period * 2.0 ** min(failures, 32), longest))
