"""One client's connection: read when there is something to read, a greenlet for each request while it is answered.

An idle connection costs a descriptor and a watcher; no parser, no greenlet. What arrives is read in the hub and parsed
there, request by request; when one is whole, a greenlet answers it, and meanwhile nothing is read. When the last is
answered, the client is still listened to until it has the answer. Every time limit of a request lives here.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.hub import get_hub
from greenlet import getcurrent, greenlet

from ..api.answer import encode, headers_of, reply
from ..api.application import ClientLeft, Environ
from ..api.origin import foreign
from ..validation import status_line
from .heads import connection_of, head, length_for
from .message import Message, Refusal
from .parser import REQUEST_LINE, SLICE, Parser
from .site import Site
from .transport import Transport
from .wsgi import Responder

LAST_READS = 100  # before an idle connection is closed: under TLS, what has come may be in many records
TURN = 0.001  # seconds in which requests of one connection are answered one after the other before others get their turn
LOOK = 1.0  # seconds between looks whether a client is still there
LEFT = 499  # what the access log says for a client that left, as nginx has it
SHORTEST = 1e-6  # seconds; with 0, the hub would not look for what has come
CONTINUE = b'HTTP/1.1 100 Continue\r\n\r\n'

log = logging.getLogger(__name__)


class Connection:
    """From accept to close. There is a parser only while a request is partly there."""

    __slots__ = ('_at', '_blank', '_forget', '_greenlet', '_has_waited', '_is_ending', '_message', '_parser', '_site', '_transport', '_turn',
                 '_unread', '_waiting', '_watcher', 'deadline', 'idle_since')

    def __init__(self, site: Site, transport: Transport, forget: Callable[[Connection], None]) -> None:
        self._site = site
        self._transport = transport
        self._forget = forget
        self._unread = b''  # what has come, from `_at` on
        self._at = 0
        self._blank = 0  # bytes of empty lines before a request
        self._parser: Parser | None = None
        self._waiting: list[Message] = []
        self._message: Message | None = None
        self._greenlet: greenlet | None = None
        self._turn: Any = None  # a timer, while others have theirs
        self._has_waited = False  # the call that is answered
        self._is_ending = False  # the last answer is sent
        self.idle_since = time.monotonic()
        self.deadline = self.idle_since + site.settings.head_timeout
        self._watcher: Any = get_hub().loop.io(transport.socket.fileno(), 1)
        self._watcher.start(self._read)

    @property
    def is_idle(self) -> bool:
        """Between two requests."""
        return self._message is None and self._parser is None and not self._unread

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
        data = self._transport.read()
        if data and not self._is_ending:
            self._unread += data
            self._go_on()
        elif data == b'':
            self._end_of_client()
        return bool(data)

    def _end_of_client(self) -> None:
        """It sends nothing more; what it has sent is answered."""
        settings = self._site.settings
        if settings.access and self._parser is not None and self._parser.is_in_body:
            message = self._parser.message
            settings.access(message, LEFT, 0, 0.0, self._site.client_of(self._transport, message))
        self.close()

    def _go_on(self) -> None:
        """Answer what is there, one after the other, for as long as it is this connection's turn."""
        if self._message is not None or self._is_ending:
            return
        message, end = self._next(), 0.0
        while message is not None:
            self._message = message
            self._has_waited = False
            self._site.answered += 1
            self._site.greenlets.run(self._serve)
            if self._message is not None:
                self._has_waited = True
                self._watcher.stop()
                self.deadline = self._site.clock.now + LOOK
                return
            if self._is_ending:
                return
            if self._unread or self._waiting:
                end = end or time.monotonic() + TURN
                if time.monotonic() > end:
                    self._give_turn()
                    return
            else:
                self._rest()
                break
            message = self._next()
        self._listen()

    def _give_turn(self) -> None:
        """Go on when the hub has looked for what else there is. Its callbacks would not do: many of them run before it looks."""
        self._watcher.stop()
        self._turn = get_hub().loop.timer(0.0)
        self._turn.start(self._take_turn)

    def _take_turn(self) -> None:
        self._turn.close()
        self._turn = None
        self._go_on()

    def _next(self) -> Message | None:
        """The next request that is whole, or that a handler reads as it comes."""
        while not self._waiting and self._unread:
            if self._parser is None:
                message = self._site.remembered.take(self._unread, self._at)
                if message is not None:
                    self._advance(message.end)
                    return message
            self._feed()
        return self._waiting.pop(0) if self._waiting else None

    def _advance(self, end: int) -> None:
        """What came before is taken."""
        if end >= len(self._unread):
            self._unread = b''
            end = 0
        self._at = end

    def _feed(self) -> None:
        """Give the parser a part of what has come."""
        data = self._unread[self._at:self._at + SLICE]
        self._advance(self._at + len(data))
        if self._parser is None:
            self._begin(data)
        else:
            self._parser.feed(data)
        if self._parser is not None and self._parser.is_over:
            self._unread = b''
            self._at = 0
        elif self._parser is not None and self._parser.is_at_rest:
            self._drop_parser()

    def _begin(self, data: bytes) -> None:
        """A request; empty lines before it are passed over."""
        rest = data.lstrip(b'\r\n')
        self._blank += len(data) - len(rest)
        if not rest and self._blank <= REQUEST_LINE:
            return
        self._parser = Parser(self)
        self.deadline = time.monotonic() + self._site.settings.head_timeout
        if self._blank > REQUEST_LINE:
            self._parser.refuse(Refusal(400, 'there are too many empty lines'))
        else:
            self._parser.feed(rest)

    def _drop_parser(self) -> None:
        if self._parser is not None:
            self._parser.drop()
            self._parser = None

    def _rest(self) -> None:
        """All that had come is answered."""
        settings = self._site.settings
        self.idle_since = time.monotonic()
        if self._parser is None:
            self.deadline = self.idle_since + settings.keep_alive
        else:
            self.deadline = self.idle_since + (settings.body_timeout if self._parser.is_in_body else settings.head_timeout)

    def _listen(self) -> None:
        """Read when something comes."""
        if not self._watcher.active:
            self._watcher.start(self._read)
        if self._parser is not None and self._parser.awaits_continue:
            self._parser.is_continued()
            try:
                self._transport.write(CONTINUE)
            except ClientLeft:
                self.close()

    def expire(self) -> None:
        """Its time is over: an idle connection is closed, a request that does not arrive is refused."""
        if self._message is not None:
            self._look_for_client()
        elif self._parser is None or self._is_ending:
            self.close()
        else:
            self._parser.refuse(Refusal(408, 'the request took too long'))
            self._go_on()

    def _look_for_client(self) -> None:
        """A handler that streams may not see for long that nobody takes it."""
        self.deadline = self._site.clock.now + LOOK
        if self._message is not None and self._message.is_answered and self._transport.has_failed():
            self.cut(ClientLeft())

    def cut(self, error: BaseException) -> None:
        """Raise in what is being answered, as soon as the hub has its turn; else close."""
        get_hub().loop.run_callback(self._cut, self._message, error)

    def _cut(self, message: Message | None, error: BaseException) -> None:
        if message is not self._message:
            return
        if self._greenlet is None:
            self.close()
        else:
            self._greenlet.throw(error)

    def close_idle(self) -> None:
        """A request whose last bytes have come meanwhile is answered first, and a body that has begun to come is waited for."""
        for _ in range(LAST_READS):
            if self._message is not None or self._is_ending or self._unread or not self._read():
                break
        if self._message is None and not self._is_ending and not self._unread and not (self._parser and self._parser.is_in_body):
            self.close()

    def close(self) -> None:
        self._is_ending = True
        self._drop()
        self._watcher.close()
        self._transport.close()
        self._forget(self)

    def _drop(self) -> None:
        """What has come and nobody takes."""
        self._drop_parser()
        self._waiting.clear()
        self._unread = b''
        self._at = 0

    # What the parser tells

    def begun(self, message: Message) -> None:
        """A head is whole; a handler that reads the body itself is called now."""
        settings = self._site.settings
        action = message.action = self._site.app.routes.get(message.path)
        message.limit = settings.max_body
        self._blank = 0
        if self._message is None:
            self.deadline = time.monotonic() + settings.body_timeout
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
        self._greenlet = getcurrent()
        message = self._message
        assert message is not None
        try:
            answer = self._answer_logged if self._site.settings.access else self._answer
            keep = answer(message)[2]
        except ClientLeft:
            self.close()
        except BaseException:
            log.exception('A connection failed:')
            self.close()
        else:
            self._after(keep)
        self._greenlet = self._message = None

    def _after(self, keep: bool) -> None:
        if self._parser is not None and self._parser.is_over and not self._waiting:
            keep = False
        if not keep:
            self._end()
        elif self._has_waited:
            self._rest()
            get_hub().loop.run_callback(self._go_on)

    def _end(self) -> None:
        """Closing with something unread would reset the connection, and might take the answer from the client."""
        self._is_ending = True
        self._drop()
        self.deadline = time.monotonic() + self._site.settings.linger_timeout
        try:
            self._transport.end_sending()
        except OSError:
            self.close()
        else:
            self._listen()

    def _answer_logged(self, message: Message) -> tuple[int, int, bool]:
        access, started = self._site.settings.access, time.perf_counter()
        client = self._site.client_of(self._transport, message)
        assert access
        try:
            status, size, keep = self._answer(message)
        except ClientLeft:
            access(message, LEFT, message.sent, time.perf_counter() - started, client)
            raise
        access(message, status, size, time.perf_counter() - started, client)
        return status, size, keep

    def _answer(self, message: Message) -> tuple[int, int, bool]:
        """Status, bytes of the body, and whether the connection may be kept."""
        action, site = message.action, self._site
        if message.refusal:
            status, body = encode(message.path, message.refusal.status, {'error': status_line(message.refusal.status)})
        elif action is not None and (action.raw_environ or action.raw_response):
            return Responder(self, message, action, message.keep_alive and not site.is_stopping).run()
        else:
            why_foreign = '' if message.origin is None else self._why_foreign(message, message.origin)
            status, body = reply(action, message.method, message.path, b''.join(message.body), why_foreign, self.give_way)
        keep = message.keep_alive and not site.is_stopping
        if status == 200 and keep and message.version == '1.1':  # so it was a POST
            data = site.clock.head_of_ok(len(body)) + body
        else:
            data = self._head(message, status, body, keep) + (b'' if message.method == 'HEAD' else body)
        self._transport.send(data, site.settings.send_timeout)
        return status, len(body), keep

    def _head(self, message: Message, status: int, body: bytes, keep: bool) -> bytes:
        connection = connection_of(keep, message.version)
        framing = length_for(status, len(body))
        return head(status_line(status), headers_of(status, body), self._site.clock.date, connection=connection, framing=framing)

    def _why_foreign(self, message: Message, origin: bytes) -> str:
        host = message.host.decode('latin-1')
        return foreign(origin.decode('latin-1'), host, self._site.is_https(self._transport, message))

    # For raw handlers

    def give_way(self) -> None:
        gevent.sleep(SHORTEST)

    def date(self) -> str:
        return self._site.clock.date

    @property
    def is_stopping(self) -> bool:
        return self._site.is_stopping

    def origin(self, message: Message) -> Environ:
        return self._site.origin_of(self._transport, message)

    def send(self, data: bytes) -> None:
        """All of it. Raises ClientLeft."""
        self._transport.send(data, self._site.settings.send_timeout)

    def receive_body(self, message: Message, started: float) -> None:
        """Take in more of a body that a handler reads as it comes. Raises ClientLeft, also for one that is too slow."""
        settings = self._site.settings
        if message.awaits_continue and not self._unread:
            message.expects_continue = False
            self.send(CONTINUE)
        if not self._unread:
            left = started + settings.body_timeout + message.length / settings.slowest - time.monotonic()
            self._unread = self._transport.receive(left)
        if not self._unread:
            raise ClientLeft
        self._feed()
