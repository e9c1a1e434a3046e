"""Which tasks the live runners of a product have, and that the schedule in redis agrees with it.

Every few seconds each scheduler, whether it is the active one or not, says which tasks its runner has. It puts back
those that the schedule misses, and takes out those that no live runner has: machines of two releases share an engine
while a product is deployed. Where they differ about when a task is due, the runner that started last decides.
"""
from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from redbeat.schedulers import get_redis
from redis.exceptions import RedisError

from ..schedule import Schedule
from . import due_times, redbeat
from .celery_app import prefix
from .redbeat import GridEntry

PERIOD = 2.0  # seconds between two looks
LIVE = 45  # seconds for which a runner counts after it was last heard of: its scheduler may rest for 30 when it fails
GRACE = 5.0  # seconds for which a task that nobody has waits for one that does: each has looked by then
KEPT = 30 * 86400  # seconds for which the last run of a task that was taken out is known

log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """What is in redis: all names, the keys in the schedule, and of our own tasks the definitions and who decides."""
    names: set[str]
    keys: set[str]
    definitions: dict[str, str | None]
    ranks: dict[str, str | None]


class Roster:
    """The tasks of one runner. Its rank is the higher, the later it started."""

    def __init__(self, app: Any, product: str, rank: str, schedules: Mapping[str, Schedule]) -> None:
        self._app = app
        self._product = product
        self._rank = rank
        self._schedules = schedules
        self._redis = get_redis(app)
        self._is_first = True
        self._is_over = False
        self._turn = threading.Lock()
        self._unclaimed: dict[str, float] = {}  # names that no live runner has, and since when

    def run(self) -> None:
        """Look again and again. Others say that the engine is away."""
        while not self._is_over:
            time.sleep(PERIOD)
            try:
                with suppress(RedisError, OSError):
                    self.look()
            except Exception:
                log.exception('The schedule on the engine could not be looked at; trying again:')

    def look(self) -> None:
        """Look once. Raises RedisError."""
        with self._turn:
            if self._is_over:
                return
            seen = self._read()
            mine = [name for name in self._schedules if (seen.ranks[name] or '') <= self._rank]
            self._claim(mine)
            for name in self._schedules:
                self._mend(name, seen, is_mine=name in mine)
            self._remove_unclaimed(seen.names - self._schedules.keys())
            self._is_first = False

    def leave(self) -> None:
        """The runner ends: it has no tasks from now on."""
        with self._turn, suppress(RedisError, OSError):
            self._is_over = True
            ranks = self._ranks(list(self._schedules))
            mine = [self._claim_key(name) for name, rank in ranks.items() if rank == self._rank]
            if mine:
                self._redis.delete(*mine)

    def _read(self) -> Seen:
        names = list(self._schedules)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.smembers(self._app.redbeat_conf.statics_key)
            pipe.zrange(self._app.redbeat_conf.schedule_key, 0, -1)
            for name in names:
                pipe.hget(self._key(name), 'definition')
            known, keys, *definitions = pipe.execute()
        return Seen(set(known), set(keys), dict(zip(names, definitions, strict=True)), self._ranks(names))

    def _ranks(self, names: list[str]) -> dict[str, str | None]:
        """Of each task, the rank of the runner that decides; None where no live runner has it."""
        ranks = self._redis.mget([self._claim_key(name) for name in names]) if names else []
        return dict(zip(names, ranks, strict=True))

    def _claim(self, names: list[str]) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.set(self._claim_key(name), self._rank, ex=LIVE)
            pipe.sadd(self._app.redbeat_conf.statics_key, *self._schedules)
            pipe.execute()

    def _mend(self, name: str, seen: Seen, *, is_mine: bool) -> None:
        definition = seen.definitions[name]
        is_there = definition is not None and self._key(name) in seen.keys
        if is_there and (not is_mine or _schedule_of(definition) == due_times.to_json(self._schedules[name])):
            return
        redbeat.make(self._app, self._product, name, self._schedules[name]).save()
        if not is_there and not self._is_first:
            log.warning('Task %s: the schedule on the engine had lost it, and it is put back', name)

    def _remove_unclaimed(self, names: set[str]) -> None:
        now = time.monotonic()
        unclaimed = [name for name, rank in self._ranks(list(names)).items() if rank is None]
        self._unclaimed = {name: self._unclaimed.get(name, now) for name in unclaimed}
        for name, since in self._unclaimed.items():
            if now - since > GRACE:
                self._remove(name)

    def _remove(self, name: str) -> None:
        with self._redis.pipeline() as pipe:
            pipe.zrem(self._app.redbeat_conf.schedule_key, self._key(name))
            pipe.srem(self._app.redbeat_conf.statics_key, name)
            pipe.expire(self._key(name), KEPT)
            is_removed = pipe.execute()[1]
        if is_removed:
            log.info('Task %s: no runner has it any more, and it is no longer sent', name)

    def _key(self, name: str) -> str:
        return str(GridEntry.generate_key(self._app, name))

    def _claim_key(self, name: str) -> str:
        return f'{prefix(self._product)}:has:{name}'


def _schedule_of(definition: str | None) -> Any:
    """As JSON has it; None where it makes no sense."""
    try:
        return json.loads(definition or '')['schedule']
    except (ValueError, KeyError, TypeError):
        return None
