"""What `apiphant-background` does: run, list, run one, health."""
from __future__ import annotations

import json
import logging
import signal
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType

from ..api import product
from ..api.product import Product, ProductError
from .on_error import Alarm, OnError
from .run import run_once
from .scheduler import Scheduler
from .state import FRESH, State
from .tasks import listed, load, tasks

EXTRA = ('celery', 'kombu', 'redbeat', 'redis')

log = logging.getLogger(__name__)



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
    return int(_cluster().run(found, tasks(), on_error, engine, State(found, state)))


def show(path: str | Path, *, engine: str | None = None, state: str | None = None, as_json: bool = False) -> None:
    """Print the tasks, when each ran last, and when it is due. Raises ProductError."""
    found, _ = _load(path)
    times = _cluster().times(found, tasks(), engine) if engine else _times(State(found, state).last_runs())
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


def _cluster() -> ModuleType:
    """What runs tasks with other machines. Raises ProductError where it is not installed."""
    try:
        from .cluster import runner  # noqa: PLC0415  # Celery takes half a second, and is an extra
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        raise ProductError(f'--engine needs {error.name}, which is not installed: pip install "apiphant[cluster]"') from None
    return runner


def _load(path: str | Path) -> tuple[Product, OnError]:
    found = product.find(path)
    return found, load(found)


def _times(last: dict[str, float]) -> list[tuple[float | None, float]]:
    now = time.time()
    return [(last.get(task.name), task.schedule.first(now, last.get(task.name))) for task in tasks()]


def _text(when: float | None) -> str | None:
    return None if when is None else datetime.fromtimestamp(when, UTC).strftime('%Y-%m-%d %H:%M:%SZ')
