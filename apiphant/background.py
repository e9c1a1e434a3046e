"""Background tasks of a product: `@seconds(60)` in its `api/background.py`, and the runner of one machine.

A task runs at once, then at each multiple of its period; a run that is late for its time is skipped, and a task never
overlaps itself. Different tasks run side by side. `on_error(error)` of `api/background.py` gets the text of each error.
"""
from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import gevent
from gevent.event import Event

from . import product
from .logs import format_error
from .product import BrokenProduct, ProductError
from .schedule import next_run

GRACEFUL_TIMEOUT = 10.0  # seconds that running tasks get when the runner is told to stop

log = logging.getLogger(__name__)
Function = TypeVar('Function', bound=Callable[[], Any])


@dataclass(frozen=True, slots=True)
class Task:
    """A function to call every `period` seconds."""
    function: Callable[[], Any]
    period: float

    @property
    def name(self) -> str:
        return self.function.__name__


_tasks: list[Task] = []


def tasks() -> list[Task]:
    """Those of the modules as they are imported now: where one was imported anew, its old tasks are gone."""
    _tasks[:] = [task for task in _tasks if _is_live(task.function)]
    return _tasks.copy()


def _is_live(function: Callable[[], Any]) -> bool:
    module = sys.modules.get(function.__module__)
    return module is not None and vars(module) is getattr(function, '__globals__', vars(module))


def seconds(period: float) -> Callable[[Function], Function]:
    """Run the decorated function, which takes nothing, every `period` seconds. Raises ValueError for a period not above 0."""
    def decorate(function: Function) -> Function:
        if not isinstance(period, (int, float)) or not period > 0:
            raise ValueError(f'{function.__name__}: seconds({period!r}) should be a number above 0')
        _tasks.append(Task(function, period))
        return function
    return decorate


def run(path: str | Path) -> None:
    """Run the tasks of the product in the folder `path` until SIGTERM or SIGINT. Raises ProductError."""
    module = load(product.find(path))
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopped.set)
    log.info('Running %s', ', '.join(f'{task.name} every {task.period:g} s' for task in tasks()))
    running = [gevent.spawn(_repeat, task, getattr(module, 'on_error', None), stopped) for task in tasks()]
    stopped.wait()
    gevent.joinall(running, timeout=GRACEFUL_TIMEOUT)


def load(found: product.Product) -> ModuleType:
    """Import the product's tasks. Raises ProductError."""
    product.add_to_path(found)
    name = f'{found.name}.api.background'
    try:
        module = import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise ProductError(f'{found.name} has no background tasks: there is no {found.api / "background.py"}') from None
        raise BrokenProduct({name: error}) from None
    if not tasks():
        raise ProductError(f'{found.name} has no background tasks: nothing in {name} is decorated with @seconds')
    return module


def _repeat(task: Task, on_error: Callable[[str], Any] | None, stopped: Event) -> None:
    start = time.monotonic()
    while not stopped.is_set():
        run_once(task, on_error)
        now = time.monotonic()
        stopped.wait(next_run(start, task.period, now) - now)


def run_once(task: Task, on_error: Callable[[str], Any] | None) -> None:
    """One unit of work: what it raises is logged, and told to `on_error`."""
    try:
        task.function()
        log.info('Task %s: OK.', task.name)
    except Exception as error:
        text = f'Task {task.name} failed:\n{format_error(error)}'
        log.error('%s', text)
        if on_error:
            _report(on_error, text)


def _report(on_error: Callable[[str], Any], text: str) -> None:
    try:
        on_error(text)
        log.info('on_error: OK.')
    except Exception:
        log.exception('on_error failed:')
