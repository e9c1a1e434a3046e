"""Background tasks spread over many machines: the same line starts a runner on each of them.

A runner is a Celery worker on gevent, and a scheduler in a child process. Which of the schedulers is the active one is
settled in redis, and so is that no task overlaps itself. `celery -A apiphant.background.cluster inspect active` asks the runners of a
product; it takes the engine and the product's name from the variables APIPHANT_ENGINE and APIPHANT_PRODUCT.
"""
from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from redis.exceptions import RedisError

from ...api.product import Product, ProductError
from ...words import reason
from ..heartbeat import TICK, Pulse
from ..run import run_once
from ..scheduler import GRACEFUL_TIMEOUT
from ..state import State
from ..tasks import Task, listed
from . import beat, celery_app, celery_worker, connections, engine, masking, redbeat
from .beat_process import Scheduler
from .engine import Endpoint, Engine
from .engine_watch import Check, Watch

WRITTEN = 60  # seconds for which a trace of a look at the engine stays

log = logging.getLogger(__name__)


def run(found: Product, tasks: Sequence[Task], on_error: Callable[..., Any] | None, url: str, kept: State) -> int:
    """Run the tasks with all others who share this engine, until SIGTERM or SIGINT. Returns the exit status. Raises ProductError."""
    shared = engine.parse(url)
    kept.lock()
    masking.hide(shared.secrets)
    stopped, pulse = Event(), Pulse(run_once.__code__)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _begin_stop(stopped, pulse))  # not gevent's, which waits for a task that never does
    pulse.watch()
    app = celery_app.make_app(shared, found.name)
    worker = celery_worker.make(app, found, tasks, on_error, shared)
    watch = Watch(_checks(shared, f'{celery_app.prefix(found.name)}:written'))
    scheduler = Scheduler(beat.job(url, found.name, tasks), watch)
    log.info('Running %s on %s', listed(tasks), ' and '.join(map(str, shared.endpoints)))
    gevent.spawn(_tick, pulse, kept, watch)
    helpers = [gevent.spawn(call) for call in (watch.run, scheduler.run)]
    gevent.spawn(_stop, stopped, scheduler, worker)
    gevent.wait([stopped, watch.up], count=1)
    if not stopped.is_set():
        worker.start()
    is_asked = stopped.is_set()
    gevent.killall(helpers)
    scheduler.end()
    return 0 if is_asked else 1


def times(found: Product, tasks: Sequence[Task], url: str) -> list[tuple[float | None, float]]:
    """Of each task, when it was sent last, if it was, and when it is due. Raises ProductError."""
    shared = engine.parse(url)
    app = celery_app.make_app(shared, found.name)
    try:
        return [redbeat.times(app, task.name, task.schedule, time.time()) for task in tasks]
    except (RedisError, OSError) as error:
        raise ProductError(f'the engine {shared.store} cannot be reached: {reason(error)}') from None


def _begin_stop(stopped: Event, pulse: Pulse) -> None:
    gevent.get_hub().loop.run_callback_threadsafe(stopped.set)
    pulse.leave_after(GRACEFUL_TIMEOUT + TICK)


def _tick(pulse: Pulse, kept: State, watch: Watch) -> None:
    """Say that the runner is alive while its loop turns and the engine answers."""
    while True:
        pulse.beat()
        if watch.up.is_set():
            kept.tick()
        gevent.sleep(TICK)


def _stop(stopped: Event, scheduler: Scheduler, worker: Any) -> None:
    stopped.wait()
    gevent.spawn(scheduler.end)
    celery_worker.stop(worker)
    os._exit(0)  # something of Celery waits for the engine


def _checks(shared: Engine, key: str) -> dict[Endpoint, Check]:
    """A redis that is full, or a replica, would answer a ping."""
    checks: dict[Endpoint, Check] = {shared.store: partial(connections.connect(shared.store).set, key, 1, ex=WRITTEN)}
    if shared.broker is not shared.store:
        checks[shared.broker] = connections.broker_check(shared.broker)
    return checks
