"""One run of a task: supervised, limited in time, logged."""
from __future__ import annotations

import logging
import time
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

import gevent

from ..logs import format_error
from .on_error import Alarm, OnError, report
from .tasks import Task

UNFINISHED = {CoroutineType: 'a coroutine', GeneratorType: 'a generator', AsyncGeneratorType: 'an async generator'}

log = logging.getLogger(__name__)


class Unfinished(Exception):
    """A run gave something whose body has yet to run, and nobody runs it."""


class TaskTimeout(Exception):
    """A run took longer than its task's timeout."""


def run_once(task: Task, on_error: OnError, alarm: Alarm | None = None) -> bool:
    """One unit of work: what it raises is logged, and told to `on_error`. Returns whether it was done."""
    try:
        with gevent.Timeout(task.timeout, TaskTimeout(f'it took longer than {task.timeout} s')):
            _check_done(task.function())
        log.info('Task %s: OK.', task.name)
    except BaseException as error:
        text = f'Task {task.name} failed:\n{format_error(error)}'
        log.error('%s', text)
        key = (task.name, type(error).__name__, text.splitlines()[-1])
        number = alarm.count(key, time.monotonic()) if alarm else 1
        if on_error and number:
            report(on_error, text, task.name, number)
        return False
    return True


def _check_done(result: Any) -> None:
    kind = UNFINISHED.get(type(result))
    if isinstance(result, CoroutineType):
        result.close()  # or Python warns of it, too
    if kind:
        raise Unfinished(f'it gave {kind}, whose body never runs; a task has to do its work before it returns')
