"""A client's socket under TLS: the same, after a handshake.

What it reads is what the socket has: OpenSSL takes one record at a time, and none is longer than what is asked for.
"""
from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from socket import SocketType
from typing import Any

from gevent.socket import socket as GeventSocket  # noqa: N812
from gevent.socket import wait_read, wait_write

from ..api.application import ClientLeft
from .transport import CHUNK, Transport, Wait

WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsTransport(Transport):
    """From the handshake to close_notify."""

    __slots__ = ('_context', '_is_ready', '_tls')
    is_secure = True

    def __init__(self, client: SocketType, peer: Any, context: ssl.SSLContext) -> None:
        super().__init__(client, peer)
        self._context = context
        self._tls: ssl.SSLSocket | None = None  # while what is sent goes through it
        self._is_ready = False  # the handshake is over

    def read(self) -> bytes | None:
        try:
            if not self._is_ready:
                self._shake_hands()
            return self.socket.recv(CHUNK)
        except WAITS:
            return None
        except OSError:
            return b''

    def _shake_hands(self) -> None:
        """As far as that goes with what has come. Raises OSError."""
        if not isinstance(self.socket, ssl.SSLSocket):
            plain = GeventSocket(fileno=self.socket.detach())
            plain.setblocking(False)
            self.socket = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.socket.do_handshake()
        self._tls = self.socket
        self._is_ready = True

    def write(self, data: bytes | memoryview) -> tuple[int, Wait]:
        try:
            return self.socket.send(data), wait_write
        except ssl.SSLWantReadError:  # for keys that the client wants to be new
            return 0, wait_read
        except (ssl.SSLWantWriteError, BlockingIOError):
            return 0, wait_write
        except OSError:
            raise ClientLeft from None

    def end_sending(self) -> None:
        """With close_notify; what the client sends from now on is not decrypted any more."""
        self._notify()
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._notify()
        self.socket.close()

    def _notify(self) -> None:
        tls, self._tls = self._tls, None
        if tls is not None:
            with suppress(OSError, ValueError):  # the client's own close_notify is not waited for
                tls.unwrap()
