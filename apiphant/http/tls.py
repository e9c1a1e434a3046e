"""A connection under TLS: the same, after a handshake.

What it reads is what the socket has: OpenSSL takes one record at a time, and none is longer than what is asked for.
"""
from __future__ import annotations

import ssl
from _socket import socket as Socket  # noqa: N812
from typing import Any

from gevent.socket import socket as GeventSocket  # noqa: N812

from .connection import WAITS, Connection, Keeper


class TlsConnection(Connection):
    """From the handshake to close."""

    __slots__ = ('_context', '_is_secure', '_tls')

    def __init__(self, keeper: Keeper, client: Socket, peer: Any, context: ssl.SSLContext) -> None:
        self._context = context
        self._tls: ssl.SSLSocket | None = None
        self._is_secure = False  # the handshake is over
        super().__init__(keeper, client, peer)

    def _read(self) -> bool:
        return super()._read() if self._is_secure else self._shake_hands()

    def _shake_hands(self) -> bool:
        """As far as that goes with what has come."""
        try:
            self._tls = self._tls or self._wrap()
            self._tls.do_handshake()
            self._is_secure = True
        except WAITS:
            pass
        except OSError:
            self.close()
        return self._is_secure

    def _wrap(self) -> ssl.SSLSocket:
        plain = GeventSocket(fileno=self.socket.detach())
        plain.setblocking(False)
        self.socket = tls = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        return tls

    def _end_sending(self) -> None:
        """Not under TLS, where that is a message which the client may not expect."""
