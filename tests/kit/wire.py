"""A client that sends bytes as they are, and reads one answer at a time."""
from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.kit.processes import workers_of
from tests.kit.running import DEADLINE, Server

ESTABLISHED = '01'  # in /proc/net/tcp


class Answer(NamedTuple):
    status: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection to a server."""

    def __init__(self, server: Server, *sent: bytes) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.tls:
            self.socket = server.tls.wrap_socket(self.socket, server_hostname=server.host)
        self._buffer = b''
        for data in sent:
            self.send(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close it with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.socket.close()

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self._buffer += data
        return bool(data)

    def take(self, size: int) -> bytes:
        """So many bytes, or an AssertionError."""
        while len(self._buffer) < size:
            assert self._more(), f'the end came after {self._buffer!r}'
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            assert self._more(), f'the end came after {self._buffer!r}'
        return self.take(self._buffer.index(end) + len(end))

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        while self._more():
            pass
        return self.take(len(self._buffer))

    @property
    def is_held(self) -> bool:
        """Whether the server's end, of IPv4, is open as at first."""
        ours, theirs = (f':{end[1]:04X}' for end in (self.socket.getsockname(), self.socket.getpeername()))
        entries = [line.split() for line in Path('/proc/net/tcp').read_text().splitlines()]
        return any(
            entry[3] == ESTABLISHED and entry[1].endswith(theirs) and entry[2].endswith(ours) for entry in entries)

    def is_silent(self, seconds: float = 0.1) -> bool:
        """Nothing comes in that time, not even the end."""
        self.socket.settimeout(seconds)
        try:
            return not self._buffer and not self._more() and False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(DEADLINE)

    def answer(self, has_body: bool = True) -> Answer:
        """The next one; its body by Content-Length or chunks."""
        line, *lines = self.until(b'\r\n\r\n').decode('latin-1').split('\r\n')[:-2]
        pairs = [header.split(': ', 1) for header in lines]
        headers = dict(pairs)
        assert len(headers) == len(pairs), f'a header is there twice: {pairs}'
        body = b''
        names = {name.lower(): value for name, value in pairs}
        if has_body and 'transfer-encoding' in names:
            body = self._chunks()
        elif has_body:
            body = self.take(int(names.get('content-length', 0)))
        return Answer(line, headers, body)

    def _chunks(self) -> bytes:
        body = b''
        while chunk := self.chunk():
            body += chunk
        return body

    def chunk(self) -> bytes:
        data = self.take(int(self.until(b'\r\n'), 16))
        assert self.take(2) == b'\r\n'
        return data


def descriptors(server: Server) -> int:
    """How many a server's only worker has open."""
    return len(list(Path(f'/proc/{_worker(server)}/fd').iterdir()))


def memory(server: Server, kind: str = 'VmRSS') -> int:
    """Bytes of its only worker; VmHWM is the most it ever had."""
    lines = Path(f'/proc/{_worker(server)}/status').read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f'{kind}:')).split()[1])


def _worker(server: Server) -> int:
    return min(workers_of(server, 1))
