"""One run of a task: supervised, limited in time, logged."""
from __future__ import annotations

import logging
import time
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

import gevent

from ..api.product import ProductError
from ..logs import format_error
from .on_error import OnError, Throttle, report
from .running import Running
from .tasks import Task, tasks

UNFINISHED = {CoroutineType: 'a coroutine', GeneratorType: 'a generator', AsyncGeneratorType: 'an async generator'}

log = logging.getLogger(__name__)


class Unfinished(Exception):
    """A run returned something whose body has yet to run, and nobody runs it."""


class TaskTimeout(Exception):
    """A run took longer than its task's timeout."""


class NoTask(ProductError):
    """There is no task of that name; the text says which there are."""


class TaskCaller:
    """Calls tasks. Tells `on_error` of what they raise, as often as `throttle` lets it."""

    def __init__(self, on_error: OnError, throttle: Throttle | None = None) -> None:
        self._on_error = on_error
        self._throttle = throttle
        self.running = Running()

    def run_once(self, task: Task) -> bool:
        """One unit of work. What it raises is logged. Returns whether it was done."""
        try:
            self._call(task)
            log.info('Task %s: OK.', task.name)
        except BaseException as error:
            text = f'Task {task.name} failed:\n{format_error(error)}'
            log.error('%s', text)
            self._tell(task, type(error).__name__, text)
            return False
        return True

    def _call(self, task: Task) -> None:
        with gevent.Timeout(task.timeout, TaskTimeout(f'it took longer than {task.timeout} s')):
            _check_done(self.running.call(f'Task {task.name}', task.function))

    def _tell(self, task: Task, kind: str, text: str) -> None:
        key = (task.name, kind, text.splitlines()[-1])
        number = self._throttle.count(key, time.monotonic()) if self._throttle else 1
        if self._on_error and number:
            self.running.call(f'Task {task.name}', report, self._on_error, text, task.name, number)


def run_named(name: str, on_error: OnError) -> bool:
    """Run one task, once. Returns whether it was done. Raises NoTask."""
    named = {task.name: task for task in tasks()}
    if name not in named:
        raise NoTask(f'there is no task {name!r}; there are: {", ".join(named) or "none"}')
    return TaskCaller(on_error).run_once(named[name])


def _check_done(result: Any) -> None:
    kind = UNFINISHED.get(type(result))
    if isinstance(result, CoroutineType):
        result.close()  # or Python warns of it, too
    if kind:
        raise Unfinished(f'it returned {kind}, whose body never runs; a task has to do its work before it returns')
