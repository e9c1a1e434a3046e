"""Heads that need no parser: what one says is known by its bytes, or line by line.

Only a plain part of HTTP/1.1 is read here: a path, fields without folds and controls, one Host, at most one length, no
chunks, no expectation, no upgrade. Of such a head this says what the parser would say, or None; all else, and all that
is refused, is the parser's. What is remembered is bounded in number and bytes, and forgotten when the routes change.
"""
from __future__ import annotations

import re
from typing import Any

from ..api.actions import Routes
from ..api.application import Application
from .message import Message
from .rules import HOST, LONGEST_LENGTH, path_of

LONGEST = 4 * 1024  # bytes of a head
LONGEST_LINE = 512  # bytes of a line that is remembered
MOST_LINES = 50
HEADS = 256
LINES = 1024
SEEN = 1024

END = b'\r\n\r\n'
REQUEST = re.compile(rb"(POST|GET|PUT|DELETE|PATCH|HEAD|OPTIONS) (/[A-Za-z0-9/._~%?&=+,;:@!$'()*-]*) HTTP/(1\.[01])")
FIELD = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+):([\t\x20-\x7e\x80-\xff]*)")
SPECIAL = frozenset((
    b'connection', b'content-length', b'expect', b'host', b'http2-settings', b'keep-alive', b'origin',
    b'proxy-connection', b'te', b'trailer', b'transfer-encoding', b'upgrade'))
KEEPS = {b'close': False, b'keep-alive': True}

Effect = tuple[str, Any]
NONE: Effect = ('', None)
UNREADABLE: Effect = ('unreadable', None)


class Remembered:
    """What is known of heads for one application."""

    def __init__(self, app: Application, max_body: int) -> None:
        self._app = app
        self._routes: Routes = app.routes
        self._max_body = max_body
        self._heads: dict[bytes, tuple[int, dict[str, Any]]] = {}  # length of the body, and what the message is
        self._seen: set[int] = set()  # hashes of heads that came once
        self._requests: dict[bytes, dict[str, Any]] = {}  # by request line
        self._effects: dict[bytes, Effect] = {}  # by line

    def take(self, data: bytes, start: int) -> Message | None:
        """The whole request that begins there; `end` says where it ends. None: ask the parser."""
        if self._routes is not self._app.routes:
            self._forget()
        end = data.find(END, start) + 4
        if not start < end <= start + LONGEST:
            return None
        head = data[start:end]
        known = self._heads.get(head) or self._read(head)
        if known is None:
            return None
        length, says = known
        message = Message.__new__(Message)
        message.end = end + length
        if message.end > len(data):
            return None
        message.__dict__.update(says)
        message.body = [data[end:message.end]] if length and message.is_kept else []
        return message

    def _forget(self) -> None:
        self._routes = self._app.routes
        for kept in (self._heads, self._seen, self._requests):
            kept.clear()

    def _read(self, head: bytes) -> tuple[int, dict[str, Any]] | None:
        """Line by line."""
        first, *lines = head[:-len(END)].split(b'\r\n')
        request = self._requests.get(first) or self._read_request(first)
        fields = self._read_fields(lines)
        if request is None or fields is None or len(lines) > MOST_LINES:
            return None
        if 'host' not in fields and request['version'] == '1.1':
            return None
        length = fields.get('length', 0)
        if length > request['limit']:
            return None
        known = length, {**request, **fields, 'head': head}
        self._keep(head, known)
        return known

    def _keep(self, head: bytes, known: tuple[int, dict[str, Any]]) -> None:
        """One that came before: many never come again."""
        number = hash(head)
        if number in self._seen:
            _make_room(self._heads, HEADS)
            self._heads[head] = known
        else:
            _make_room(self._seen, SEEN)
            self._seen.add(number)

    def _read_request(self, line: bytes) -> dict[str, Any] | None:
        found = REQUEST.fullmatch(line)
        if not found:
            return None
        method, target, version = (part.decode() for part in found.groups())
        path = path_of(method, target, version)
        action = self._app.routes.get(path)
        request = {
            'method': method, 'target': target, 'path': path, 'version': version, 'action': action, 'is_complete': True,
            'limit': (action.raw_environ and action.max_body) or self._max_body if action else self._max_body,
            'is_kept': action is not None, 'keep_alive': version == '1.1',
        }
        if len(line) <= LONGEST_LINE:
            _make_room(self._requests, HEADS)
            self._requests[line] = request
        return request

    def _read_fields(self, lines: list[bytes]) -> dict[str, Any] | None:
        """What they say about the message, each thing once."""
        said: dict[str, Any] = {}
        effects = self._effects
        for line in lines:
            kind, value = effects.get(line) or self._read_field(line)
            if kind:
                if kind == 'unreadable' or kind in said:
                    return None
                said[kind] = value
        return said

    def _read_field(self, line: bytes) -> Effect:
        effect = effect_of(line)
        if len(line) <= LONGEST_LINE:
            _make_room(self._effects, LINES)
            self._effects[line] = effect
        return effect


def _make_room(kept: Any, most: int) -> None:
    if len(kept) >= most:
        kept.clear()


def effect_of(line: bytes) -> Effect:
    """What a header line means for its message."""
    found = FIELD.fullmatch(line)
    if not found:
        return UNREADABLE
    name, value = found[1].lower(), found[2].strip(b' \t')
    if name not in SPECIAL:
        return NONE
    if name == b'host' and HOST.fullmatch(value):
        return 'host', value
    if name == b'content-length' and value.isdigit() and len(value) <= LONGEST_LENGTH:
        return 'length', int(value)
    if name == b'connection' and value.lower() in KEEPS:
        return 'keep_alive', KEEPS[value.lower()]
    return ('origin', value.lower()) if name == b'origin' else UNREADABLE
