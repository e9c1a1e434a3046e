"""What has come from a client and is not answered yet: bytes in, one request at a time out.

Plain requests that are whole need no parser; there is one only while a request is partly there. Not all that has come
is parsed at once: the next request is looked for when the one before is answered. No socket is known here.
"""
from __future__ import annotations

from .message import Message, Refusal
from .parser import SLICE, Parser
from .rules import REQUEST_LINE
from .site import Site


class Incoming:
    """Of one connection."""

    __slots__ = ('_at', '_blank', '_parser', '_site', '_unread', '_waiting', 'phase')

    def __init__(self, site: Site) -> None:
        self.phase = 0  # another number whenever a head begins, or a body
        self._site = site
        self._unread = b''  # from `_at` on
        self._at = 0
        self._blank = 0  # bytes of empty lines before a request
        self._parser: Parser | None = None
        self._waiting: list[Message] = []

    @property
    def is_at_rest(self) -> bool:
        """Nothing is there of a request."""
        return self._parser is None and not self.has_more

    @property
    def has_more(self) -> bool:
        """Bytes that are not looked at, or requests."""
        return bool(self._unread or self._waiting)

    @property
    def has_bytes(self) -> bool:
        """That are not looked at."""
        return bool(self._unread)

    @property
    def is_over(self) -> bool:
        """The last request was taken: whatever else comes is none."""
        return self._parser is not None and self._parser.is_over and not self._waiting

    @property
    def half(self) -> Message | None:
        """The request whose body is partly there."""
        return self._parser.message if self._parser is not None and self._parser.is_in_body else None

    @property
    def awaits_continue(self) -> bool:
        """Whether the client waits to be told to send a body that is wanted."""
        return self._parser is not None and self._parser.awaits_continue

    def is_continued(self) -> None:
        assert self._parser
        self._parser.is_continued()

    def add(self, data: bytes) -> None:
        self._unread += data

    def next(self) -> Message | None:
        """The next request that is whole, or that a handler reads as it comes."""
        while not self._waiting and self._unread:
            if self._parser is None:
                message = self._site.remembered.take(self._unread, self._at)
                if message is not None:
                    self._advance(message.end)
                    return message
            self.parse()
        return self._waiting.pop(0) if self._waiting else None

    def parse(self) -> None:
        """A part of what has come."""
        data = self._unread[self._at:self._at + SLICE]
        self._advance(self._at + len(data))
        if self._parser is None:
            self._begin(data)
        else:
            self._parser.feed(data)
        if self._parser is not None and self._parser.is_over:
            self._advance(len(self._unread))
        elif self._parser is not None and self._parser.is_at_rest:
            self._drop_parser()

    def _advance(self, end: int) -> None:
        """What came before is taken."""
        if end >= len(self._unread):
            self._unread = b''
            end = 0
        self._at = end

    def _begin(self, data: bytes) -> None:
        """A request; empty lines before it are passed over."""
        rest = data.lstrip(b'\r\n')
        self._blank += len(data) - len(rest)
        if not rest and self._blank <= REQUEST_LINE:
            return
        self.phase += 1
        self._parser = Parser(self)
        if self._blank > REQUEST_LINE:
            self._parser.refuse(Refusal(400, 'there are too many empty lines'))
        else:
            self._parser.feed(rest)

    def refuse(self, refusal: Refusal) -> None:
        """What is partly there."""
        assert self._parser
        self._parser.refuse(refusal)

    def drop(self) -> None:
        """Hold nothing more."""
        self._drop_parser()
        self._waiting.clear()
        self._unread = b''
        self._at = 0

    def _drop_parser(self) -> None:
        if self._parser is not None:
            self._parser.drop()
            self._parser = None

    # What the parser tells

    def begun(self, message: Message) -> None:
        """A head is whole, and its action is decided; a handler that reads the body itself need not wait for it."""
        self.phase += 1
        self._blank = 0
        action = message.action = self._site.app.routes.get(message.path)
        message.limit = self._site.settings.max_body
        if action is None:
            message.is_kept = False
        elif action.raw_environ:
            message.limit = action.max_body or message.limit
            self._waiting.append(message)

    def ended(self, message: Message) -> None:
        if message.action is None or not message.action.raw_environ:
            self._waiting.append(message)
