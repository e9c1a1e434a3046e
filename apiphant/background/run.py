"""One run of a task: supervised, limited in time, logged."""
from __future__ import annotations

import logging
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

import gevent

from ..api.product import ProductError
from ..tracebacks import format_error
from .on_error import OnError, Throttle
from .reports import LIMIT, Reports
from .running import Running
from .tasks import Task, tasks

UNFINISHED = {CoroutineType: 'a coroutine', GeneratorType: 'a generator', AsyncGeneratorType: 'an async generator'}

AT_LAST = 2.0  # seconds that on_error gets when all tasks have ended and the runner leaves

log = logging.getLogger(__name__)


class Unfinished(Exception):
    """A run returned something whose body has yet to run, and nobody runs it."""


class TaskTimeout(BaseException):
    """A run took longer than its task's timeout. No `except Exception` in the task keeps it going."""


class NoTask(ProductError):
    """There is no task of that name; the text says which there are."""


class TaskCaller:
    """Calls tasks. Tells `on_error` of what they raise, as often as `throttle` lets it."""

    def __init__(self, on_error: OnError, throttle: Throttle | None = None) -> None:
        self.running = Running()
        self.reports = Reports(on_error, throttle, self.running)

    def run_once(self, task: Task) -> bool:
        """One unit of work. What it raises is logged. Returns whether it was done."""
        try:
            self._call(task)
            log.info('Task %s: OK.', task.name)
        except BaseException as error:
            text = f'Task {task.name} failed:\n{format_error(error)}'
            log.error('%s', text)
            self.reports.tell(task.name, error, text)
            return False
        return True

    def _call(self, task: Task) -> None:
        late = TaskTimeout(f'it took longer than {task.timeout} s')
        with gevent.Timeout(task.timeout, late) as timer:
            result = self.running.call(f'Task {task.name}', task.function)
            if task.timeout is not None and not timer.pending:
                raise late  # the task caught it
        _check_done(result)


def run_named(name: str, on_error: OnError) -> bool:
    """Run one task, once. Returns whether it was done. Raises NoTask."""
    named = {task.name: task for task in tasks()}
    if name not in named:
        raise NoTask(f'there is no task {name!r}; there are: {", ".join(named) or "none"}')
    caller = TaskCaller(on_error)
    is_done = caller.run_once(named[name])
    caller.reports.join(LIMIT)
    return is_done


def _check_done(result: Any) -> None:
    kind = UNFINISHED.get(type(result))
    if isinstance(result, CoroutineType):
        result.close()  # or Python warns of it, too
    if kind:
        raise Unfinished(f'it returned {kind}, whose body never runs; a task has to do its work before it returns')
