"""What the head of a request may say, and what that means for its message. The limits of heads live here.

Refused are: a Host that is missing, double or not one; `*` and authority targets; versions other than 1.0 and 1.1; a
Transfer-Encoding other than `chunked`, or on 1.0; a Content-Length that is no number; and what is too large.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from .message import Message, Refusal

REQUEST_LINE = 8 * 1024  # bytes
HEADERS = 32 * 1024  # bytes of names and values in all
FIELDS = 100
LONGEST_LENGTH = 15  # digits
VERSIONS = ('1.1', '1.0')

HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(?::[0-9]*)?")
ABSOLUTE = re.compile(r'https?://([^/?#]*)', re.IGNORECASE)


@lru_cache(maxsize=256)
def path_of(method: str, target: str, version: str) -> str:
    """The path in a request line. Raises Refusal."""
    if version not in VERSIONS:
        raise Refusal(505 if version >= '1' else 400, f'HTTP/{version} is not spoken here')
    if len(target) + len(method) + len('  HTTP/1.1') > REQUEST_LINE:
        raise Refusal(414, 'the request line is too long')
    if not target.startswith('/') and not (target == '*' and method == 'OPTIONS'):
        absolute = ABSOLUTE.match(target)
        if not absolute:
            raise Refusal(400, 'the target is neither a path nor a URL')
        _check_host(absolute[1].encode())
        target = target[absolute.end():]
        target = target if target.startswith('/') else '/' + target
    return target.partition('?')[0].partition('#')[0]


def host_of(target: str) -> bytes:
    """The one that a URL names, which counts more than Host; b'' for a path."""
    absolute = None if target.startswith('/') else ABSOLUTE.match(target)
    return absolute[1].encode() if absolute else b''


def check_headers(message: Message) -> int:
    """Number, Host, framing and Expect. Returns the Content-Length, 0 without one. Raises Refusal."""
    hosts = length = 0
    for name, value in message.headers:
        lower = name.lower()
        if lower in CHECKED:
            if lower == b'host':
                hosts += 1
                message.host = value.strip(b' \t')
                _check_host(message.host)
            elif lower == b'content-length':
                length = _length(value)
            else:
                CHECKED[lower](message, value.strip(b' \t').lower())
    if len(message.headers) > FIELDS:
        raise Refusal(431, 'there are too many headers')
    if hosts > 1 or (not hosts and message.version == '1.1'):
        raise Refusal(400, 'there should be one Host')
    return length


def check_size(message: Message) -> None:
    """Of all headers. Raises Refusal."""
    if sum(len(name) + len(value) for name, value in message.headers) > HEADERS:
        raise Refusal(431, 'the headers are too large')


@lru_cache(maxsize=256)
def _check_host(value: bytes) -> None:
    if not HOST.fullmatch(value):
        raise Refusal(400, 'the host is none')


def _length(value: bytes) -> int:
    digits = value.strip(b' \t')
    if not digits.isdigit() or len(digits) > LONGEST_LENGTH:
        raise Refusal(400, 'Content-Length is no length')
    return int(digits)


def _check_encoding(message: Message, value: bytes) -> None:
    if value != b'chunked' or message.version != '1.1':
        raise Refusal(400, 'Transfer-Encoding should be chunked, and HTTP/1.1')
    message.is_chunked = True


def _check_expect(message: Message, value: bytes) -> None:
    if value != b'100-continue':
        raise Refusal(417, 'only 100-continue can be expected')
    message.expects_continue = message.version == '1.1'


def _note_connection(message: Message, value: bytes) -> None:
    """httptools passes over `close` on 1.0, where there is `keep-alive`, too."""
    if b'close' in (option.strip(b' \t') for option in value.split(b',')):
        message.keep_alive = False


def _note_upgrade(message: Message, value: bytes) -> None:
    message.offers_upgrade = True


def _note_origin(message: Message, value: bytes) -> None:
    message.origin = value if message.origin is None else b'%b,%b' % (message.origin, value)


CHECKED: dict[bytes, Callable[[Message, bytes], None]] = {
    b'host': lambda message, value: None, b'content-length': lambda message, value: None,
    b'transfer-encoding': _check_encoding, b'connection': _note_connection, b'expect': _check_expect,
    b'upgrade': _note_upgrade, b'origin': _note_origin}
