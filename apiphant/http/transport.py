"""Bytes to and from a client. Every limit on how long a greenlet waits for that lives here.

`read` is for the hub and never waits; what waits is for greenlets, and raises ClientLeft when it takes too long.
"""
from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl
from socket import SocketType  # half the weight of the class around it, and it never waits
from termios import TIOCOUTQ
from typing import Any

from gevent.socket import wait_read, wait_write

from ..api.application import ClientLeft

LOOKS = 4  # for progress, in the time that a client has
CHUNK = 64 * 1024  # bytes read at once
ACKED_AT = 120  # where tcpi_bytes_acked is in Linux's struct tcp_info

Wait = Callable[..., None]


class Transport:
    """A client's socket."""

    __slots__ = ('peer', 'socket')
    is_secure = False

    def __init__(self, client: SocketType, peer: Any) -> None:
        self.socket = client
        self.peer = peer

    def read(self) -> bytes | None:
        """What has come; None if nothing has, b'' at the end."""
        try:
            return self.socket.recv(CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b''

    def write(self, data: bytes | memoryview) -> tuple[int, Wait]:
        """As many bytes as go out at once, and what to wait for before the next. Raises ClientLeft."""
        try:
            return self.socket.send(data), wait_write
        except BlockingIOError:
            return 0, wait_write
        except OSError:
            raise ClientLeft from None

    def send(self, data: bytes, seconds: float) -> None:
        """All of it. Raises ClientLeft after so many seconds in which nothing went out."""
        sent, wait = self.write(data)
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], wait, seconds)

    def _send_rest(self, rest: memoryview, wait: Wait, seconds: float) -> None:
        end, taken = time.monotonic() + seconds, self._taken()
        while rest:
            self._wait(wait, min(end, time.monotonic() + seconds / LOOKS))
            sent, wait = self.write(rest)
            rest = rest[sent:]
            before, taken = taken, self._taken()
            if sent or taken > before:
                end = time.monotonic() + seconds
            elif time.monotonic() >= end:
                raise ClientLeft

    def _taken(self) -> int:
        """Grows with what the client's side has taken: a slow one takes some long before there is room for more."""
        try:
            info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKED_AT + 8)
            return int.from_bytes(info[ACKED_AT:], sys.byteorder)
        except OSError:  # of a unix socket
            return -self.left()

    def left(self) -> int:
        """Bytes that the client's side has not taken yet."""
        return int.from_bytes(ioctl(self.socket.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)

    def receive(self, seconds: float) -> bytes:
        """What comes next; b'' at the end. Raises ClientLeft after so many seconds."""
        end = time.monotonic() + seconds
        while (data := self.read()) is None:
            if time.monotonic() >= end:
                raise ClientLeft
            self._wait(wait_read, end)
        return data

    def _wait(self, wait: Wait, end: float) -> None:
        """Until then at most."""
        with suppress(TimeoutError):
            wait(self.socket.fileno(), max(end - time.monotonic(), 0.001), TimeoutError())

    def end_sending(self) -> None:
        """Tell the client that nothing more comes. Raises OSError."""
        self.socket.shutdown(socket.SHUT_WR)

    def has_failed(self) -> bool:
        """Whether the client is known to be gone."""
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def close(self) -> None:
        self.socket.close()


def notice_silence(listener: socket.socket, seconds: int) -> None:
    """The kernel asks clients that say nothing for so long whether they are there. Accepted sockets inherit this."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with suppress(OSError):  # of a unix socket
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 3))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
