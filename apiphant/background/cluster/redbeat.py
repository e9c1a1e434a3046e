"""RedBeat with our grid: entries, and a scheduler that puts them into redis."""
from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import BaseSchedule, schedstate
from redbeat import RedBeatScheduler, RedBeatSchedulerEntry
from redbeat.decoder import RedBeatJSONDecoder, RedBeatJSONEncoder
from redbeat.schedulers import get_redis

from ..schedule import Every, Schedule
from . import grid
from .grid import following, from_json, lifetime, to_json

log = logging.getLogger(__name__)

NEVER = datetime.fromtimestamp(0, UTC)


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
            pipe.persist(self.key)
            pipe.zadd(self.app.redbeat_conf.schedule_key, {self.key: self.score})
            pipe.execute()
        return self


class Scheduler(RedBeatScheduler):  # type: ignore[misc]
    """What goes wrong ends it, to be started again; RedBeat would log it and go on without its lock."""
    Entry = Entry
    is_active = False

    def setup_schedule(self) -> None:
        """The roster did, and goes on doing so."""

    def tick(self, **options: Any) -> float:
        """The next one is on the full second at the latest: RedBeat keeps times in those, and of the tasks of one tells the first only."""
        if self.lock is None:
            raise ConnectionError
        if not self.is_active:
            self.is_active = True
            log.info('This runner is the one that sends the tasks')
        return min(float(super().tick(**options)), 1 - time.time() % 1 + grid.SOONEST)

    def maybe_due(self, entry: Any, **options: Any) -> float:
        is_due, wait = entry.is_due()
        if is_due:
            self.apply_async(entry, **options)
        return float(wait)

    def _ensure_connected(self) -> Any:
        return self.connection.ensure_connection(max_retries=0)


def make(app: Any, product: str, name: str, schedule: Schedule) -> Entry:
    """With the last run that redis knows of; a task of seconds() that never ran is due at once."""
    now = time.time()
    key = Entry.generate_key(app, name)
    last = Entry.load_meta(key, app)['last_run_at'] or (NEVER if isinstance(schedule, Every) else None)
    options = {'expires': lifetime(schedule, now)}
    return Entry(
        app=app, name=name, task=f'{product}.{name}', schedule=Due(name, schedule), last_run_at=last, options=options)


def times(app: Any, name: str, schedule: Schedule, now: float) -> tuple[float | None, float]:
    """When a task was sent last, if it was, and when it is due."""
    found = get_redis(app).hget(f'{app.redbeat_conf.key_prefix}{name}', 'meta')
    sent = json.loads(found, cls=RedBeatJSONDecoder)['last_run_at'] if found else None
    last = sent.timestamp() if sent and sent > NEVER else None
    return last, max(now, following(name, schedule, last or (0.0 if isinstance(schedule, Every) else now), now))
