"""Background tasks of a product, and what runs them on one machine.

    @seconds(60)                                        in the product's api/background.py, or in modules that it imports
    @cron('30 2 * * *', timezone='Europe/Berlin')

Tasks run side by side, each on a grid of its own: a run that is missed is skipped, and none overlaps itself. `on_error(error)`
of `api/background.py` gets the text of errors, each different one at once, and again at most once a minute.
"""
from __future__ import annotations

import heapq
import json
import logging
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import gevent
import gevent.pool
from gevent.event import Event
from gevent.lock import RLock
from gevent.monkey import get_original

from . import logs, product
from .alarm import Alarm
from .logs import format_error
from .product import BrokenProduct, Product, ProductError
from .schedule import Every, back_off
from .state import FRESH, State
from .tasks import Task, cron, seconds, tasks

__all__ = ['cron', 'seconds']

GRACEFUL_TIMEOUT = 10.0  # seconds that running tasks get when the runner is told to stop
TICK = 1.0  # seconds at most between two looks at the clocks
JUMP = 2.0  # seconds by which the clock on the wall may differ from what was expected
STUCK = 2.0  # seconds for which a task may hold all others unsaid
LONGEST = 600.0  # seconds to which a task that goes on failing is slowed down
CLUSTER = ('celery', 'kombu', 'redbeat', 'redis')  # what many machines need, and one does not
KEEPING = 5.0  # seconds at most between two writings of last runs

log = logging.getLogger(__name__)
OnError = Callable[..., Any] | None


class TaskTimeout(Exception):
    """A run took longer than its task's timeout."""


def run(path: str | Path, *, state: str | None = None, one_by_one: bool = False) -> None:
    """Run the tasks of the product in the folder `path` until SIGTERM or SIGINT. Raises ProductError."""
    found, on_error = _load(path)
    kept = State(found, state)
    kept.lock()
    runner = Runner(on_error, kept, one_by_one=one_by_one)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, runner.stop)
    log.info('Running %s', ', '.join(f'{task.name} {task.schedule}' for task in tasks()))
    runner.run(tasks())


def run_with_others(path: str | Path, engine: str) -> int:
    """Run the tasks with all machines that share the engine. Returns the exit status. Raises ProductError."""
    found, on_error = _load(path)
    try:
        cluster = import_module('apiphant.cluster')
    except ModuleNotFoundError as error:
        if error.name not in CLUSTER:
            raise
        raise ProductError(f'--engine needs {error.name}, which is not installed: pip install "apiphant[cluster]"') from None
    return int(cluster.run(found, tasks(), on_error, engine))


def show(path: str | Path, *, state: str | None = None, as_json: bool = False) -> None:
    """Print the tasks, when each ran last, and when it is due. Raises ProductError."""
    found, _ = _load(path)
    last, now = State(found, state).last_runs(), time.time()
    rows = [{'name': task.name, 'schedule': str(task.schedule), 'last': _time(last.get(task.name)),
             'next': _time(task.schedule.first(now, last.get(task.name)))} for task in tasks()]
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


def _time(when: float | None) -> str | None:
    return None if when is None else datetime.fromtimestamp(when, UTC).strftime('%Y-%m-%d %H:%M:%SZ')


class Entry:
    """A task and how it is doing. `due` is in seconds of the clock that its schedule goes by."""

    __slots__ = ('due', 'failures', 'is_running', 'task')

    def __init__(self, task: Task, due: float) -> None:
        self.task = task
        self.due = due
        self.failures = 0
        self.is_running = False

    def __lt__(self, other: Entry) -> bool:
        return self.due < other.due


