"""A listening socket and the connections that come of it: accept, count, expire, stop.

Descriptors are bounded: near the limit the connections that are idle longest make room, and where there are none,
nothing is accepted for a moment. Neither spins nor floods the log.
"""
from __future__ import annotations

import logging
import resource
import socket
import ssl
import time
from socket import SocketType
from typing import Any

import gevent
from gevent.hub import get_hub

from ..api.application import Application
from .connection import Connection
from .message import Message
from .settings import Settings
from .site import Site
from .tls import TlsTransport
from .transport import Transport, notice_silence

BATCH = 64  # connections accepted before others get their turn
SPARE = 32  # descriptors left for whatever else the process opens
PAUSE = 0.2  # seconds without accepting when no more can be had
SWEEP = 1.0  # seconds between looks for connections that have expired
LATE = 0.05  # seconds for a request that is under way when it is time to stop
QUIET = 60.0  # seconds between two warnings of the same

log = logging.getLogger(__name__)


class Acceptor:
    """Accepts and keeps connections to `app` from `start()` to `stop()`."""

    def __init__(
        self, listener: socket.socket, app: Application, settings: Settings, *,
        max_connections: int = 0, batch: int = BATCH, tls: ssl.SSLContext | None = None,
    ) -> None:
        self.connections: set[Connection] = set()
        self.looks = 0  # for clients
        self._site = Site(app, settings, listener.family, listener.getsockname())
        self._listener = listener
        self._limit = max_connections or resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE
        self._batch = batch
        self._tls = tls
        self._warned = -QUIET
        self._watcher = get_hub().loop.io(listener.fileno(), 1)
        self._timer = get_hub().loop.timer(SWEEP, SWEEP)

    def start(self) -> None:
        self._listener.setblocking(False)
        notice_silence(self._listener, self._site.settings.silence)
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
                accepted, peer = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if not self._make_room():
                    self._pause(str(error))
                return
            self._welcome(accepted, peer)

    def _welcome(self, accepted: socket.socket, peer: Any) -> None:
        client = SocketType(accepted.family, socket.SOCK_STREAM, 0, fileno=accepted.detach())
        client.setblocking(False)
        transport = TlsTransport(client, peer, self._tls) if self._tls else Transport(client, peer)
        self.connections.add(Connection(self._site, transport, self.connections.discard))

    def welcome_own(self, client: socket.socket) -> None:
        """A call of this process to itself, as if it were accepted."""
        self._welcome(client, '')

    def _make_room(self) -> bool:
        """Close some of those that are idle longest. Returns whether one was."""
        before = len(self.connections)
        idle = [connection for connection in self.connections if connection.is_idle]
        idle.sort(key=lambda connection: connection.idle_since)
        for connection in idle[:max(1, len(idle) // 16)]:
            connection.close_idle()
        return len(self.connections) < before

    def _pause(self, why: str) -> None:
        if self._site.is_stopping:
            return
        self._watcher.stop()
        gevent.spawn_later(PAUSE, self._resume)
        if time.monotonic() - self._warned > QUIET:
            self._warned = time.monotonic()
            log.warning('Accepting is paused, with %d connections: %s', len(self.connections), why)

    def _resume(self) -> None:
        if not self._site.is_stopping:
            self._watcher.start(self._accept)

    def _sweep(self) -> None:
        clock = self._site.clock
        clock.tick()
        for connection in [connection for connection in self.connections if connection.deadline < clock.now]:
            connection.expire()

    def stop(self, seconds: float) -> bool:
        """Accept no more, close what is idle, wait for the rest. False if not all ended in time: they are cut."""
        self._site.is_stopping = True
        self._watcher.stop()
        self._accept()  # what was promised by the kernel already
        self._watcher.close()
        self._listener.close()
        gevent.sleep(LATE)
        for connection in self.connections:
            get_hub().loop.run_callback(connection.close_idle)
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
        return not self.connections

    @property
    def answered(self) -> int:
        """Requests, since the start."""
        return self._site.answered

    @property
    def answering(self) -> set[Message]:
        """The requests that are being answered."""
        return {connection.answering for connection in self.connections if connection.answering}

    @property
    def running(self) -> Message | None:
        """The request that this very greenlet is answering."""
        return next((connection.running for connection in self.connections if connection.running), None)
