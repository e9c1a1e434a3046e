"""Heads of answers: the one place where they are built.

Whatever says what an answer is, a connection or a raw handler, hands it in here, and the same answer has the same head:
the headers, `Connection` where it has to be said, `Date`, and last what says where the body ends.
"""
from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate

WITHOUT_LENGTH = (204, 304)  # there is no body, and nothing may be said of its length
CHUNKED = 'Transfer-Encoding: chunked'

Headers = Sequence[tuple[str, str]]


class Clock:
    """The time, as it was at the last tick: what many heads have in common is made once."""

    def __init__(self) -> None:
        self.tick()

    def tick(self) -> None:
        self.now = time.monotonic()
        self.date = formatdate(usegmt=True)
        ok = head('200 OK', [('Content-Type', 'application/json')], self.date, framing=length(0))
        self.ok = ok.removesuffix(b'0\r\n\r\n')

    def head_of_ok(self, size: int) -> bytes:
        """Of a 200 with JSON, when the connection is kept."""
        return b'%b%d\r\n\r\n' % (self.ok, size)


def head(line: str, headers: Headers, date: str, *, connection: str = '', framing: str = '') -> bytes:
    """`line` is like '200 OK', `framing` a header that says where the body ends."""
    lines = [f'HTTP/1.1 {line}']
    lines += [f'{name}: {value}' for name, value in headers if name.lower() != 'content-length']
    if connection:
        lines.append(f'Connection: {connection}')
    if not any(name.lower() == 'date' for name, _ in headers):
        lines.append(f'Date: {date}')
    if framing:
        lines.append(framing)
    return '\r\n'.join([*lines, '', '']).encode('latin-1')


def connection_of(keep: bool, version: str) -> str:
    """What `Connection` should say: nothing where that is understood."""
    if not keep:
        return 'close'
    return '' if version == '1.1' else 'keep-alive'


def length(size: int) -> str:
    return f'Content-Length: {size}'


def length_for(status: int, size: int) -> str:
    """Of a body whose size is known."""
    return '' if status in WITHOUT_LENGTH else length(0 if status == 205 else size)