class Runner:
    """Runs tasks when they are due. Periods go by the monotonic clock, cron lines by the one on the wall."""

    def __init__(self, on_error: OnError, state: State, *, one_by_one: bool) -> None:
        self._on_error = on_error
        self._state = state
        self._turn = RLock() if one_by_one else None
        self._stopped = Event()
        self._alarm = Alarm()
        self._greenlets = gevent.pool.Group()
        self._last = state.last_runs()
        self._kept = self._ticked = 0.0  # when that was, by the monotonic clock
        self._is_kept = True
        self._clocks: tuple[tuple[Callable[[], float], list[Entry]], ...] = ((time.monotonic, []), (time.time, []))
        self._beat = time.monotonic()

    def stop(self) -> None:
        self._stopped.set()

    def run(self, todo: list[Task]) -> None:
        """Until stopped."""
        for task in todo:
            self._add(task)
        get_original('_thread', 'start_new_thread')(self._watch_hub, (get_original('_thread', 'get_ident')(),))
        offset = time.time() - time.monotonic()
        while not self._stopped.is_set():
            offset = self._check_clock(offset)
            for clock, entries in self._clocks:
                self._start_due(clock(), entries)
            self._keep_up()
            self._beat = time.monotonic()
            self._stopped.wait(self._pause())
        self._greenlets.join(timeout=GRACEFUL_TIMEOUT)
        self._state.keep(self._last)

    def _add(self, task: Task) -> None:
        now = time.time()
        due = task.schedule.first(now, self._last.get(task.name))
        clock, entries = self._clocks[0 if isinstance(task.schedule, Every) else 1]
        heapq.heappush(entries, Entry(task, due - now + clock()))

    def _pause(self) -> float:
        return min([TICK, *(max(0.0, entries[0].due - clock()) for clock, entries in self._clocks if entries)])

    def _check_clock(self, offset: float) -> float:
        """What the clock on the wall says beyond what the monotonic one does. If it was set, cron lines are looked at anew."""
        found = time.time() - time.monotonic()
        if abs(found - offset) > JUMP:
            log.warning('The clock was set %.0f s %s', abs(found - offset), 'forward' if found > offset else 'back')
            clock, entries = self._clocks[1]
            for entry in entries:
                entry.due = min(entry.due, entry.task.schedule.following(clock(), clock()))
            heapq.heapify(entries)
        return found

    def _start_due(self, now: float, entries: list[Entry]) -> None:
        while entries and entries[0].due <= now:
            entry = entries[0]
            if entry.is_running:
                log.warning('Task %s: skipped, still running.', entry.task.name)
            else:
                entry.is_running = True
                self._greenlets.spawn(self._run, entry)
            entry.due = self._following(entry, now)
            heapq.heapreplace(entries, entry)

    def _following(self, entry: Entry, now: float) -> float:
        """Later and later while a task fails, but on its grid."""
        schedule = entry.task.schedule
        if isinstance(schedule, Every) and entry.failures:
            return schedule.following(entry.due, now + back_off(schedule.period, entry.failures, LONGEST) - schedule.period)
        return schedule.following(entry.due, now)

    def _run(self, entry: Entry) -> None:
        try:
            if entry.task.schedule.jitter:
                gevent.sleep(random.uniform(0, entry.task.schedule.jitter))
            self._last[entry.task.name] = time.time()
            is_done = self._run_in_turn(entry.task)
            entry.failures = 0 if is_done else entry.failures + 1
            self._is_kept = False
        finally:
            entry.is_running = False

    def _run_in_turn(self, task: Task) -> bool:
        if self._turn is None:
            return run_once(task, self._on_error, self._alarm)
        with self._turn:
            return run_once(task, self._on_error, self._alarm)

    def _keep_up(self) -> None:
        """Say that the runner is alive, and write when tasks ran last, both now and then."""
        now = time.monotonic()
        if now - self._ticked >= TICK:
            self._ticked = now
            self._state.tick()
        if not self._is_kept and now - self._kept > KEEPING:
            self._is_kept, self._kept = True, now
            self._state.keep(self._last)

    def _watch_hub(self, thread: int) -> None:
        """In a real thread: a task that neither waits nor ends keeps all others from running."""
        sleep, told = get_original('time', 'sleep'), 0.0
        while True:
            sleep(STUCK / 2)
            held = time.monotonic() - self._beat
            if held > STUCK + TICK and told != self._beat:
                told = self._beat
                frame = sys._current_frames().get(thread)
                log.warning('Task %s holds all others, for %.0f s now:\n%s', _task_in(frame), held, logs.format_stack(frame))


def _task_in(frame: Any) -> str:
    while frame is not None:
        if frame.f_code is run_once.__code__:
            return str(frame.f_locals['task'].name)
        frame = frame.f_back
    return 'none'


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
