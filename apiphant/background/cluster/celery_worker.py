"""What runs the tasks of a product on one of many machines: Celery's worker, with a pool of greenlets."""
from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import celery.worker.state
import gevent
from celery import Celery, signals
from celery.worker import WorkController
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from ...api.product import Product
from ..run import run_once
from ..scheduler import GRACEFUL_TIMEOUT
from ..tasks import Task
from .celery_app import node_name, prefix
from .connections import connect
from .engine import Engine
from .failures import Failures
from .locks import Locks
from .on_error import SharedAlarm
from .runs import Runs

SPARE = 10  # greenlets beyond one for each task: for runs that find that their task is still running
RETRY = 1.0  # seconds before the engine is tried again
HAND_BACK = 0.2  # seconds for which a message is kept that another runner should take
AT_LAST = 5.0  # seconds that Celery gets to say goodbye to the engine

log = logging.getLogger(__name__)
OnError = Callable[..., Any] | None


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Comes back soon, and leaves it to the watch to say that the engine is away."""

    def ensure_connected(self, conn: Any) -> Any:
        return conn.ensure_connection(None, None, 1, 1, 3, callback=celery.worker.state.maybe_shutdown)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        gevent.sleep(RETRY)

    on_connection_error_before_connected = on_connection_error_after_connected

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """It is for a runner of another release, while there is time."""
        is_late = _is_late(message.headers.get('expires'))
        if is_late:
            name = message.headers.get('task')
            log.warning('Task %s: skipped, this runner has none of that name: is it of another version?', name)
        pause = 0.0 if is_late else HAND_BACK
        gevent.spawn_later(pause, message.reject_log_error, log, self.connection_errors, requeue=not is_late)


def make(app: Celery, found: Product, tasks: Sequence[Task], on_error: OnError, shared: Engine) -> WorkController:
    """A worker to start; it runs until `stop`."""
    for name in ('celery', 'kombu'):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', module=r'celery\.')
    gevent.get_hub().NOT_ERROR += (KombuError, RedisError, OSError)  # of remote control, which starts again with the connection
    signals.setup_logging.connect(_leave_logging, weak=False)
    signals.task_revoked.connect(_tell_late, weak=False)
    store, name = connect(shared.store), prefix(found.name)
    run = partial(run_once, on_error=on_error, alarm=SharedAlarm(store, name))
    runs = Runs(Locks(partial(connect, shared.store), name), Failures(store, name), run)
    for task in tasks:
        app.task(_call(runs, task), name=f'{found.name}.{task.name}', shared=False)
    return WorkController(
        app=app, hostname=node_name(found.name, 'runner'), pool_cls='gevent', consumer_cls=Consumer, concurrency=len(tasks) + SPARE,
        ready_callback=lambda _: log.info('Ready to run tasks'), without_gossip=True, without_mingle=True, without_heartbeat=True)


def stop(worker: WorkController) -> None:
    """No new runs; those that are running get some time. Returns when that is over, if the process is still there."""
    celery.worker.state.should_stop = 0
    gevent.sleep(GRACEFUL_TIMEOUT)
    log.warning('Tasks are still running after %g s, and are ended', GRACEFUL_TIMEOUT)
    if worker.pool:
        worker.pool._pool.kill(timeout=1)
    gevent.sleep(AT_LAST)


def _call(runs: Runs, task: Task) -> Callable[[], None]:
    def call() -> None:
        runs.start(task)
    return call


def _is_late(expires: str | None) -> bool:
    """Of a message of ours, which always says until when it may run."""
    return expires is None or datetime.fromisoformat(expires).timestamp() < time.time()


def _leave_logging(**_: Any) -> None:
    """Celery sets up no logging where somebody listens to this."""


def _tell_late(sender: Any = None, expired: bool = False, **_: Any) -> None:
    if expired:
        log.warning('Task %s: skipped, no runner took it in time.', str(sender.name).partition('.')[2])
