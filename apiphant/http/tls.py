"""A connection under TLS: the same, but a greenlet of its own reads, since what TLS has read is not what the socket has."""
from __future__ import annotations

import ssl
from _socket import socket as Socket  # noqa: N812
from typing import Any

import gevent
from gevent.socket import socket as GeventSocket  # noqa: N812

from ..api.application import ClientLeft
from .connection import HEAD_TIMEOUT, NEVER, Connection, Keeper
from .transport import CHUNK, SEND_TIMEOUT


class TlsConnection(Connection):
    """From the handshake to close."""

    __slots__ = ('_context', '_is_closed', '_tls')

    def __init__(self, keeper: Keeper, client: Socket, peer: Any, context: ssl.SSLContext) -> None:
        self._context = context
        self._is_closed = False
        super().__init__(keeper, client, peer)
        self._tls: ssl.SSLSocket | None = None
        gevent.spawn(self._read_all)

    def _resume(self) -> None:
        """There is always somebody reading."""

    def _read_all(self) -> None:
        try:
            plain = GeventSocket(fileno=self.socket.detach())
            with gevent.Timeout(HEAD_TIMEOUT, ClientLeft()):
                self._tls = self._context.wrap_socket(plain, server_side=True)
            self.socket = self._tls
            while not self._is_closed and (data := self._tls.recv(CHUNK)):
                self._take(data)
        except (OSError, ClientLeft):
            pass
        self.close()

    def _start(self) -> None:
        self.deadline = NEVER
        self._serve()

    def close_idle(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            super().close()

    def send(self, data: bytes) -> None:
        assert self._tls
        try:
            with gevent.Timeout(SEND_TIMEOUT, ClientLeft()):
                self._tls.sendall(data)
        except OSError:
            raise ClientLeft from None

    def _receive(self, seconds: float) -> bytes:
        assert self._tls
        try:
            with gevent.Timeout(seconds, ClientLeft()):
                return self._tls.recv(CHUNK)
        except OSError:
            raise ClientLeft from None

    def _end_sending(self) -> None:
        """Not under TLS, where that is a message which the client may not expect."""
