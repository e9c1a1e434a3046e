"""A listening socket and the connections that come of it: accept, count, expire, stop.

Descriptors are bounded: near the limit the connections that are idle longest make room, and where there are none,
nothing is accepted for a moment. Neither spins nor floods the log.
"""
from __future__ import annotations

import logging
import resource
import ssl
import time
from _socket import socket as Socket  # noqa: N812
from email.utils import formatdate
from socket import AF_INET, AF_INET6, SOCK_STREAM
from socket import socket as AnySocket  # noqa: N812
from typing import Any

import gevent
from gevent.hub import get_hub

from ..api.application import Application, Environ
from . import proxies
from .connection import Connection, Settings
from .message import Message
from .tls import TlsConnection

BATCH = 64  # connections accepted before others get their turn
SPARE = 32  # descriptors left for whatever else the process opens
PAUSE = 0.2  # seconds without accepting when no more can be had
SWEEP = 1.0  # seconds between looks for connections that have expired
LATE = 0.05  # seconds for a request that is under way when it is time to stop
QUIET = 60.0  # seconds between two warnings of the same

log = logging.getLogger(__name__)


class Acceptor:
    """Accepts and keeps connections to `app` from `start()` to `stop()`."""

    def __init__(self, listener: AnySocket, app: Application, settings: Settings, *, max_connections: int = 0, batch: int = BATCH,
                 tls: ssl.SSLContext | None = None) -> None:
        self.app = app
        self.settings = settings
        self.is_stopping = False
        self.answered = 0  # requests
        self.looks = 0  # for clients
        self._tick()
        self.connections: set[Connection] = set()
        self._listener = listener
        self._name = listener.getsockname()
        self._limit = max_connections or resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE
        self._batch = batch
        self._tls = tls
        self._warned = -QUIET
        self._loop = get_hub().loop
        self._watcher = self._loop.io(listener.fileno(), 1)
        self._timer = self._loop.timer(SWEEP, SWEEP)

    def start(self) -> None:
        self._listener.setblocking(False)
        self._watcher.start(self._accept)
        self._timer.start(self._sweep)

    @property
    def descriptor(self) -> int:
        return self._listener.fileno()

    @property
    def is_watching(self) -> bool:
        """Whether it is told of clients that come; not in a pause."""
        return bool(self._watcher.active)  # type: ignore[attr-defined]

    def _accept(self) -> None:
        self.looks += 1
        for number in range(self._batch):
            if len(self.connections) >= self._limit:
                if number:
                    return  # whether there is another one to make room for, the next event tells
                if not self._make_room():
                    self._pause('all connections are busy')
                    return
            try:
                descriptor, peer = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if not self._make_room():
                    self._pause(str(error))
                return
            self._welcome(descriptor, peer)

    def _welcome(self, descriptor: int, peer: Any) -> None:
        client = Socket(self._listener.family, SOCK_STREAM, 0, fileno=descriptor)
        client.setblocking(False)
        self.connections.add(TlsConnection(self, client, peer, self._tls) if self._tls else Connection(self, client, peer))

    def welcome_own(self, client: AnySocket) -> None:
        """A call of this process to itself, as if it were accepted."""
        self._welcome(client.detach(), '')

    def _make_room(self) -> bool:
        """Close some of those that are idle longest. Returns whether one was."""
        before = len(self.connections)
        idle = sorted((connection for connection in self.connections if connection.is_idle), key=lambda connection: connection.idle_since)
        for connection in idle[:max(1, len(idle) // 16)]:
            connection.close_idle()
        return len(self.connections) < before

    def _pause(self, why: str) -> None:
        if self.is_stopping:
            return
        self._watcher.stop()
        gevent.spawn_later(PAUSE, self._resume)
        if time.monotonic() - self._warned > QUIET:
            self._warned = time.monotonic()
            log.warning('Accepting is paused, with %d connections: %s', len(self.connections), why)

    def _resume(self) -> None:
        if not self.is_stopping:
            self._watcher.start(self._accept)

    def _tick(self) -> None:
        self.now = time.monotonic()
        self.date = formatdate(usegmt=True).encode()
        self.ok = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %b\r\nContent-Length: ' % self.date

    def _sweep(self) -> None:
        self._tick()
        for connection in [connection for connection in self.connections if connection.deadline < self.now]:
            connection.expire()

    def stop(self, seconds: float) -> bool:
        """Accept no more, close what is idle, and wait for the rest. Returns whether all had the time to end; those that had not are cut."""
        self.is_stopping = True
        self._watcher.stop()
        self._accept()  # what was promised by the kernel already
        self._watcher.close()
        self._listener.close()
        gevent.sleep(LATE)
        for connection in [connection for connection in self.connections if not connection.is_answering]:
            connection.close_idle()
        if self._wait(seconds):
            return True
        for connection in self.connections:
            connection.cut(gevent.GreenletExit('the server stops'))
        self._wait(1.0)
        return False

    def _wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.connections and time.monotonic() < end:
            gevent.sleep(0.01)
        self._timer.close()
        return not self.connections

    # What connections ask for

    def forget(self, connection: Connection) -> None:
        self.connections.discard(connection)

    def origin_of(self, connection: Connection, message: Message) -> Environ:
        origin = {'wsgi.url_scheme': 'https' if self.is_https(connection, message) else 'http'}
        if self._listener.family in (AF_INET, AF_INET6):
            name, peer = connection.socket.getsockname(), connection.peer
            return {**origin, 'SERVER_NAME': name[0], 'SERVER_PORT': str(name[1]), 'REMOTE_ADDR': peer[0], 'REMOTE_PORT': str(peer[1])}
        return {**origin, 'SERVER_NAME': str(self._name), 'SERVER_PORT': '', 'REMOTE_ADDR': '', 'REMOTE_PORT': ''}

    def is_https(self, connection: Connection, message: Message) -> bool:
        """Whether it is known that the client speaks HTTPS, to us or to a trusted proxy."""
        peer = proxies.address_of(connection.peer)
        return self._tls is not None or proxies.is_https(message, peer, self.settings.trusted)

    @property
    def answering(self) -> set[Message]:
        """The requests that are being answered."""
        return {message for connection in self.connections if (message := connection.answering)}

    @property
    def running(self) -> Message | None:
        """The request that this very greenlet is answering."""
        return next((connection.running for connection in self.connections if connection.running), None)
