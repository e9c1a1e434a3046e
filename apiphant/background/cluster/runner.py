"""Background tasks spread over many machines: the same line starts a runner on each of them.

A runner is a Celery worker on gevent, and a scheduler in a child process. Locks in redis decide which of the schedulers
is the active one, and see to it that no task overlaps itself. `celery -A apiphant.background.cluster inspect active`
asks the runners of a product what they run. It takes the engine and the product's name from the variables
APIPHANT_ENGINE and APIPHANT_PRODUCT.
"""
from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from functools import partial

import gevent
from gevent.event import Event
from redis.exceptions import RedisError

from ...api.product import Product, ProductError
from ...words import reason
from ..heartbeat import TICK, Heartbeat
from ..on_error import OnError
from ..process import prepare_process
from ..run import AT_LAST, TaskCaller
from ..state import RunnerState
from ..stop import GRACEFUL_TIMEOUT, call_on_stop
from ..tasks import Task, listed
from . import beat, celery_app, connections, engine, masking, redbeat
from .beat_process import BeatProcess
from .celery_worker import Worker
from .engine import Endpoint, Engine
from .engine_watch import Check, EngineWatch
from .on_error import SharedThrottle

WRITTEN = 60  # seconds for which a trace of a look at the engine stays

log = logging.getLogger(__name__)


def run(product: Product, tasks: Sequence[Task], on_error: OnError, url: str, kept: RunnerState) -> int:
    """Run the tasks with all others who share this engine, until SIGTERM or SIGINT.

    Returns the exit status. Raises ProductError.
    """
    shared = engine.parse(url)
    kept.lock()
    prepare_process()
    masking.hide(shared.secrets)
    name = celery_app.prefix(product.name)
    caller = TaskCaller(on_error, SharedThrottle(connections.connect(shared.store), name))
    heartbeat = Heartbeat(caller.running)
    stopped = _stop_on_signals(heartbeat)
    worker = Worker(celery_app.make_app(shared, product.name), product, tasks, caller, shared)
    watch = EngineWatch(_checks(shared, f'{name}:written'))
    scheduler = BeatProcess(beat.job(url, product.name, tasks), watch)
    log.info('Running %s on %s', listed(tasks), ' and '.join(map(str, shared.endpoints)))
    gevent.spawn(_tick, kept, watch)
    status = _work(worker, watch, scheduler, stopped)
    caller.reports.join(AT_LAST)
    return status


def times(product: Product, tasks: Sequence[Task], url: str) -> list[tuple[float | None, float]]:
    """Of each task, when it was sent last, if it was, and when it is due. Raises ProductError."""
    shared = engine.parse(url)
    app = celery_app.make_app(shared, product.name)
    try:
        return [redbeat.times(app, task.name, task.schedule, time.time()) for task in tasks]
    except (RedisError, OSError) as error:
        raise ProductError(f'the engine {shared.store} cannot be reached: {reason(error)}') from None


def _stop_on_signals(heartbeat: Heartbeat) -> Event:
    """The event that SIGTERM and SIGINT set."""
    stopped, loop = Event(), gevent.get_hub().loop

    def stop() -> None:
        loop.run_callback_threadsafe(stopped.set)
        heartbeat.leave_after(GRACEFUL_TIMEOUT + TICK)
    call_on_stop(stop)
    heartbeat.watch()
    return stopped


def _work(worker: Worker, watch: EngineWatch, scheduler: BeatProcess, stopped: Event) -> int:
    helpers = [gevent.spawn(call) for call in (watch.run, scheduler.run)]
    gevent.spawn(_stop, stopped, scheduler, worker)
    gevent.wait([stopped, watch.up], count=1)
    if not stopped.is_set():
        worker.run()
    is_asked = stopped.is_set()
    gevent.killall(helpers)
    scheduler.end()
    return 0 if is_asked else 1


def _tick(kept: RunnerState, watch: EngineWatch) -> None:
    """Note that the runner is alive while its loop turns and the engine answers."""
    while True:
        if watch.up.is_set():
            kept.tick()
        gevent.sleep(TICK)


def _stop(stopped: Event, scheduler: BeatProcess, worker: Worker) -> None:
    stopped.wait()
    gevent.spawn(scheduler.end)
    worker.stop()
    os._exit(0)  # something of Celery waits for the engine


def _checks(shared: Engine, key: str) -> dict[Endpoint, Check]:
    """How to ask each endpoint whether it works. A redis that is full, or a replica, would still answer a ping."""
    write = partial(connections.connect(shared.store).set, key, 1, ex=WRITTEN)
    checks: dict[Endpoint, Check] = {shared.store: write}
    if shared.broker is not shared.store:
        checks[shared.broker] = connections.broker_check(shared.broker)
    return checks
