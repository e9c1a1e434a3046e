"""What a raw handler is given: the connection while its call lasts, the body as a stream, and PEP 3333's environ.

Knows of the connection only what `Client` says.
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from ..api.application import ClientLeft
from ..api.call import Host
from ..api.environ import Environ
from ..validation import ApiError
from .message import Message


class Client(Host, Protocol):
    """What a connection is to a raw handler."""

    @property
    def is_stopping(self) -> bool: ...

    def origin(self, message: Message) -> Environ:
        """REMOTE_ADDR, REMOTE_PORT, SERVER_NAME, SERVER_PORT, wsgi.url_scheme."""

    def send(self, data: bytes) -> None: ...

    def receive_body(self, message: Message, started: float) -> None: ...

    def date(self) -> str: ...


class Call:
    """The connection as a raw handler has it: as long as its call lasts, and one greenlet at a time."""

    def __init__(self, client: Client) -> None:
        self._client: Client | None = client
        self.is_busy = False

    def end(self) -> None:
        """What is left of the handler can take and send nothing more. Raises ClientLeft if it is just doing so."""
        self._client = None
        if self.is_busy:
            raise ClientLeft

    def send(self, data: bytes) -> None:
        self._alone(lambda client: client.send(data))

    def receive_body(self, message: Message, started: float) -> None:
        self._alone(lambda client: client.receive_body(message, started))

    def _alone(self, work: Callable[[Client], None]) -> None:
        if self._client is None:
            raise ClientLeft
        if self.is_busy:
            raise RuntimeError('another greenlet of this call is reading or writing')
        self.is_busy = True
        try:
            work(self._client)
        finally:
            self.is_busy = False


class Input:
    """`wsgi.input`: takes the body from the connection as it is read, and holds no more of it than a read asked for."""

    def __init__(self, call: Call, message: Message) -> None:
        self._call = call
        self._message = message
        self._started = time.monotonic()
        self._buffer = bytearray()

    def _more(self) -> bool:
        """False at the end. Raises ClientLeft, and ApiError where the rest is refused."""
        message = self._message
        while not message.body and not message.is_complete:
            if message.refusal:
                raise ApiError(message.refusal.status)
            self._call.receive_body(message, self._started)
        for part in message.body:
            self._buffer += part
        found = bool(message.body)
        message.body.clear()
        return found

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read(self, size: int | None = -1) -> bytes:
        wanted = sys.maxsize if size is None or size < 0 else size
        while len(self._buffer) < wanted and self._more():
            pass
        return self._take(wanted)

    def readline(self, size: int | None = -1) -> bytes:
        wanted = sys.maxsize if size is None or size < 0 else size
        searched = 0
        while (end := self._buffer.find(b'\n', searched)) < 0 and len(self._buffer) < wanted:
            searched = len(self._buffer)
            if not self._more():
                break
        return self._take(min(wanted, end + 1 if end >= 0 else sys.maxsize))

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line


def environ_of(client: Client, call: Call, message: Message) -> Environ:
    """As PEP 3333 has it. Header names with an underscore are dropped: they would pass for those with a hyphen."""
    environ: Environ = {
        'REQUEST_METHOD': message.method,
        'SCRIPT_NAME': '',
        'PATH_INFO': unquote_to_bytes(message.path).decode('latin-1'),
        'RAW_URI': message.target,
        'QUERY_STRING': message.target.partition('?')[2],
        'SERVER_PROTOCOL': f'HTTP/{message.version}',
        'wsgi.version': (1, 0),
        'wsgi.input': Input(call, message),
        'wsgi.input_terminated': True,
        'wsgi.errors': sys.stderr,
        'wsgi.file_wrapper': FileWrapper,
        'wsgi.multithread': True,
        'wsgi.multiprocess': True,
        'wsgi.run_once': False,
    }
    for name, value in message.headers:
        if b'_' not in name:
            _add(environ, name.decode().upper().replace('-', '_'), value.decode('latin-1').strip(' \t'))
    if message.host:
        environ['HTTP_HOST'] = message.host.decode('latin-1')
    environ.update(client.origin(message))
    return environ


def _add(environ: Environ, name: str, value: str) -> None:
    key = name if name in ('CONTENT_TYPE', 'CONTENT_LENGTH') else f'HTTP_{name}'
    separator = '; ' if name == 'COOKIE' else ','
    environ[key] = f'{environ[key]}{separator}{value}' if key in environ else value
