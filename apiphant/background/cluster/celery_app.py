"""The Celery app of a product, with the settings that were found to matter."""
from __future__ import annotations

import os
import socket
from typing import Any

from celery import Celery

from .connections import broker_tls_of, broker_url_of, connect, transport_options_of
from .engine import Engine

BEAT_LOCK = 5  # seconds for which a scheduler that was killed keeps the others waiting
BEAT_LOOP = 1  # seconds between two looks at the schedule, and between two attempts at the lock


SETTINGS: dict[str, Any] = {
    'beat_enable_remote_control': True,
    'beat_max_loop_interval': BEAT_LOOP,
    'broker_channel_error_retry': True,  # or a redis that has become a replica ends the worker
    'broker_connection_max_retries': None,
    'broker_connection_retry_on_startup': True,
    'enable_utc': True,
    'redbeat_lock_timeout': BEAT_LOCK,
    'redbeat_redis_options': {},
    'result_expires': None,  # or the scheduler adds a task of its own
    'task_ignore_result': True,
    'task_publish_retry': False,  # a message whose answer was lost would be sent twice
    'timezone': 'UTC',
    'worker_cancel_long_running_tasks_on_connection_loss': True,  # acks_late only, but unset it is a warning
    'worker_enable_prefetch_count_reduction': False,
    'worker_hijack_root_logger': False,
    'worker_prefetch_multiplier': 1,
    'worker_redirect_stdouts': False,
}


def make_app(engine: Engine, product: str) -> Celery:
    """Queue, schedule and remote control have the product's name: products may share an engine."""
    app = Celery(prefix(product))
    app.set_default()  # in all greenlets
    app.redbeat_redis = connect(engine.store, decode_responses=True)
    app.conf.update(SETTINGS, **_of_engine(engine), **_of_product(product))
    return app


def _of_engine(engine: Engine) -> dict[str, Any]:
    return {
        'broker_transport_options': transport_options_of(engine.broker),
        'broker_url': broker_url_of(engine.broker),
        'broker_use_ssl': broker_tls_of(engine.broker),
        'redbeat_redis_url': str(engine.store),
    }


def _of_product(product: str) -> dict[str, Any]:
    name = prefix(product)
    return {
        'control_exchange': name,
        'event_exchange': f'{name}.events',
        'redbeat_key_prefix': f'{name}:beat:',
        'task_default_queue': name,
    }


def prefix(product: str) -> str:
    """How all names begin that the product has on the engine."""
    return f'apiphant.{product}'


def node_name(product: str, role: str) -> str:
    """The name that `celery inspect` shows."""
    return f'{product}-{role}-{os.getpid()}@{socket.gethostname()}'
