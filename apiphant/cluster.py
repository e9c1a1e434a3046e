"""Background tasks spread over many machines: the same line starts a runner on each of them.

A runner is a Celery worker on gevent, and a scheduler in a child process. Which of the schedulers is the active one is
settled in redis, and so is that no task overlaps itself. `celery -A apiphant.cluster inspect active` asks the runners of a
product; it takes the engine and the product's name from the variables APIPHANT_ENGINE and APIPHANT_PRODUCT.
"""
from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from redis.exceptions import RedisError

from . import cluster_app, cluster_beat, cluster_worker, engine, masking
from .background import run_once
from .cluster_watch import Check, Watch, reason
from .engine import Endpoint, Engine
from .product import Product, ProductError
from .pulse import TICK, Pulse
from .scheduler import GRACEFUL_TIMEOUT
from .state import State
from .tasks import Task, listed

LONGEST = 30.0  # seconds to which the pause before a new scheduler grows
STEADY = 10.0  # seconds after which a scheduler counts as having worked
PATIENCE = 5.0  # seconds that a scheduler gets to end
WRITTEN = 60  # seconds for which a trace of a look at the engine stays

log = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    if name != 'app':
        raise AttributeError(name)
    try:
        url, product = (os.environ[name] for name in ('APIPHANT_ENGINE', 'APIPHANT_PRODUCT'))
    except KeyError as error:
        raise ProductError(f'the variable {error} is not set: the engine in APIPHANT_ENGINE, the name of the product in APIPHANT_PRODUCT') from None
    return cluster_app.make_app(engine.parse(url), product)


def run(found: Product, tasks: Sequence[Task], on_error: Callable[..., Any] | None, url: str, kept: State) -> int:
    """Run the tasks with all others who share this engine, until SIGTERM or SIGINT. Returns the exit status. Raises ProductError."""
    shared = engine.parse(url)
    kept.lock()
    masking.hide(shared.secrets)
    stopped, pulse = Event(), Pulse(run_once.__code__)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _begin_stop(stopped, pulse))  # not gevent's, which waits for a task that never does
    pulse.watch()
    app = cluster_app.make_app(shared, found.name)
    worker = cluster_worker.make(app, found, tasks, on_error, shared)
    watch = Watch(_checks(shared, f'{cluster_app.prefix(found.name)}:written'))
    scheduler = Scheduler(cluster_beat.job(url, found.name, tasks), watch)
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
    app = cluster_app.make_app(shared, found.name)
    try:
        return [cluster_beat.times(app, task.name, task.schedule, time.time()) for task in tasks]
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
    cluster_worker.stop(worker)
    os._exit(0)  # something of Celery waits for the engine


def _checks(shared: Engine, key: str) -> dict[Endpoint, Check]:
    """A redis that is full, or a replica, would answer a ping."""
    checks: dict[Endpoint, Check] = {shared.store: partial(cluster_app.connect(shared.store).set, key, 1, ex=WRITTEN)}
    if shared.broker is not shared.store:
        checks[shared.broker] = cluster_app.broker_check(shared.broker)
    return checks


class Scheduler:
    """The child process, started again when it ends."""

    def __init__(self, job: str, watch: Watch) -> None:
        self._job = job
        self._watch = watch
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def run(self) -> None:
        """Until `end`."""
        pause = 1.0
        while not self._is_over:
            self._watch.up.wait()
            started = time.monotonic()
            status = self._run_once()
            if self._is_over:
                return
            self._watch.look()
            pause = 1.0 if time.monotonic() - started > STEADY else min(pause * 2, LONGEST)
            if status != cluster_beat.GONE:
                log.warning('The scheduler ended with status %d; starting it again in %g s', status, pause)
            gevent.sleep(pause)

    def _run_once(self) -> int:
        try:
            self._process = subprocess.Popen([sys.executable, '-m', 'apiphant.cluster_beat'], stdin=subprocess.PIPE)
        except OSError as error:
            log.error('The scheduler cannot be started: %s', reason(error))
            return cluster_beat.GONE
        with suppress(OSError):
            assert self._process.stdin
            self._process.stdin.write(f'{self._job}\n'.encode())
            self._process.stdin.flush()
        return self._process.wait()

    def end(self) -> None:
        self._is_over = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
                return
            self._process.kill()
