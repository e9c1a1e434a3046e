"""Background tasks of a product, and what runs them on one machine.

    @seconds(60)                                        in the product's api/background.py, or in modules that it imports
    @cron('30 2 * * *', timezone='Europe/Berlin')

Tasks run side by side, each on a grid of its own: a run that is missed is skipped, and none overlaps itself. `on_error(error)`
of `api/background.py` gets the text of errors, each different one at once, and again at most once a minute.
"""
from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import gevent

from . import product
from .alarm import Alarm
from .logs import format_error
from .product import BrokenProduct, Product, ProductError
from .scheduler import Scheduler
from .state import FRESH, State
from .tasks import Task, cron, listed, seconds, tasks

__all__ = ['cron', 'seconds']


log = logging.getLogger(__name__)
OnError = Callable[..., Any] | None


class TaskTimeout(Exception):
    """A run took longer than its task's timeout."""


def run(path: str | Path, *, state: str | None = None, one_by_one: bool = False) -> None:
    """Run the tasks of the product in the folder `path` until SIGTERM or SIGINT. Raises ProductError."""
    found, on_error = _load(path)
    kept = State(found, state)
    kept.lock()
    scheduler = Scheduler(partial(run_once, on_error=on_error, alarm=Alarm()), kept, one_by_one=one_by_one)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.stop())  # not gevent's, which waits for a task that never does
    log.info('Running %s', listed(tasks()))
    scheduler.run(tasks())


def run_with_others(path: str | Path, engine: str, *, state: str | None = None) -> int:
    """Run the tasks with all machines that share the engine. Returns the exit status. Raises ProductError."""
    found, on_error = _load(path)
    cluster = import_module('apiphant.cluster')  # which says so if Celery is not installed
    return int(cluster.run(found, tasks(), on_error, engine, State(found, state)))


def show(path: str | Path, *, engine: str | None = None, state: str | None = None, as_json: bool = False) -> None:
    """Print the tasks, when each ran last, and when it is due. Raises ProductError."""
    found, _ = _load(path)
    times = import_module('apiphant.cluster').times(found, tasks(), engine) if engine else _times(State(found, state).last_runs())
    rows = [{'name': task.name, 'schedule': str(task.schedule), 'last': _text(last), 'next': _text(due)}
            for task, (last, due) in zip(tasks(), times, strict=True)]
    if as_json:
        print(json.dumps(rows))
        return
    widths = [max(len(str(row[key])) for row in rows) for key in ('name', 'schedule')]
    for row in rows:
        print(f'{row["name"]:{widths[0]}}  {row["schedule"]:{widths[1]}}  last {row["last"] or "never"}  next {row["next"]}')


def run_now(path: str | Path, name: str) -> int:
    """Run one task, once. Returns the exit status: 1 if it failed. Raises ProductError."""
    _, on_error = _load(path)
    task = next((task for task in tasks() if task.name == name), None)
    if task is None:
        raise ProductError(f'there is no task {name!r}; there are: {", ".join(task.name for task in tasks())}')
    return 0 if run_once(task, on_error) else 1


def health(path: str | Path, *, state: str | None = None) -> int:
    """Print whether the runner of a product is alive. Returns the exit status: 1 if it is not. Raises ProductError."""
    age = State(product.find(path), state).age()
    is_alive = age is not None and age < FRESH
    print(f'{"alive" if is_alive else "not alive"}: ' + ('it never ran' if age is None else f'the last tick was {age:.0f} s ago'))
    return 0 if is_alive else 1


def load(found: Product) -> OnError:
    """Import the product's tasks. Returns its on_error. Raises ProductError."""
    product.add_to_path(found)
    name = f'{found.name}.api.background'
    try:
        module = import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise ProductError(f'{found.name} has no background tasks: there is no {found.api / "background.py"}') from None
        raise BrokenProduct({name: error}) from None
    if not tasks():
        raise ProductError(f'{found.name} has no background tasks: nothing in {name} is decorated with @seconds or @cron')
    on_error: OnError = getattr(module, 'on_error', None)
    return on_error


def _load(path: str | Path) -> tuple[Product, OnError]:
    found = product.find(path)
    return found, load(found)


def _times(last: dict[str, float]) -> list[tuple[float | None, float]]:
    now = time.time()
    return [(last.get(task.name), task.schedule.first(now, last.get(task.name))) for task in tasks()]


def _text(when: float | None) -> str | None:
    return None if when is None else datetime.fromtimestamp(when, UTC).strftime('%Y-%m-%d %H:%M:%SZ')


def run_once(task: Task, on_error: OnError, alarm: Alarm | None = None) -> bool:
    """One unit of work: what it raises is logged, and told to `on_error`. Returns whether it was done."""
    try:
        with gevent.Timeout(task.timeout, TaskTimeout(f'it took longer than {task.timeout} s')):
            task.function()
        log.info('Task %s: OK.', task.name)
    except BaseException as error:
        text = f'Task {task.name} failed:\n{format_error(error)}'
        log.error('%s', text)
        key = (task.name, type(error).__name__, text.splitlines()[-1])
        number = alarm.count(key, time.monotonic()) if alarm else 1
        if on_error and number:
            _report(on_error, text, task.name, number)
        return False
    return True


def _report(on_error: Callable[..., Any], text: str, name: str, number: int) -> None:
    """To a function that takes the text, or also the task's name and how many errors these are."""
    try:
        on_error(*(text, name, number)[:_arguments(on_error)])
        log.info('on_error: OK.')
    except Exception:
        log.exception('on_error failed:')


def _arguments(function: Callable[..., Any]) -> int:
    try:
        return 3 if len(signature(function).parameters) > 1 else 1
    except (TypeError, ValueError):
        return 1
