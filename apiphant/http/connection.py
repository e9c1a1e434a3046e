"""One client's connection: read when there is something to read, a greenlet for each request while it is answered.

An idle connection costs a descriptor and a watcher; no parser, no greenlet. What arrives is read in the hub and parsed
there; when a request is whole, a greenlet answers it, and meanwhile nothing is read. Every time limit lives here.
"""
from __future__ import annotations

import logging
import socket
import ssl
import time
from _socket import socket as Socket  # noqa: N812  # half the weight of the class around it, and it never waits
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Protocol

from gevent.hub import get_hub
from gevent.socket import wait_read, wait_write
from greenlet import getcurrent, greenlet

from ..api.answer import MAX_BODY, encode, headers_of, reply
from ..api.application import Application, ClientLeft, Environ
from ..api.origin import foreign
from ..validation import status_line
from . import greenlets
from .message import Message, Refusal
from .parser import Parser
from .proxies import address_of, client_of
from .transport import CHUNK, SEND_TIMEOUT
from .wsgi import Responder

HEAD_TIMEOUT = 30.0  # seconds for a whole head
BODY_TIMEOUT = 60.0  # seconds for a whole body; for one that is streamed, and one more for each SLOWEST bytes
SLOWEST = 16 * 1024
LAST_READS = 100  # before an idle connection is closed: under TLS, what has come may be in many records

