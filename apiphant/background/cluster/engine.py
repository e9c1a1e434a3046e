"""The engine that background tasks of many machines share: what its URL says. Pure; it knows nothing of Celery.

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
    rediss://...[?ssl_ca_certs=FILE&ssl_cert_reqs=none]
    sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/DB]
    amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST],redis://...

A redis carries the messages, the schedule and the locks; rediss is the same over TLS. With amqp (amqps: over TLS) the
messages go over AMQP, and the rest is in that redis.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...api.product import ProductError

PORTS = {'redis': 6379, 'rediss': 6379, 'sentinel': 26379, 'amqp': 5672, 'amqps': 5671}
STORES = ('redis', 'rediss', 'sentinel')
FORMS = (
    'redis://HOST:PORT/DB, rediss://..., sentinel://HOST:PORT,HOST:PORT/SERVICE/DB, '
    'or amqp://HOST:PORT/VHOST,redis://HOST:PORT/DB')


class BadEngine(ProductError):
    """The URL of the engine makes no sense; the text says why, and never holds its credentials."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server, or the sentinels of one. `login` is as the URL has it: user, colon, password."""
    scheme: str
    login: str
    hosts: tuple[tuple[str, int], ...]
    path: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """For a log: no credentials."""
        return f'{self.scheme}://{",".join(self.places)}/{self.path}'

    @property
    def places(self) -> list[str]:
        """Its hosts as a URL has them."""
        return [f'[{host}]:{port}' if ':' in host else f'{host}:{port}' for host, port in self.hosts]

    @property
    def user(self) -> str | None:
        return unquote(self.login.partition(':')[0]) or None

    @property
    def password(self) -> str | None:
        return unquote(self.login.partition(':')[2]) or None

    @property
    def service(self) -> str:
        """Of the sentinels: the name of what they watch."""
        return self.path.split('/')[0]

    @property
    def database(self) -> int:
        return int(self.path.split('/')[-1])

    @property
    def is_secure(self) -> bool:
        return self.scheme in ('rediss', 'amqps')

    @property
    def secrets(self) -> set[str]:
        raw = self.login.partition(':')[2]
        return {text for text in (raw, unquote(raw)) if text}


@dataclass(frozen=True, slots=True)
class Engine:
    """The `broker` carries the messages; the `store`, a redis, holds the schedule and the locks."""
    broker: Endpoint
    store: Endpoint

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self.broker,) if self.broker is self.store else (self.broker, self.store)

    @property
    def secrets(self) -> set[str]:
        return self.broker.secrets | self.store.secrets


def parse(text: str) -> Engine:
    """Raises BadEngine."""
    endpoints = [_endpoint(part) for part in re.split(r',(?=[a-z]+://)', text.strip())]
    store = endpoints[-1]
    if store.scheme not in STORES:
        remedy = f'{store},redis://HOST:PORT/DB'
        raise BadEngine(f'the engine {store} needs a redis for the schedule and the locks: {remedy}')
    if len(endpoints) == 1:
        return Engine(store, store)
    if len(endpoints) > 2 or endpoints[0].scheme in STORES:
        raise BadEngine(f'an engine is {FORMS}')
    return Engine(*endpoints)


def _endpoint(text: str) -> Endpoint:
    try:
        parts = urlsplit(text)
        if parts.scheme not in PORTS:
            raise BadEngine(f'an engine is {FORMS}')
        login, _, places = parts.netloc.rpartition('@')
        hosts = tuple(_host(place, PORTS[parts.scheme]) for place in places.split(','))
        _check_number(hosts, parts.scheme)
        return Endpoint(parts.scheme, login, hosts, _path(parts), tuple(parse_qsl(parts.query)))
    except ValueError:
        raise BadEngine(f'the engine has a host or a port that makes no sense; it is {FORMS}') from None


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f'//{text}')
    return parts.hostname or '127.0.0.1', parts.port or port


def _check_number(hosts: tuple[tuple[str, int], ...], scheme: str) -> None:
    if len(hosts) > 1 and scheme != 'sentinel':
        raise BadEngine(f'only sentinel:// takes more than one host; an engine is {FORMS}')


def _path(parts: SplitResult) -> str:
    """Of a redis the database, behind the service of its sentinels, if it has some."""
    path = parts.path.strip('/')
    if parts.scheme.startswith('amqp'):
        return path
    if parts.scheme == 'sentinel' and '/' not in path:
        return f'{path or "mymaster"}/0'
    service, _, database = path.rpartition('/')
    has_service = bool(service) and '/' not in service
    is_number = (database or '0').isdecimal()
    if not is_number or '/' in service or has_service != (parts.scheme == 'sentinel'):
        raise BadEngine(f'/{path} is no database of a redis; an engine is {FORMS}')
    return f'{service}/{database or 0}'.lstrip('/')
