"""One client's connection: read when there is something to read, a greenlet for each request while it is answered.

An idle connection costs a descriptor and a watcher; no parser, no greenlet. What arrives is read in the hub; when a
request is whole, a greenlet answers it, and meanwhile nothing is read. When the last is answered, the client is still
listened to until it has the answer. Every time limit of a request lives here.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import gevent
from gevent.hub import get_hub
from greenlet import getcurrent, greenlet

from ..api.actions import Action
from ..api.answer import encode, headers_of, reply
from ..api.application import ClientLeft
from ..api.call import Call, with_given
from ..api.environ import Environ
from ..api.origin import PROGRAM, Page, say_refused
from ..validation import status_line
from .caller import HttpCaller
from .heads import Headers, connection_of, head, length_for
from .incoming import Incoming
from .message import Message, Refusal
from .responder import Responder
from .site import Site
from .transport import Transport

LAST_READS = 100  # before an idle connection is closed: under TLS, what has come may be in many records
TURN = 0.001  # seconds in which requests of one connection are answered before others get their turn
LOOK = 1.0  # seconds between looks whether a client is still there
LEFT = 499  # what the access log says for a client that left, as nginx has it
SHORTEST = 1e-6  # seconds; with 0, the hub would not look for what has come
CONTINUE = b'HTTP/1.1 100 Continue\r\n\r\n'

log = logging.getLogger(__name__)


class Connection:
    """From accept to close."""

    __slots__ = (
        '_forget', '_greenlet', '_has_waited', '_incoming', '_is_ending', '_left', '_message', '_phase', '_site',
        '_transport', '_turn', '_watcher', 'deadline', 'idle_since')

    def __init__(self, site: Site, transport: Transport, forget: Callable[[Connection], None]) -> None:
        self._site = site
        self._transport = transport
        self._forget = forget
        self._incoming = Incoming(site)
        self._phase = 0  # of what comes, when it was last given time
        self._message: Message | None = None
        self._greenlet: greenlet | None = None
        self._has_waited = False  # the call that is answered
        self._turn: Any = None  # a timer, while others have theirs
        self._is_ending = False  # the last answer is sent
        self._left = 0  # bytes of it that the client had not taken when that was last looked at
        self.idle_since = time.monotonic()
        self.deadline = self.idle_since + site.settings.head_timeout
        self._watcher: Any = get_hub().loop.io(transport.socket.fileno(), 1)
        self._watcher.start(self._read)

    @property
    def is_idle(self) -> bool:
        """Between two requests."""
        return self._message is None and self._incoming.is_at_rest

    @property
    def is_new(self) -> bool:
        """Nothing has come yet."""
        return self._message is None and self._incoming.phase == 0

    @property
    def answering(self) -> Message | None:
        """The request that is being answered."""
        return self._message

    @property
    def running(self) -> Message | None:
        """The request that this very greenlet is answering."""
        return self._message if self._greenlet is getcurrent() else None

    # In the hub: what comes

    def _read(self) -> bool:
        """Take what has come. Returns whether there may be more."""
        data = self._transport.read()
        if data and not self._is_ending:
            self._incoming.add(data)
            self._go_on()
        elif data == b'':
            self._end_of_client()
        return bool(data)

    def _end_of_client(self) -> None:
        """It sends nothing more; what it has sent is answered."""
        settings, half = self._site.settings, self._incoming.half
        if settings.access and half is not None:
            settings.access(half, LEFT, 0, 0.0, self._site.client_of(self._transport, half))
        self.close()

    def _go_on(self) -> None:
        """Answer what is there, one after the other, for as long as it is this connection's turn."""
        if self._message is not None or self._is_ending:
            return
        message, end = self._incoming.next(), 0.0
        while message is not None:
            self._run(message)
            if self._message is not None or self._is_ending:
                return
            if not self._incoming.has_more:
                self._allow()
                break
            end = end or time.monotonic() + TURN
            if time.monotonic() > end:
                self._give_turn()
                return
            message = self._incoming.next()
        self._listen()

    def _run(self, message: Message) -> None:
        """The call; if it has to wait, nothing is read meanwhile."""
        self._message = message
        self._has_waited = False
        self._site.answered += 1
        self._site.greenlets.run(self._serve)
        if self._message is not None:
            self._has_waited = True
            self._watcher.stop()
            self.deadline = self._site.clock.now + LOOK

    def _give_turn(self) -> None:
        """Go on when the hub has looked for what else there is: of its callbacks, many run before it looks."""
        self._watcher.stop()
        self._turn = get_hub().loop.timer(0.0)
        self._turn.start(self._take_turn)

    def _take_turn(self) -> None:
        self._turn.close()
        self._turn = None
        self._go_on()

    def _listen(self) -> None:
        """Read when something comes."""
        if not self._watcher.active:
            self._watcher.start(self._read)
        if self._incoming.phase != self._phase:
            self._allow()
        if self._incoming.awaits_continue:
            self._incoming.is_continued()
            self._send_continue()

    def _send_continue(self) -> None:
        try:
            self._transport.write(CONTINUE)
        except ClientLeft:
            self.close()

    def _allow(self) -> None:
        """Time for what comes next: a request, the rest of a head or of a body."""
        settings, self._phase = self._site.settings, self._incoming.phase
        self.idle_since = time.monotonic()
        seconds = settings.head_timeout
        if self._incoming.half is not None:
            seconds = settings.body_timeout
        elif self._incoming.is_at_rest:
            seconds = settings.keep_alive
        self.deadline = self.idle_since + seconds

    # In the hub: the end

    def expire(self) -> None:
        """Its time is over: an idle connection is closed, a request that does not arrive is refused."""
        if self._message is not None:
            self._look_for_client()
        elif self._is_ending:
            self._linger()
        elif self._incoming.is_at_rest:
            self.close()
        elif self._turn is None:
            self._incoming.refuse(Refusal(408, 'the request took too long'))
            self._go_on()

    def _look_for_client(self) -> None:
        """A handler that streams may not see for long that nobody takes it."""
        self.deadline = self._site.clock.now + LOOK
        if self._message is not None and self._message.is_answered and self._transport.has_failed():
            self.cut(ClientLeft())

    def _linger(self) -> None:
        """A client that is taking its last answer is listened to: a reset would take the rest from it."""
        now, before, self._left = self._site.clock.now, self._left, self._transport.left()
        if self._left < before:
            self.idle_since = now
        if self._left and now < self.idle_since + self._site.settings.send_timeout:
            self.deadline = now + LOOK
        else:
            self.close()

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
        """A request whose last bytes have come meanwhile is answered first; half a body is waited for."""
        for _ in range(LAST_READS):
            if not self._may_close() or not self._read():
                break
        if self._may_close() and self._incoming.half is None:
            self.close()

    def _may_close(self) -> bool:
        return self._message is None and not self._is_ending and not self._incoming.has_more

    def close(self) -> None:
        self._is_ending = True
        self._incoming.drop()
        self._watcher.close()
        if self._turn is not None:
            self._turn.close()
        self._transport.close()
        self._forget(self)

    def _end(self) -> None:
        """Closing with something unread would reset the connection, and might take the answer from the client."""
        self._is_ending = True
        self._incoming.drop()
        self.idle_since = time.monotonic()
        self.deadline = self.idle_since + self._site.settings.linger_timeout
        try:
            self._transport.end_sending()
            self._left = self._transport.left()
        except OSError:
            self.close()
        else:
            if not self._watcher.active:
                self._watcher.start(self._read)

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
        if not keep or self._incoming.is_over:
            self._end()
        elif self._has_waited:
            self._allow()
            get_hub().loop.run_callback(self._go_on)

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
        action, site, call, page = message.action, self._site, None, PROGRAM
        if message.refusal:
            refused = message.refusal.status
            status, body = encode(message.path, refused, {'error': status_line(refused)})
        elif site.checks_hosts and (why := self._why_not_host(message)):
            say_refused(message.method, message.path, why)
            message.keep_alive = message.keep_alive and message.is_complete
            status, body = encode(message.path, 403, {'error': status_line(403)})
        elif action is None and (file := self._file(message)):
            return self._respond(message, file)
        elif action is not None and action.is_raw:
            return self._respond(message, action)
        else:
            call = Call(self.caller()) if action is not None and action.needs_call else None
            page = PROGRAM if message.origin is None else self._page(message, message.origin)
            content = b''.join(message.body)
            status, body = reply(action, message.method, message.path, content, page, self, call)
        keep = message.keep_alive and not site.is_stopping
        given = page.headers or (call is not None and call.given_headers())
        if status == 200 and keep and message.version == '1.1' and not given:  # so it was a POST
            data = site.clock.head_of_ok(len(body)) + body
        else:
            data = self._head(message, status, body, keep, with_given(headers_of(status, body), call, page.headers))
            data += b'' if message.method == 'HEAD' else body
        self._transport.send(data, site.settings.send_timeout)
        return status, len(body), keep

    def _file(self, message: Message) -> Action | None:
        return self._site.app.file(message.method, unquote_to_bytes(message.path), self)

    def _respond(self, message: Message, action: Action) -> tuple[int, int, bool]:
        return Responder(self, message, action, message.keep_alive and not self._site.is_stopping).run()

    def _head(self, message: Message, status: int, body: bytes, keep: bool, headers: Headers) -> bytes:
        connection = connection_of(keep, message.version)
        framing = length_for(status, len(body))
        return head(status_line(status), headers, self._site.clock.date, connection=connection, framing=framing)

    def _why_not_host(self, message: Message) -> str:
        return self._site.app.origins.why_not_host(message.host.decode('latin-1'))

    def _page(self, message: Message, origin: bytes) -> Page:
        host = message.host.decode('latin-1')
        return self._site.app.origins.page(origin.decode('latin-1'), host, self.caller())

    # For calls

    @property
    def explains(self) -> bool:
        return self._site.app.explains

    def give_way(self) -> None:
        gevent.sleep(SHORTEST)

    def caller(self) -> HttpCaller:
        """Of the request that is being answered."""
        assert self._message is not None
        return HttpCaller(self._site, self._transport, self._message)

    # For raw handlers

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
        if not self._incoming.has_bytes:
            if message.awaits_continue:
                message.expects_continue = False
                self.send(CONTINUE)
            left = started + settings.body_timeout + message.length / settings.slowest - time.monotonic()
            data = self._transport.receive(left)
            if not data:
                raise ClientLeft
            self._incoming.add(data)
        self._incoming.parse()
