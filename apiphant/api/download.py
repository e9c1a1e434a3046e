"""The answer of one file: its headers, what the client has already, a part of it, and its bytes as they are taken.

By RFC 9110: If-None-Match, If-Modified-Since, If-Range and one range. Raw handlers' rules: PEP 3333.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from io import FileIO

from ..validation import status_line
from .call import Host
from .environ import Environ, StartResponse
from .media_types import media_type

PACKED = {'br': b'.br', 'gzip': b'.gz'}  # codings, the smallest first, and the names of files that have them
CHUNK = 128 * 1024  # bytes in memory
RANGE = re.compile(r'bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*')
TAG = re.compile(r'(?:W/)?("[^"]*")')
NONE = re.compile(r'q=0(?:\.0*)?')

Pairs = list[tuple[str, str]]


class Shrank(Exception):
    """The file became shorter while it was sent: what is missing cannot be made up."""


@dataclass(frozen=True, slots=True)
class File:
    """An open file, as it was when it was found."""
    opened: FileIO
    size: int
    changed: int  # in nanoseconds

    @property
    def seconds(self) -> int:
        return self.changed // 1_000_000_000

    def close(self) -> None:
        self.opened.close()


class Download:
    """A file and its packed ones, open until one of them is sent."""

    def __init__(
        self, name: str, plain: File, packed: Mapping[str, File | None], max_age: int, host: Host,
    ) -> None:
        self._name = name
        self._plain = plain
        self._packed = {coding: file for coding, file in packed.items() if file}
        self._max_age = max_age
        self._host = host

    def answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        file, coding = self._chosen(environ.get('HTTP_ACCEPT_ENCODING') or '')
        self._close_all_but(file)
        status, headers, start, size = self._decided(environ, file, coding)
        start_response(status_line(status), headers)
        if environ['REQUEST_METHOD'] == 'GET' and size:
            return chunks(file, start, size, self._host)
        file.close()
        return []

    def _chosen(self, accepted: str) -> tuple[File, str]:
        """The one to send, and how it is packed. A packed one that is older than the file was made of another."""
        for coding in accepted_of(accepted):
            file = self._packed.get(coding)
            if file and file.changed >= self._plain.changed:
                return file, coding
        return self._plain, ''

    def _close_all_but(self, chosen: File) -> None:
        for file in (self._plain, *self._packed.values()):
            if file is not chosen:
                file.close()

    def _decided(self, environ: Environ, file: File, coding: str) -> tuple[int, Pairs, int, int]:
        """Status and headers, where the bytes begin, and how many there are."""
        tag = f'"{file.changed:x}-{file.size:x}{coding and "-" + coding}"'
        about = self._about(file, tag)
        if has_already(environ, tag, file.seconds):
            return 304, about, 0, 0
        kind = ('Content-Type', media_type(self._name))
        about += [kind, ('Accept-Ranges', 'bytes'), *([('Content-Encoding', coding)] if coding else [])]
        part = part_of(environ, tag, file)
        if part is None:
            return 200, [*about, ('Content-Length', str(file.size))], 0, file.size
        start, size = part
        if not size:
            return 416, [kind, ('Content-Range', f'bytes */{file.size}'), ('Content-Length', '0')], 0, 0
        where = f'bytes {start}-{start + size - 1}/{file.size}'
        return 206, [*about, ('Content-Range', where), ('Content-Length', str(size))], start, size

    def _about(self, file: File, tag: str) -> Pairs:
        caching = f'public, max-age={self._max_age}' if self._max_age else 'no-cache'
        date = formatdate(file.seconds, usegmt=True)
        about = [('ETag', tag), ('Last-Modified', date), ('Cache-Control', caching)]
        return [*about, ('Vary', 'Accept-Encoding')] if self._packed else about


def accepted_of(header: str) -> list[str]:
    """The codings of PACKED that an Accept-Encoding names, the smallest first."""
    named = set()
    for part in header.lower().split(','):
        coding, _, weight = ''.join(part.split()).partition(';')
        if not NONE.fullmatch(weight):
            named.add(coding)
    return [coding for coding in PACKED if coding in named]


def has_already(environ: Environ, tag: str, seconds: int) -> bool:
    """Whether the client has what would be sent."""
    tags = environ.get('HTTP_IF_NONE_MATCH')
    if tags is not None:
        return tags.strip() == '*' or tag in TAG.findall(tags)
    since = seconds_of(environ.get('HTTP_IF_MODIFIED_SINCE') or '')
    return since is not None and seconds <= since


def seconds_of(date: str) -> int | None:
    """Of an HTTP date; None for what is none."""
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def part_of(environ: Environ, tag: str, file: File) -> tuple[int, int] | None:
    """Where it starts and its size, 0 for one that is not there; None for all of it."""
    found = RANGE.fullmatch(environ.get('HTTP_RANGE') or '')
    if environ['REQUEST_METHOD'] != 'GET' or not found or not _is_same(environ.get('HTTP_IF_RANGE'), tag, file):
        return None
    first, last = found.groups()
    if first:
        end = min(int(last) + 1, file.size) if last else file.size
        is_none = last and int(last) < int(first)
        return None if is_none else (int(first), max(end - int(first), 0))
    size = min(int(last), file.size) if last else -1
    return None if size < 0 else (file.size - size, size)


def _is_same(known: str | None, tag: str, file: File) -> bool:
    """Whether the part would be one of what the client has: it says so by If-Range, if at all."""
    return known is None or known.strip() == tag or seconds_of(known) == file.seconds


def chunks(file: File, start: int, size: int, host: Host) -> Iterator[bytes]:
    """Others have their turn after each. Raises Shrank."""
    with file.opened as opened:
        opened.seek(start)
        while size:
            data = opened.read(min(size, CHUNK))
            if not data:
                raise Shrank('the file became shorter while it was sent')
            size -= len(data)
            yield data
            if size:
                host.give_way()
