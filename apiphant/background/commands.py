"""What `apiphant-background` does: run, list, run one, health."""
from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from ..api.product import Product, ProductError, find
from .heartbeat import Heartbeat
from .on_error import OnError, Throttle
from .process import prepare_process
from .run import AT_LAST, TaskCaller, run_named
from .scheduler import Scheduler
from .state import FRESH, RunnerState
from .stop import call_on_stop
from .tasks import listed, load, tasks

EXTRA = ('celery', 'kombu', 'redbeat', 'redis')

log = logging.getLogger(__name__)


def run(path: str | Path, *, state: str | None = None, one_by_one: bool = False) -> None:
    """Run the tasks of the product in the folder `path` until SIGTERM or SIGINT. Raises ProductError."""
    product, on_error = _load(path)
    kept = RunnerState(product, state)
    kept.lock()
    caller = TaskCaller(on_error, Throttle())
    scheduler = Scheduler(caller.run_once, kept, Heartbeat(caller.running), one_by_one=one_by_one)
    call_on_stop(scheduler.stop)
    prepare_process()
    log.info('Running %s', listed(tasks()))
    scheduler.run(tasks())
    caller.reports.join(AT_LAST)


def run_with_others(path: str | Path, engine: str, *, state: str | None = None) -> int:
    """Run the tasks with all machines that share the engine. Returns the exit status. Raises ProductError."""
    product, on_error = _load(path)
    return int(_cluster().run(product, tasks(), on_error, engine, RunnerState(product, state)))


def show(path: str | Path, *, engine: str | None = None, state: str | None = None, as_json: bool = False) -> None:
    """Print the tasks, when each ran last, and when it is due. Raises ProductError."""
    product, _ = _load(path)
    times = _cluster().times(product, tasks(), engine) if engine else _times(RunnerState(product, state))
    rows = [_row(task.name, str(task.schedule), last, due) for task, (last, due) in zip(tasks(), times, strict=True)]
    print(json.dumps(rows) if as_json else _table(rows))


def run_now(path: str | Path, name: str) -> int:
    """Run one task, once. Returns the exit status: 1 if it failed. Raises ProductError."""
    _, on_error = _load(path)
    prepare_process()
    return 0 if run_named(name, on_error) else 1


def health(path: str | Path, *, state: str | None = None) -> int:
    """Print whether the runner of a product is alive. Returns the exit status: 1 if it is not. Raises ProductError."""
    age = RunnerState(find(path), state).age()
    is_alive = age is not None and age < FRESH
    told = 'it never ran' if age is None else f'the last tick was {age:.0f} s ago'
    print(f'{"alive" if is_alive else "not alive"}: {told}')
    return 0 if is_alive else 1


def _cluster() -> ModuleType:
    """The module that runs tasks with other machines. Raises ProductError where it is not installed."""
    try:
        from .cluster import runner  # noqa: PLC0415  # Celery takes half a second, and is an extra
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        remedy = 'pip install "apiphant[cluster]"'
        raise ProductError(f'--engine needs {error.name}, which is not installed: {remedy}') from None
    return runner


def _load(path: str | Path) -> tuple[Product, OnError]:
    product = find(path)
    return product, load(product)


def _times(kept: RunnerState) -> list[tuple[float | None, float]]:
    now, last = time.time(), kept.last_runs()
    return [(last.get(task.name), task.schedule.first(now, last.get(task.name))) for task in tasks()]


def _row(name: str, schedule: str, last: float | None, due: float) -> dict[str, str | None]:
    return {'name': name, 'schedule': schedule, 'last': None if last is None else _date(last), 'next': _date(due)}


def _table(rows: list[dict[str, str | None]]) -> str:
    names, schedules = (max(len(str(row[key])) for row in rows) for key in ('name', 'schedule'))
    return '\n'.join(
        f'{row["name"]:{names}}  {row["schedule"]:{schedules}}  last {row["last"] or "never"}  next {row["next"]}'
        for row in rows)


def _date(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime('%Y-%m-%d %H:%M:%SZ')
