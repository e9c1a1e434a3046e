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
from ..run import TaskCaller
from ..stop import GRACEFUL_TIMEOUT
from ..tasks import Task
from .celery_app import node_name, prefix
from .connections import connect
from .engine import Engine
from .failures import Failures
from .locks import Locks
from .runs import GuardedRuns

SPARE = 10  # greenlets beyond one for each task: for runs that find that their task is still running
RETRY = 1.0  # seconds before the engine is tried again
HAND_BACK = 0.2  # seconds for which a message is kept that another runner should take
AT_LAST = 5.0  # seconds that Celery gets to say goodbye to the engine

log = logging.getLogger(__name__)


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Comes back soon. Says nothing when the engine is away: the watch does."""

    def ensure_connected(self, conn: Any) -> Any:
        return conn.ensure_connection(None, None, 1, 1, 3, callback=celery.worker.state.maybe_shutdown)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        gevent.sleep(RETRY)

    on_connection_error_before_connected = on_connection_error_after_connected

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Hand it back for a runner of another release, as long as there is time."""
        is_late = _is_late(message.headers.get('expires'))
        if is_late:
            told = 'Task %s: skipped, this runner has none of that name: is it of another version?'
            log.warning(told, message.headers.get('task'))
        pause = 0.0 if is_late else HAND_BACK
        gevent.spawn_later(pause, message.reject_log_error, log, self.connection_errors, requeue=not is_late)


class Worker:
    """Celery's worker with the tasks of a product; `caller` calls them."""

    def __init__(
        self, app: Celery, product: Product, tasks: Sequence[Task], caller: TaskCaller, shared: Engine,
    ) -> None:
        _set_up_logs()
        name = prefix(product.name)
        locks, failures = Locks(partial(connect, shared.store), name), Failures(connect(shared.store), name)
        self._runs = GuardedRuns(locks, failures, caller.run_once)
        for task in tasks:
            app.task(self._call_of(task), name=f'{product.name}.{task.name}', shared=False)
        self._controller = _make_controller(app, product, len(tasks))

    def run(self) -> None:
        """Run tasks until `stop`."""
        self._controller.start()

    def stop(self) -> None:
        """Start no new runs, and give those that are running some time.

        Returns when that is over, if the process is still there.
        """
        celery.worker.state.should_stop = 0
        gevent.sleep(GRACEFUL_TIMEOUT)
        self._runs.end()
        gevent.sleep(AT_LAST)

    def _call_of(self, task: Task) -> Callable[[], None]:
        """A function of its own for each task, as Celery wants it."""
        def call() -> None:
            self._runs.start(task)
        return call


def _make_controller(app: Celery, product: Product, number: int) -> WorkController:
    return WorkController(
        app=app,
        hostname=node_name(product.name, 'runner'),
        pool_cls='gevent',
        consumer_cls=Consumer,
        concurrency=number + SPARE,
        ready_callback=lambda _: log.info('Ready to run tasks'),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )


def _set_up_logs() -> None:
    for name in ('celery', 'kombu'):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', module=r'celery\.')
    # Remote control raises these and starts again with the connection. The attribute is documented by gevent.
    gevent.get_hub().NOT_ERROR += (KombuError, RedisError, OSError)
    signals.setup_logging.connect(_leave_logging, weak=False)
    signals.task_revoked.connect(_tell_late, weak=False)


def _is_late(expires: str | None) -> bool:
    """Whether the time is over in which a message may run; all of ours say until when."""
    return expires is None or datetime.fromisoformat(expires).timestamp() < time.time()


def _leave_logging(**_: Any) -> None:
    """Celery sets up no logging if this is connected."""


def _tell_late(sender: Any = None, expired: bool = False, **_: Any) -> None:
    if expired:
        log.warning('Task %s: skipped, no runner took it in time.', str(sender.name).partition('.')[2])
