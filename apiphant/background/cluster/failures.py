"""How often each task has failed in a row, on all machines together.

One that goes on failing runs later and later, as on one machine.
"""
from __future__ import annotations

import logging

from redis import Redis
from redis.exceptions import RedisError

from ..schedule import Every, back_off
from ..scheduler import LONGEST
from ..tasks import Task

FORGOTTEN = int(3 * LONGEST)  # seconds after which failures count no more

log = logging.getLogger(__name__)


def rest(period: float, number: int, passed: float) -> float:
    """Seconds for which a task rests that failed so many times in a row. Its last run began `passed` seconds ago.

    Half a period less than to its next run, whose moment on the grid varies by what machines and networks take.
    """
    if number <= 1:
        return 0.0
    return max(0.0, back_off(period, number - 1, LONGEST) - period / 2 - passed)


class Failures:
    """In redis: a count, and a key that lives while the task rests."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def is_resting(self, task: Task) -> bool:
        """Raises RedisError where that cannot be known."""
        return bool(self._client.exists(self._key(task, 'resting')))

    def note(self, task: Task, *, is_done: bool, passed: float) -> None:
        """Note a run that began `passed` seconds ago and is over. While redis is away nothing is noted."""
        try:
            if is_done:
                self._client.delete(self._key(task, 'failures'))
            elif isinstance(task.schedule, Every):
                self._count(task, task.schedule.period, passed)
        except (RedisError, OSError):
            log.debug('Task %s: how it went could not be noted', task.name)

    def _count(self, task: Task, period: float, passed: float) -> None:
        number = self._client.incr(self._key(task, 'failures'))
        self._client.expire(self._key(task, 'failures'), FORGOTTEN)
        milliseconds = int(rest(period, number, passed) * 1000)
        if milliseconds:
            self._client.set(self._key(task, 'resting'), number, px=milliseconds)

    def _key(self, task: Task, what: str) -> str:
        return f'{self._prefix}:{what}:{task.name}'
