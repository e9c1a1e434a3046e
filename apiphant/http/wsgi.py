"""PEP 3333 for raw handlers: the environ, the body as a stream, `start_response`, and sending what they return.

Knows of the connection only what `Client` says.
"""
from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from ..api.actions import Action
from ..api.answer import INTERNAL_ERROR, encode, headers_of
from ..api.application import ClientLeft, answer_raw
from ..api.call import Host, runs_calls
from ..api.environ import Environ
from ..validation import ApiError, status_line
from .heads import CHUNKED, WITHOUT_BODY, connection_of, head, length_for
from .message import Message

HOP_BY_HOP = frozenset((
    'connection', 'keep-alive', 'proxy-authenticate', 'proxy-connection', 'te', 'trailer', 'transfer-encoding',
    'upgrade'))
STATUS = re.compile(r'[2-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?')
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(r'[\t\x20-\x7e\x80-\xff]*')

log = logging.getLogger(__name__)


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
    environ.update(client.origin(message))
    return environ


def _add(environ: Environ, name: str, value: str) -> None:
    key = name if name in ('CONTENT_TYPE', 'CONTENT_LENGTH') else f'HTTP_{name}'
    separator = '; ' if name == 'COOKIE' else ','
    environ[key] = f'{environ[key]}{separator}{value}' if key in environ else value


class Responder:
    """Runs a raw handler and sends what it answers, as it comes."""

    def __init__(self, client: Client, message: Message, action: Action, keep: bool) -> None:
        self.keep = keep
        self.status = 0
        self._client = client
        self._call = Call(client)
        self._message = message
        self._action = action
        self._line = ''
        self._headers: list[tuple[str, str]] = []
        self._length: int | None = None  # of the body, where it is known
        self._is_chunked = False

    @runs_calls
    def run(self) -> tuple[int, int, bool]:
        """Status, bytes of the body, and whether the connection may be kept. Raises ClientLeft."""
        host = self._client
        environ = environ_of(host, self._call, self._message)
        result: Any = answer_raw(self._action, self._message.path, environ, self.start_response, host)
        try:
            self._send_all(result)
        except ClientLeft:
            raise
        except ApiError as error:
            self._refuse(error)
        except BaseException:
            self._fail()
        finally:
            self._close(result)
            self._call.end()
        self.keep = self.keep and self._message.is_complete
        return self.status, self._message.sent, self.keep

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None,
    ) -> Callable[[bytes], None]:
        """PEP 3333's. Raises ValueError for what cannot be sent, AssertionError if it was called before."""
        if exc_info and self._message.is_answered:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._line and not exc_info:
            raise AssertionError('start_response was called already')
        self._check(status, headers)
        self._line = status
        self._headers = [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]
        if any(name.lower() == 'connection' and value.lower() == 'close' for name, value in headers):
            self.keep = False
        return self.write

    def _check(self, status: str, headers: list[tuple[str, str]]) -> None:
        if not STATUS.fullmatch(status):
            raise ValueError(f'{status!r} is no status: it should be like 200 OK')
        for name, value in headers:
            if not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
                raise ValueError(f'{name!r}: {value!r} cannot be a header')
        lengths = [value for name, value in headers if name.lower() == 'content-length']
        if len(lengths) > 1 or not all(value.isascii() and value.isdecimal() for value in lengths):
            raise ValueError(f'Content-Length: {", ".join(lengths)} is no length')
        self._length = int(lengths[0]) if lengths else None

    def write(self, data: bytes) -> None:
        """Send a part of the body, with the head before the first."""
        if not self._line:
            raise AssertionError('start_response was not called')
        if not isinstance(data, bytes):
            raise TypeError(f'a body is made of bytes, not of {type(data).__name__}')
        head = b'' if self._message.is_answered else self._head()
        part = self._part(data)
        if head or part:
            self._call.send(head + part)

    def _part(self, data: bytes) -> bytes:
        """The bytes of the body as they go over the wire."""
        message = self._message
        if message.method == 'HEAD' or not self._may_have_body:
            return b''
        if self._length is not None and message.sent + len(data) > self._length:
            log.error('%s sent more than its Content-Length', message.path)
            data = data[:self._length - message.sent]
        message.sent += len(data)
        return b'%x\r\n%b\r\n' % (len(data), data) if self._is_chunked and data else data

    @property
    def _may_have_body(self) -> bool:
        return self.status not in WITHOUT_BODY

    def _head(self) -> bytes:
        message = self._message
        message.is_answered = True
        message.expects_continue = False
        self.status = int(self._line[:3])
        framing = self._framing()
        # A body that is still to come would be taken for the next request; only its end says whether there may be one.
        self.keep = self.keep and message.is_complete and message.keep_alive and not self._client.is_stopping
        connection = connection_of(self.keep, message.version)
        return head(self._line, self._headers, self._client.date(), connection=connection, framing=framing)

    def _framing(self) -> str:
        """How the end of the body is said; where it cannot be, by closing."""
        if not self._may_have_body:
            return length_for(self.status, 0)
        if self._length is not None:
            return length_for(self.status, self._length)
        if self._message.method == 'HEAD':
            return ''
        self._is_chunked = self._message.version == '1.1'
        self.keep = self.keep and self._is_chunked
        return CHUNKED if self._is_chunked else ''

    def _send_all(self, result: Iterable[bytes]) -> None:
        message = self._message
        if self._line and self._length is None and not message.is_answered and isinstance(result, list | tuple):
            self._length = sum(map(len, result))
        for data in result:
            if data:
                self.write(data)
        if not message.is_answered:
            self.write(b'')
        if self._is_chunked:
            self._call.send(b'0\r\n\r\n')
        elif self._is_short():
            log.error('%s sent less than its Content-Length', message.path)
            self.keep = False

    def _is_short(self) -> bool:
        """Less was sent than was said."""
        if self._length is None or self._message.method == 'HEAD' or not self._may_have_body:
            return False
        return self._message.sent < self._length

    def _refuse(self, error: ApiError) -> None:
        """By a generator, before anything was sent; later it is a failure like others."""
        if self._message.is_answered:
            self._fail()
        else:
            self._answer(error.status, {'error': error.error})

    def _fail(self) -> None:
        """While the body was made. Once the head is sent, a cut connection is the only way to say so."""
        log.exception('%s %s failed:', self._message.method, self._message.path)
        if self._message.is_answered:
            raise ClientLeft from None
        self._answer(500, INTERNAL_ERROR)

    def _answer(self, status: int, content: Any) -> None:
        """In place of what the handler began."""
        self._line, self._length = '', None
        status, body = encode(self._message.path, status, content)
        self.start_response(status_line(status), headers_of(status, body))
        self._send_all([body])

    def _close(self, result: Any) -> None:
        close = getattr(result, 'close', None)
        try:
            if close:
                close()
        except BaseException:
            log.exception('%s %s failed in close():', self._message.method, self._message.path)
