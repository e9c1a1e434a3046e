"""What a raw handler answers, by PEP 3333: `start_response`, the head, and the body as it comes."""
from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from ..api.actions import Action
from ..api.answer import INTERNAL_ERROR, WITHOUT_BODY, encode, error_content, headers_of
from ..api.application import ClientLeft, answer_raw
from ..api.call import runs_calls
from ..api.download import Shrank
from ..api.headers import NAME, VALUE
from ..validation import ApiError, status_line
from .call import Call, Client, environ_of
from .heads import CHUNKED, connection_of, head, length_for
from .message import Message

HOP_BY_HOP = frozenset((
    'connection', 'keep-alive', 'proxy-authenticate', 'proxy-connection', 'te', 'trailer', 'transfer-encoding',
    'upgrade'))
STATUS = re.compile(r'[2-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?')

log = logging.getLogger(__name__)


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
        except Shrank as error:
            self._cut_short(error)
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
            if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
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
        elif self._length is not None and not self._is_whole():
            log.error('%s sent less than its Content-Length', message.path)
            self.keep = False

    def _is_whole(self) -> bool:
        """As much was sent as was said."""
        if self._message.method == 'HEAD' or not self._may_have_body:
            return True
        return self._length is not None and self._message.sent >= self._length

    def _refuse(self, error: ApiError) -> None:
        """By a generator, before anything was sent; later it is a failure like others."""
        if self._message.is_answered:
            self._fail()
        else:
            self._answer(error.status, error_content(error))

    def _fail(self) -> None:
        """While the body was made. Once the head is sent, an end before the body's is the only way to say so."""
        log.exception('%s %s failed:', self._message.method, self._message.path)
        if self._message.is_answered:
            self.keep = self.keep and self._is_whole()
        else:
            self._answer(500, INTERNAL_ERROR)

    def _cut_short(self, error: Shrank) -> None:
        log.error('%s %s: %s', self._message.method, self._message.path, error)
        self.keep = False

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
