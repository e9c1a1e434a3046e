"""The Celery app of a product, with the settings that were found to matter, and redis as the runner uses it itself."""
from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from .engine import Endpoint, Engine
from .product import ProductError

try:
    import redbeat  # noqa: F401  # its client is set here; said here if it is not installed
    import redis.sentinel
    from celery import Celery
    from kombu.connection import Connection
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ModuleNotFoundError as error:
    if error.name not in ('celery', 'redbeat', 'redis'):
        raise
    raise ProductError(f'--engine needs {error.name}, which is not installed: pip install "apiphant[cluster]"') from None

BEAT_LOCK = 5  # seconds for which a scheduler that was killed keeps the others waiting
BEAT_LOOP = 1  # seconds between two looks at the schedule, and between two attempts at the lock
PATIENCE = 5.0  # seconds that redis gets to answer
KEEP_ALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}
SOCKET: dict[str, Any] = {
    'socket_timeout': PATIENCE, 'socket_connect_timeout': PATIENCE, 'socket_keepalive': True, 'socket_keepalive_options': KEEP_ALIVE}
VERIFY = {'none': ssl.CERT_NONE, 'optional': ssl.CERT_OPTIONAL, 'required': ssl.CERT_REQUIRED}


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
        broker_transport_options=_transport_options(engine.broker),
        broker_url=_broker_url(engine.broker),
        broker_use_ssl=_broker_tls(engine.broker),
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


def connect(store: Endpoint, **more: Any) -> redis.Redis:
    """A client that connects when it is first used. A connection that was lost is opened anew once before that counts as an error."""
    options = {**SOCKET, **more, 'username': store.user, 'password': store.password, 'retry': Retry(NoBackoff(), 1)}
    if store.scheme == 'sentinel':
        sentinels: Any = redis.sentinel.Sentinel(list(store.hosts), **options)  # type: ignore[no-untyped-call]
        return cast(redis.Redis, sentinels.master_for(store.service, db=store.database))
    host, port = store.hosts[0]
    return redis.Redis(host, port, store.database, **options, **({'ssl': True, **_tls(store)} if store.is_secure else {}))


def _broker_url(broker: Endpoint) -> str:
    login = f'{broker.login}@' if broker.login else ''
    path = broker.path if broker.scheme.startswith('amqp') else str(broker.database)
    return ';'.join(f'{broker.scheme}://{login}{place}/{path}' for place in broker.places)


def _transport_options(broker: Endpoint) -> dict[str, Any]:
    if broker.scheme.startswith('amqp'):
        return {}
    return {**SOCKET, **({'master_name': broker.service} if broker.scheme == 'sentinel' else {})}


def _broker_tls(broker: Endpoint) -> dict[str, Any] | None:
    if not broker.is_secure:
        return None
    options = _tls(broker)
    return options if broker.scheme == 'rediss' else {name.removeprefix('ssl_'): value for name, value in options.items()}


def _tls(endpoint: Endpoint) -> dict[str, Any]:
    """What the query of the URL says; a server's certificate is verified if it does not say otherwise."""
    given = {name: value for name, value in endpoint.options if name.startswith('ssl_')}
    verify = VERIFY.get(given.get('ssl_cert_reqs', '').lower().removeprefix('cert_'), ssl.CERT_REQUIRED)
    more = {'ssl_check_hostname': verify is ssl.CERT_REQUIRED} if endpoint.scheme == 'rediss' else {}
    return {**given, 'ssl_cert_reqs': verify, **more}


def broker_check(broker: Endpoint) -> Callable[[], None]:
    """A call that raises where the broker of AMQP cannot be reached; it keeps a connection open."""
    connection: Any = Connection(_broker_url(broker), ssl=_broker_tls(broker) or False, connect_timeout=PATIENCE, heartbeat=PATIENCE * 2)  # type: ignore[no-untyped-call]

    def check() -> None:
        try:
            connection.connect()
            connection.heartbeat_check()
            connection.drain_events(timeout=0.01)
        except TimeoutError:
            pass  # nothing to say is good news
        except Exception:
            connection.close()
            raise
    return check
