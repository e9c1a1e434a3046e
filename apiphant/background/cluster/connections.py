"""Connections to redis and to the broker, from an engine URL."""
from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import redis.sentinel
from kombu.connection import Connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from .engine import Endpoint

PATIENCE = 5.0  # seconds that redis gets to answer
KEEP_ALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}
SOCKET: dict[str, Any] = {
    'socket_timeout': PATIENCE,
    'socket_connect_timeout': PATIENCE,
    'socket_keepalive': True,
    'socket_keepalive_options': KEEP_ALIVE,
}
VERIFY = {'none': ssl.CERT_NONE, 'optional': ssl.CERT_OPTIONAL, 'required': ssl.CERT_REQUIRED}


def connect(store: Endpoint, **more: Any) -> redis.Redis:
    """A client that connects when it is first used. It opens a lost connection once more before it raises."""
    options = {**SOCKET, **more, 'username': store.user, 'password': store.password, 'retry': Retry(NoBackoff(), 1)}
    if store.scheme == 'sentinel':
        sentinels: Any = redis.sentinel.Sentinel(list(store.hosts), **options)  # type: ignore[no-untyped-call]
        return cast(redis.Redis, sentinels.master_for(store.service, db=store.database))
    if store.is_secure:
        options |= {'ssl': True, **_tls(store)}
    host, port = store.hosts[0]
    return redis.Redis(host, port, store.database, **options)


def broker_url_of(broker: Endpoint) -> str:
    login = f'{broker.login}@' if broker.login else ''
    path = broker.path if broker.scheme.startswith('amqp') else str(broker.database)
    return ';'.join(f'{broker.scheme}://{login}{place}/{path}' for place in broker.places)


def transport_options_of(broker: Endpoint) -> dict[str, Any]:
    if broker.scheme.startswith('amqp'):
        return {}
    if broker.scheme == 'sentinel':
        return {**SOCKET, 'master_name': broker.service}
    return SOCKET.copy()


def broker_tls_of(broker: Endpoint) -> dict[str, Any] | None:
    if not broker.is_secure:
        return None
    options = _tls(broker)
    if broker.scheme == 'rediss':
        return options
    return {name.removeprefix('ssl_'): value for name, value in options.items()}


def _tls(endpoint: Endpoint) -> dict[str, Any]:
    """What the query of the URL says. The server's certificate is verified if the query does not say otherwise."""
    given = {name: value for name, value in endpoint.options if name.startswith('ssl_')}
    verify = VERIFY.get(given.get('ssl_cert_reqs', '').lower().removeprefix('cert_'), ssl.CERT_REQUIRED)
    options = {**given, 'ssl_cert_reqs': verify}
    if endpoint.scheme == 'rediss':
        options['ssl_check_hostname'] = verify is ssl.CERT_REQUIRED
    return options


def broker_check(broker: Endpoint) -> Callable[[], None]:
    """A call that raises where the broker of AMQP cannot be reached; it keeps a connection open."""
    tls = broker_tls_of(broker) or False
    connection: Any = Connection(  # type: ignore[no-untyped-call]
        broker_url_of(broker), ssl=tls, connect_timeout=PATIENCE, heartbeat=PATIENCE * 2)
    return partial(_check_broker, connection)


def _check_broker(connection: Any) -> None:
    try:
        connection.connect()
        connection.heartbeat_check()
        connection.drain_events(timeout=0.01)
    except TimeoutError:
        pass  # nothing to say is good news
    except Exception:
        connection.close()
        raise