LINGER_TIMEOUT = 2.0  # seconds for which a refused client is still listened to
NEVER = float('inf')
WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
CONTINUE = b'HTTP/1.1 100 Continue\r\n\r\n'

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be chosen: `keep_alive` in seconds idle, `max_body` in bytes, `access` to be told of each request answered."""
    keep_alive: float = 75.0
    max_body: int = MAX_BODY
    access: Callable[[Message, int, int, float, str], None] | None = None  # status, bytes, seconds, client
    trusted: Container[str] = frozenset()  # peers whose X-Forwarded-For and -Proto are believed


class Keeper(Protocol):
    """Who accepted the connection."""
    app: Application
    settings: Settings
    is_stopping: bool
    answered: int
    now: float  # of time.monotonic(), a second old at the most
    date: bytes  # for the Date header
    ok: bytes  # the head of a 200 with JSON, up to its length

    def origin_of(self, connection: Connection, message: Message) -> Environ: ...
    def is_https(self, connection: Connection, message: Message) -> bool: ...
    def forget(self, connection: Connection) -> None: ...


class Connection:
    """From accept to close. There is a parser only while a request is partly there."""

    __slots__ = ('_greenlet', '_keeper', '_message', '_parser', '_waiting', '_watcher', 'deadline', 'idle_since', 'peer', 'socket')

    def __init__(self, keeper: Keeper, client: Socket, peer: Any) -> None:
        self._keeper = keeper
        self._parser: Parser | None = None
        self._waiting: deque[Message] = deque()
        self._message: Message | None = None
        self._greenlet: greenlet | None = None
        self.socket = client
        self.peer = peer
        self.idle_since = time.monotonic()
        self.deadline = self.idle_since + HEAD_TIMEOUT
        self._watcher: Any = get_hub().loop.io(client.fileno(), 1)
        self._resume()

    def _resume(self) -> None:
        """Read when something comes."""
        self._watcher.start(self._read)

    @property
    def is_idle(self) -> bool:
        """Between two requests."""
        return self._greenlet is None and self._parser is None

    @property
    def is_answering(self) -> bool:
        return self._greenlet is not None

    @property
    def answering(self) -> Message | None:
        """The request that is being answered."""
        return self._message

    @property
    def running(self) -> Message | None:
        """The request that this very greenlet is answering."""
        return self._message if self._greenlet is getcurrent() else None

    # In the hub

    def _read(self) -> bool:
        """Take what has come. Returns whether there may be more."""
        try:
            data = self.socket.recv(CHUNK)
        except WAITS:
            return False
        except OSError:
            data = b''
        if data:
            self._take(data)
        else:
            self.close()
        return bool(data)

    def _take(self, data: bytes) -> None:
        parser, is_new = self._parser, self._parser is None
        if parser is None:
            parser = self._parser = Parser(self)
        parser.feed(data)
        if parser.is_at_rest:
            self._drop_parser()
        elif is_new and parser.is_in_head:
            self.deadline = time.monotonic() + HEAD_TIMEOUT
        if self._waiting and self._greenlet is None:
            self._start()
        elif self._parser and parser.awaits_continue and self._greenlet is None:
            self._send_continue()

    def _drop_parser(self) -> None:
        if self._parser:
            self._parser.drop()
            self._parser = None

    def _send_continue(self) -> None:
        assert self._parser
        self._parser.is_continued()
        try:
            self.socket.send(CONTINUE)
        except OSError:
            self.close()

    def _start(self) -> None:
        """Answer the first that waits. If that has to wait in its turn, nothing is read until it is done."""
        self.deadline = NEVER
        self._greenlet = greenlets.new(self._serve)
        greenlets.start(self._greenlet)
        if self._greenlet is not None:
            self._watcher.stop()

    def expire(self) -> None:
        """Its time is over: an idle connection is closed, a request that does not arrive is refused."""
        if self._greenlet is not None:
            self.deadline = NEVER  # it was for a request that waits for this one's answer
        elif self._parser is None:
            self.close()
        else:
            self._parser.refuse(Refusal(408, 'the request took too long'))
            self._start()

    def cut(self, error: BaseException) -> None:
        """Raise in what is being answered."""
        if self._greenlet is not None:
            get_hub().loop.run_callback(self._greenlet.throw, error)

    def close_idle(self) -> None:
        """A request whose last bytes have come meanwhile is answered first."""
        for _ in range(LAST_READS):
            if self._greenlet is not None:
                return
            if not self._read():
                break
        self.close()

    def close(self) -> None:
        self._drop_parser()
        self._waiting.clear()
        self._watcher.close()
        self.socket.close()
        self._keeper.forget(self)

    # What the parser tells

    def begun(self, message: Message) -> None:
        """A head is whole; a handler that reads the body itself is called now."""
        action = message.action = self._keeper.app.routes.get(message.path)
        message.limit = self._keeper.settings.max_body
        self.deadline = self._keeper.now + BODY_TIMEOUT
        if action is None:
            message.is_kept = False
        elif action.raw_environ:
            message.limit = action.max_body or message.limit
            self._waiting.append(message)

    def ended(self, message: Message) -> None:
        if message.action is None or not message.action.raw_environ:
            self._waiting.append(message)

    # In the greenlet

    def _serve(self) -> None:
        """One request: the next one has a greenlet of its own."""
        try:
            is_kept = self._answer_first()
        except ClientLeft:
            is_kept = False
        except BaseException:
            log.exception('A connection failed:')
            is_kept = False
        self._greenlet = self._message = None
        if not is_kept:
            self.close()
        elif self._waiting:
            self._start()
        else:
            self._rest()

    def _rest(self) -> None:
        self.idle_since = time.monotonic()
        self.deadline = self.idle_since + (HEAD_TIMEOUT if self._parser else self._keeper.settings.keep_alive)
        self._resume()
        if self._parser and self._parser.awaits_continue:
            self._send_continue()

    def _answer_first(self) -> bool:
        """Returns whether the connection is to be kept."""
        keeper = self._keeper
        self._message = message = self._waiting.popleft()
        keeper.answered += 1
        keep = message.keep_alive and not keeper.is_stopping
        keep = self._answer_logged(message, keep) if keeper.settings.access else self._answer(message, keep)[2]
        if message.may_go_on:
            self._linger()
        return keep and (bool(self._waiting) or not (self._parser and self._parser.is_over))

    def _answer_logged(self, message: Message, keep: bool) -> bool:
        settings, started = self._keeper.settings, time.perf_counter()
        status, size, keep = self._answer(message, keep)
        assert settings.access
        settings.access(message, status, size, time.perf_counter() - started, client_of(message, address_of(self.peer), settings.trusted))
        return keep

    def _answer(self, message: Message, keep: bool) -> tuple[int, int, bool]:
        """Status, bytes of the body, and whether the connection may be kept."""
        action = message.action
        if message.refusal:
            keep = False
            status, body = encode(message.path, message.refusal.status, {'error': status_line(message.refusal.status)})
        elif action is not None and (action.raw_environ or action.raw_response):
            return Responder(self, message, action, keep).run()
        else:
            why_foreign = '' if message.origin is None else self._why_foreign(message, message.origin)
            content = b''.join(message.body)
            status, body = reply(self._keeper.app.routes, message.method, message.path, content, why_foreign)
        keep = keep and not self._keeper.is_stopping
        if status == 200 and keep and message.version == '1.1':  # so it was a POST
            self.send(b'%b%d\r\n\r\n%b' % (self._keeper.ok, len(body), body))
        else:
            self.send(self._head(message, status, body, keep) + (b'' if message.method == 'HEAD' else body))
        return status, len(body), keep

    def _why_foreign(self, message: Message, origin: bytes) -> str:
        host = next((value for name, value in message.headers if name.lower() == b'host'), b'')
        is_https = self._keeper.is_https(self, message)
        return foreign(origin.decode('latin-1'), host.decode('latin-1').strip(' \t'), is_https)

    def _head(self, message: Message, status: int, body: bytes, keep: bool) -> bytes:
        headers = headers_of(status, body)
        if not keep or message.version != '1.1':
            headers.append(('Connection', 'keep-alive' if keep else 'close'))
        lines = ''.join(f'{name}: {value}\r\n' for name, value in headers)
        return f'HTTP/1.1 {status_line(status)}\r\n{lines}'.encode() + b'Date: %b\r\n\r\n' % self._keeper.date

    def _linger(self) -> None:
        """Closing with something unread would reset the connection, and might take the answer from the client."""
        end = time.monotonic() + LINGER_TIMEOUT
        try:
            self._end_sending()
            while (left := end - time.monotonic()) > 0 and self._receive(left):
                pass
        except (OSError, ClientLeft):
            pass

    def _end_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    # For raw handlers

    def date(self) -> bytes:
        return self._keeper.date

    @property
    def is_stopping(self) -> bool:
        return self._keeper.is_stopping

    def origin(self, message: Message) -> Environ:
        return self._keeper.origin_of(self, message)

    def send(self, data: bytes) -> None:
        """All of it. Raises ClientLeft."""
        try:
            sent = self.socket.send(data)
        except WAITS:
            sent = 0
        except OSError:
            raise ClientLeft from None
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        while rest:
            try:
                wait_write(self.socket.fileno(), SEND_TIMEOUT, ClientLeft())
                rest = rest[self.socket.send(rest):]
            except WAITS:
                continue
            except OSError:
                raise ClientLeft from None

    def receive_body(self, message: Message, started: float) -> None:
        """Take in more of a body that a handler reads as it comes. Raises ClientLeft, also for one that is too slow."""
        if message.awaits_continue:
            message.expects_continue = False
            self.send(CONTINUE)
        left = started + BODY_TIMEOUT + message.length / SLOWEST - time.monotonic()
        data = self._receive(left) if left > 0 else b''
        if not data:
            raise ClientLeft
        self._take(data)

    def _receive(self, seconds: float) -> bytes:
        """What comes next; b'' at the end. Raises ClientLeft after so many seconds."""
        while True:
            try:
                return self.socket.recv(CHUNK)
            except WAITS:
                wait_read(self.socket.fileno(), seconds, ClientLeft())
            except OSError:
                raise ClientLeft from None
