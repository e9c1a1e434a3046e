"""RedBeat with our grid: entries in redis, and the scheduler that sends them."""
from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import BaseSchedule, schedstate
from redbeat import RedBeatScheduler, RedBeatSchedulerEntry
from redbeat.decoder import RedBeatJSONDecoder, RedBeatJSONEncoder
from redbeat.schedulers import ensure_conf, get_redis

from ..schedule import Every, Schedule
from . import due_times

log = logging.getLogger(__name__)

NEVER = datetime.fromtimestamp(0, UTC)


class Due(BaseSchedule):  # type: ignore[misc]
    """A schedule of ours as Celery asks for it."""

    def __init__(self, name: str, schedule: Schedule) -> None:
        super().__init__()
        self.name, self.schedule = name, schedule

    def due(self, last_run_at: datetime) -> float:
        return due_times.following(self.name, self.schedule, last_run_at.timestamp(), time.time())

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        return timedelta(seconds=self.due(last_run_at) - time.time())

    def is_due(self, last_run_at: datetime) -> Any:
        now = time.time()
        wait = self.due(last_run_at) - now
        if wait > 0:
            return schedstate(False, wait)
        return schedstate(True, due_times.following(self.name, self.schedule, now, now) - now)


class GridEntry(RedBeatSchedulerEntry):  # type: ignore[misc]
    """An entry of ours in redis."""

    @property
    def due_at(self) -> datetime:
        return datetime.fromtimestamp(self.schedule.due(self.last_run_at or NEVER), UTC)

    @staticmethod
    def decode_definition(definition: str) -> Any:
        fields = json.loads(definition, cls=RedBeatJSONDecoder)
        return {**fields, 'schedule': Due(fields['name'], due_times.from_json(fields['schedule']))}

    def save(self) -> GridEntry:
        names = ('name', 'task', 'args', 'kwargs', 'options', 'enabled')
        definition = {name: getattr(self, name) for name in names}
        definition['schedule'] = due_times.to_json(self.schedule.schedule)
        with get_redis(self.app).pipeline() as pipe:
            pipe.hset(self.key, 'definition', json.dumps(definition))
            pipe.hsetnx(self.key, 'meta', json.dumps({'last_run_at': self.last_run_at}, cls=RedBeatJSONEncoder))
            pipe.persist(self.key)
            pipe.zadd(self.app.redbeat_conf.schedule_key, {self.key: self.score})
            pipe.execute()
        return self


class GridScheduler(RedBeatScheduler):  # type: ignore[misc]
    """An error ends it, and it is started again. RedBeat would log the error and go on without its lock."""
    Entry = GridEntry
    is_active = False

    def setup_schedule(self) -> None:
        """The roster does it, now and later."""

    def tick(self, **options: Any) -> float:
        """Returns the seconds to the next tick, which is on the full second at the latest.

        RedBeat keeps times in full seconds, and of the tasks of one second it tells only the first.
        """
        if self.lock is None:
            raise ConnectionError
        if not self.is_active:
            self.is_active = True
            log.info('This runner is the one that sends the tasks')
        return min(float(super().tick(**options)), 1 - time.time() % 1 + due_times.SOONEST)

    def maybe_due(self, entry: Any, **options: Any) -> float:
        is_due, wait = entry.is_due()
        if is_due:
            self.apply_async(entry, **options)
        return float(wait)

    def _ensure_connected(self) -> Any:
        return self.connection.ensure_connection(max_retries=0)


def make(app: Any, product: str, name: str, schedule: Schedule) -> GridEntry:
    """With the last run that redis knows of. A task of seconds() that never ran is due at once."""
    now = time.time()
    last = GridEntry.load_meta(GridEntry.generate_key(app, name), app)['last_run_at']
    if last is None and isinstance(schedule, Every):
        last = NEVER
    options = {'expires': due_times.lifetime(schedule, now)}
    return GridEntry(
        app=app, name=name, task=f'{product}.{name}', schedule=Due(name, schedule), last_run_at=last, options=options)


def times(app: Any, name: str, schedule: Schedule, now: float) -> tuple[float | None, float]:
    """When a task was sent last, if it was, and when it is due."""
    ensure_conf(app)  # which generate_key needs
    sent = GridEntry.load_meta(GridEntry.generate_key(app, name), app)['last_run_at']
    last = sent.timestamp() if sent and sent > NEVER else None
    never = 0.0 if isinstance(schedule, Every) else now
    return last, max(now, due_times.following(name, schedule, last or never, now))
