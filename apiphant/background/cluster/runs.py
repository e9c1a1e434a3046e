"""Runs of tasks by a Celery worker: one at a time for each task, on all machines."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from redis.exceptions import RedisError

from ...words import reason
from ..stop import CLEANING, TaskEnded, tell_ended
from ..tasks import Task
from .failures import Failures
from .locks import Locks

log = logging.getLogger(__name__)


class GuardedRuns:
    """Calls `run(task)`, which returns whether it was done, if the task neither runs already nor rests."""

    def __init__(self, locks: Locks, failures: Failures, run: Callable[[Task], bool]) -> None:
        self._locks = locks
        self._failures = failures
        self._run = run
        self._begun: dict[Any, str] = {}  # names of tasks by the greenlets that run them

    def start(self, task: Task) -> None:
        """Run it here, unless it is still running somewhere, or rests."""
        try:
            self._run_if_free(task)
        finally:
            self._begun.pop(gevent.getcurrent(), None)

    def end(self) -> None:
        """End those that are still running, and name them. They get an exception, so that they clean up."""
        tell_ended(self._begun.values())
        gevent.killall(list(self._begun), TaskEnded, timeout=CLEANING)

    def _run_if_free(self, task: Task) -> None:
        try:
            with self._locks.hold(task.name) as is_free:
                if is_free:
                    self._run_if_due(task)
                else:
                    log.warning('Task %s: skipped, still running.', task.name)
        except (RedisError, OSError) as error:
            log.warning('Task %s: skipped, its lock cannot be taken: %s', task.name, reason(error))

    def _run_if_due(self, task: Task) -> None:
        if self._failures.is_resting(task):
            log.debug('Task %s: skipped, it rests after failures', task.name)
            return
        self._begun[gevent.getcurrent()] = task.name
        begun = time.monotonic()
        is_done = self._run(task)
        self._failures.note(task, is_done=is_done, passed=time.monotonic() - begun)
