"""The Celery app of a product, with the settings that were found to matter, and redis as the runner uses it itself."""
from __future__ import annotations

import os
import socket

from celery import Celery

from .connections import broker_tls_of, broker_url_of, connect, transport_options_of
from .engine import Engine

BEAT_LOCK = 5  # seconds for which a scheduler that was killed keeps the others waiting
BEAT_LOOP = 1  # seconds between two looks at the schedule, and between two attempts at the lock


def make_app(engine: Engine, product: str) -> Celery:
    """Queue, schedule and remote control have the product's name: products may share an engine."""
    app = Celery(prefix(product))
    app.set_default()  # in all greenlets
    app.redbeat_redis = connect(engine.store, decode_responses=True)
    app.conf.update(
        beat_enable_remote_control=True,
        beat_max_loop_interval=BEAT_LOOP,
        broker_channel_error_retry=True,  # or a redis that has become a replica ends the worker
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_transport_options=transport_options_of(engine.broker),
        broker_url=broker_url_of(engine.broker),
        broker_use_ssl=broker_tls_of(engine.broker),
        control_exchange=prefix(product),
        enable_utc=True,
        event_exchange=f'{prefix(product)}.events',
        redbeat_key_prefix=f'{prefix(product)}:beat:',
        redbeat_lock_timeout=BEAT_LOCK,
        redbeat_redis_options={},
        redbeat_redis_url=str(engine.store),
        result_expires=None,  # or the scheduler adds a task of its own
        task_default_queue=prefix(product),
        task_ignore_result=True,
        task_publish_retry=False,  # a message whose answer was lost would be sent twice
        timezone='UTC',
        worker_cancel_long_running_tasks_on_connection_loss=True,  # concerns acks_late only, and is a warning where it is not set
        worker_enable_prefetch_count_reduction=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
    )
    return app


def prefix(product: str) -> str:
    """Of all that the product has on the engine."""
    return f'apiphant.{product}'


def node_name(product: str, role: str) -> str:
    """As `celery inspect` shows it."""
    return f'{product}-{role}-{os.getpid()}@{socket.gethostname()}'
