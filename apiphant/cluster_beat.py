"""The scheduler of a product on many machines: RedBeat, in a process of its own, one beside each runner.

One of them holds RedBeat's lock and sends the tasks, the others wait for it. Reads a line of JSON from standard input, what
to do, and ends when that is closed: when its runner is gone, however it went. When the engine goes away it exits with
`GONE`, and the runner starts it again.
"""
from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from celery.beat import SchedulingError, Service
from celery.schedules import BaseSchedule, schedstate
from kombu.exceptions import OperationalError
from redbeat import RedBeatScheduler, RedBeatSchedulerEntry
from redbeat.decoder import RedBeatJSONDecoder, RedBeatJSONEncoder
from redbeat.schedulers import get_redis
from redis.exceptions import RedisError

from . import cluster_app, engine, logs, masking
from .schedule import Cron, Every, Schedule
from .tasks import Task

GONE = 75  # EX_TEMPFAIL
SKEW = 60.0  # seconds by which the clocks of two machines may differ
LONGEST_WAIT = 3600.0  # seconds for which a run of a cron line waits for a runner: a nightly task should not run at noon
PATIENCE = 3.0  # seconds to let go of the lock
SOONEST = 0.001  # seconds, for a grid that floating point cannot hold
NEVER = datetime.fromtimestamp(0, UTC)
KINDS: dict[str, type[Schedule]] = {'every': Every, 'cron': Cron}

log = logging.getLogger(__name__)


def job(url: str, product: str, tasks: Iterable[Task]) -> str:
    """What `main` reads."""
    return json.dumps({'engine': url, 'product': product, 'tasks': {task.name: to_json(task.schedule) for task in tasks}})


def to_json(schedule: Schedule) -> dict[str, Any]:
    return {'kind': type(schedule).__name__.lower(), **asdict(schedule)}


def from_json(fields: dict[str, Any]) -> Schedule:
    return KINDS[fields['kind']](**{name: value for name, value in fields.items() if name != 'kind'})


def following(name: str, schedule: Schedule, last: float, now: float) -> float:
    """When a task that ran last at `last` is due, on the clock on the wall, whose grid is the same on all machines."""
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


class Due(BaseSchedule):  # type: ignore[misc]
    """A schedule of ours as Celery asks for it."""

    def __init__(self, name: str, schedule: Schedule) -> None:
        super().__init__()
        self.name, self.schedule = name, schedule

    def due(self, last_run_at: datetime) -> float:
        return following(self.name, self.schedule, last_run_at.timestamp(), time.time())

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        return timedelta(seconds=self.due(last_run_at) - time.time())

    def is_due(self, last_run_at: datetime) -> Any:
        now = time.time()
        wait = self.due(last_run_at) - now
        return schedstate(wait <= 0, wait if wait > 0 else following(self.name, self.schedule, now, now) - now)


class Entry(RedBeatSchedulerEntry):  # type: ignore[misc]
    """An entry of ours in redis."""

    @property
    def due_at(self) -> datetime:
        return datetime.fromtimestamp(self.schedule.due(self.last_run_at or NEVER), UTC)

    @staticmethod
    def decode_definition(definition: str) -> Any:
        fields = json.loads(definition, cls=RedBeatJSONDecoder)
        return {**fields, 'schedule': Due(fields['name'], from_json(fields['schedule']))}

    def save(self) -> Entry:
        names = ('name', 'task', 'args', 'kwargs', 'options', 'enabled')
        definition = {**{name: getattr(self, name) for name in names}, 'schedule': to_json(self.schedule.schedule)}
        with get_redis(self.app).pipeline() as pipe:
            pipe.hset(self.key, 'definition', json.dumps(definition))
            pipe.hsetnx(self.key, 'meta', json.dumps({'last_run_at': self.last_run_at}, cls=RedBeatJSONEncoder))
            pipe.zadd(self.app.redbeat_conf.schedule_key, {self.key: self.score})
            pipe.execute()
        return self


class Scheduler(RedBeatScheduler):  # type: ignore[misc]
    """What goes wrong ends it, to be started again; RedBeat would log it and go on without its lock."""
    Entry = Entry
    is_active = False

    def tick(self, **options: Any) -> float:
        """The next one is on the full second at the latest: RedBeat keeps times in those, and of the tasks of one tells the first only."""
        if self.lock is None:
            raise ConnectionError
        if not self.is_active:
            self.is_active = True
            log.info('This runner is the one that sends the tasks')
        return min(float(super().tick(**options)), 1 - time.time() % 1 + SOONEST)

    def maybe_due(self, entry: Any, **options: Any) -> float:
        is_due, wait = entry.is_due()
        if is_due:
            self.apply_async(entry, **options)
        return float(wait)

    def _ensure_connected(self) -> Any:
        return self.connection.ensure_connection(max_retries=0)


def entries(product: str, schedules: dict[str, Schedule], now: float) -> dict[str, Any]:
    """What RedBeat puts in redis at first; a task of seconds() that never ran is due at once."""
    return {name: {
        'task': f'{product}.{name}',
        'schedule': Due(name, schedule),
        'last_run_at': NEVER if isinstance(schedule, Every) else None,
        'options': {'expires': lifetime(schedule, now)},
    } for name, schedule in schedules.items()}


def times(app: Any, name: str, schedule: Schedule, now: float) -> tuple[float | None, float]:
    """When a task was sent last, if it was, and when it is due."""
    found = get_redis(app).hget(f'{app.redbeat_conf.key_prefix}{name}', 'meta')
    sent = json.loads(found, cls=RedBeatJSONDecoder)['last_run_at'] if found else None
    last = sent.timestamp() if sent and sent > NEVER else None
    return last, max(now, following(name, schedule, last or (0.0 if isinstance(schedule, Every) else now), now))


def main() -> int:
    """Returns the exit status."""
    work = json.loads(sys.stdin.readline())
    shared = engine.parse(work['engine'])
    logs.setup()
    masking.hide(shared.secrets)
    for name in ('celery', 'kombu'):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # the runner says it when the engine cannot be reached
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the runner ends it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=_follow_runner, daemon=True).start()
    app = cluster_app.make_app(shared, work['product'])
    app.conf.beat_schedule = entries(work['product'], {name: from_json(fields) for name, fields in work['tasks'].items()}, time.time())
    return _serve(Service(app, scheduler_cls=Scheduler, hostname=cluster_app.node_name(work['product'], 'beat')))


def _serve(service: Service) -> int:
    try:
        service.start()
    except (RedisError, OperationalError, SchedulingError, OSError):
        return GONE
    return 0


def _follow_runner() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(GONE)


if __name__ == '__main__':
    sys.exit(main())
