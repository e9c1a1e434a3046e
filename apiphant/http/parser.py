"""HTTP/1.1 as bytes in and requests out. No socket is known here.

llhttp (httptools) checks how a message is framed and nothing else. What it lets through is refused here, where that is
said by the bytes as they come, and in `rules`, where it is said by a head. After a refusal a connection is good for
nothing more.
"""
from __future__ import annotations

from typing import Any, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from httptools.parser.errors import HttpParserCallbackError

from .message import Message, Refusal
from .rules import HEADERS, REQUEST_LINE, check_headers, check_size, host_of, path_of

CHUNK_OVERHEAD = 8 * 1024  # bytes of chunk extensions and trailers together
SLICE = 4 * 1024  # bytes that httptools is fed at once: what is counted by feeds is off by no more
SLACK = 2 * SLICE  # what is between the names and values of a head, and that
PLAIN_CHUNK = 24  # bytes that framing one chunk takes at the most without an extension

OTHER_PROTOCOLS = ('RTSP', 'ICE')


class Owner(Protocol):
    """Whose bytes they are."""

    def begun(self, message: Message) -> None:
        """A head is whole."""

    def ended(self, message: Message) -> None:
        """A request is whole, or refused."""


class Parser:
    """Feed it bytes, and it tells their owner what they are. It has one owner as long as it lives.

    Once bytes are refused, what follows them is dropped.
    """

    __slots__ = (
        '_body', '_fed', '_headers', '_length', '_message', '_overhead', '_owner', '_parser', '_recent', '_size',
        '_url', 'is_in_body', 'is_in_head', 'is_over', 'on_body', 'on_url')

    def __init__(self, owner: Owner) -> None:
        self._owner: Owner | None = owner
        self.is_in_head = False  # some of it is there
        self.is_in_body = False
        self.is_over = False
        self._message = Message()
        self._headers = self._message.headers
        self._url: list[bytes] = []
        self._body: list[bytes] = []
        self._fed = 0  # bytes in this feed
        self._recent: list[bytes] = []  # feeds in which the head is
        self._size = 0  # bytes of this head in the feeds before
        self._overhead = 0  # bytes of this body that frame it, beyond what chunks need
        self._length = 0  # the Content-Length
        self.on_url = self._url.append  # called by httptools: the less Python there, the better
        self.on_body = self._body.append
        self._parser: Any = HttpRequestParser(self)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is there of a request that is to come."""
        return not (self.is_in_head or self.is_in_body or self.is_over)

    @property
    def message(self) -> Message:
        """The request that comes, or came last."""
        return self._message

    def drop(self) -> None:
        """Hold nothing more, and take nothing.

        It and httptools hold each other: without this, only the search for garbage ends them.
        """
        self.is_over = True
        self._recent = []
        self._parser = self._owner = None

    @property
    def awaits_continue(self) -> bool:
        """Whether the client waits to be told to send a body that is wanted."""
        return self.is_in_body and self._message.awaits_continue

    def is_continued(self) -> None:
        self._message.expects_continue = False

    def feed(self, data: bytes) -> None:
        if len(data) <= SLICE:
            self._feed(data)
        else:
            for start in range(0, len(data), SLICE):
                self._feed(data[start:start + SLICE])

    def _feed(self, data: bytes) -> None:
        if self.is_over:
            return
        before = self._message if self.is_in_body else None
        self._fed = len(data)
        self._remember(data)
        try:
            self._parser.feed_data(data)
            if self.is_in_head:
                self._check_head(len(data))
            elif self.is_in_body:
                size = self._take_body()
                self._overhead = max(0, self._overhead + (len(data) - size if self._message is before else 0))
                self._check_overhead()
        except HttpParserUpgrade as left_off:
            self._read_on(data[left_off.args[0]:])
        except Refusal as refusal:
            self.refuse(refusal)
        except HttpParserCallbackError as error:
            self.refuse(error.__context__ if isinstance(error.__context__, Refusal) else Refusal(400, str(error)))
        except HttpParserError as error:
            if not self.is_over:  # else it is what follows the last request
                self.refuse(Refusal(400, str(error)))

    def _remember(self, data: bytes) -> None:
        if not self.is_in_head:
            self._recent = []
        self._recent.append(data)

    def _read_on(self, data: bytes) -> None:
        """httptools leaves off where another protocol is offered: none is taken, the body is of this last request."""
        if self.is_over:  # nor after CONNECT, which has no body
            return
        message, self._parser = self._message, HttpRequestParser(Rest(self))
        message.offers_upgrade = False
        framing = b'Transfer-Encoding: chunked' if message.is_chunked else b'Content-Length: %d' % self._length
        self._parser.feed_data(b'POST / HTTP/1.1\r\nConnection: close\r\n%b\r\n\r\n' % framing)
        self._feed(data)

    def _check_head(self, size: int) -> None:
        """What httptools gathers before it calls back, a target or a header, has no bound of its own."""
        self._size += size
        if sum(map(len, self._url)) > REQUEST_LINE:
            raise Refusal(414, 'the request line is too long')
        if self._size > REQUEST_LINE + HEADERS + SLACK:
            raise Refusal(431 if self._url else 414, 'the head is too large')

    def _check_protocol(self, message: Message) -> None:
        """httptools takes RTSP, ICE and more spaces, and tells neither that nor where the line is. Raises Refusal."""
        recent = b''.join(self._recent)
        del self._recent[:-1]
        line = f' {message.target} HTTP/{message.version}\r\n'
        others = [f' {line}', *(line.replace(' HTTP/', f' {name}/') for name in OTHER_PROTOCOLS)]
        is_odd = any(other.encode() in recent for other in others)
        if is_odd or f'{message.method}{line}'.encode() not in recent:
            raise Refusal(400, 'this is not HTTP')

    def _check_overhead(self) -> None:
        """The same for what frames a chunked body: extensions and trailers."""
        if self._message.is_chunked and self._overhead > CHUNK_OVERHEAD:
            raise Refusal(400, 'chunk extensions and trailers are too large')

    def _take_body(self) -> int:
        """Give the message what of its body has come. Returns the bytes."""
        message, parts = self._message, self._body
        size = sum(map(len, parts))
        message.length += size
        if message.length > message.limit:
            raise Refusal(413, 'the body is too large')
        if message.is_kept:
            message.body += parts
        parts.clear()
        return size

    def refuse(self, refusal: Refusal) -> None:
        """Take nothing more, and say so once."""
        self.is_over = True
        if self._message.is_complete:  # it is of none yet
            self._message = Message()
        if self.is_in_head and self._url:
            self._message.method = self._parser.get_method().decode()
        self._message.refusal = refusal.with_traceback(None)  # which would hold the parser
        self._message.keep_alive = False
        assert self._owner
        self._owner.ended(self._message)

    # What httptools calls

    def on_message_begin(self) -> None:
        self.is_in_head = True
        self._message = Message()
        self._headers = self._message.headers

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        message = self._message
        self._headers = []  # for trailers, which nobody reads
        self.is_in_head = False
        self.is_in_body = True
        head = self._size + self._fed
        self._size = self._overhead = 0
        message.version = self._parser.get_http_version()
        message.method = self._parser.get_method().decode()
        message.target = b''.join(self._url).decode()
        self._url.clear()
        is_last = message.method == 'CONNECT'  # it has no body, and what follows is another protocol's
        message.keep_alive = self._parser.should_keep_alive() and not is_last
        self._check_protocol(message)
        message.path = path_of(message.method, message.target, message.version)
        length = self._length = check_headers(message)
        message.host = host_of(message.target) or message.host
        if message.offers_upgrade:
            message.offers_upgrade = self._parser.should_upgrade() and not is_last
            message.keep_alive = message.keep_alive and not message.offers_upgrade
        if head > HEADERS:
            check_size(message)
        assert self._owner
        self._owner.begun(message)
        if length > message.limit:
            raise Refusal(413, 'the body is too large')

    def on_chunk_header(self) -> None:
        self._overhead -= PLAIN_CHUNK

    def on_message_complete(self) -> None:
        message = self._message
        if message.offers_upgrade:
            return
        if self._body:
            self._take_body()
        if message.is_chunked:  # for httptools a trailer is a header
            message.keep_alive = message.keep_alive and self._parser.should_keep_alive()
        self.is_in_body = False
        self.is_over = not message.keep_alive
        message.is_complete = True
        assert self._owner
        self._owner.ended(message)


class Rest:
    """What httptools tells of a body whose head was read by another parser."""

    def __init__(self, parser: Parser) -> None:
        self.on_body = parser.on_body
        self.on_chunk_header = parser.on_chunk_header
        self.on_message_complete = parser.on_message_complete
