"""The folder `public/` of a product: the path of a URL in, and the open file that is there out, or none.

A file is there if it lies in the folder, after all links, and no name on the way begins with a dot. Nothing is
remembered: a file that is saved is served, and ten thousand cost what one costs. It is found before it is opened, by a
descriptor that opens nothing (O_PATH): what a FIFO or a device would do when it is opened does not happen, and what was
looked at is what is sent, whatever the folder becomes meanwhile.
"""
from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from stat import S_ISREG
from urllib.parse import quote

from ..validation import ApiError, status_line
from .actions import Action
from .call import Host
from .download import PACKED, Download, File
from .environ import Environ, StartResponse, path_of

METHODS = ('GET', 'HEAD')
MAX_AGE = 60  # seconds, in production
API = b'api'  # what is below that is never a file
INDEX = b'index.html'
DESCRIPTORS = b'/proc/self/fd/%d'
ABSENT = (errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Redirect:
    """A folder was asked for without the slash at its end, by which its page finds what is in it."""
    path: bytes

    def answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        query = environ.get('QUERY_STRING') or ''
        location = quote(self.path) + (f'/?{query}' if query else '/')
        headers = [('Location', location), ('Content-Type', 'text/html; charset=utf-8'), ('Content-Length', '0')]
        start_response(status_line(302), headers)
        return []


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Whether there is a file cannot be said."""
    error: OSError

    def answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        log.error('%s %s failed: %s', environ['REQUEST_METHOD'], path_of(environ), self.error)
        raise ApiError(500)


class Public:
    """`max_age`: seconds for which browsers need not ask again; 0 makes them ask each time."""

    def __init__(self, folder: Path, max_age: int) -> None:
        self._folder = os.fsencode(folder)
        self._max_age = max_age

    def action(self, path: bytes, host: Host) -> Action | None:
        """The raw action that answers a GET or HEAD of a path, without its escapes. None: there is no such file."""
        names = names_of(path)
        if names is None:
            return None
        found: Download | Redirect | Unreadable | None
        try:
            found = self._download(names, host) or self._redirect(path, names)
        except OSError as error:
            found = Unreadable(error)
        return Action(found.answer, raw_environ=True, raw_response=True) if found else None

    def _download(self, names: list[bytes], host: Host) -> Download | None:
        if not names[-1]:
            names = [*names[:-1], INDEX]
        plain = self._open(names)
        if plain is None:
            return None
        packed = {coding: self._open([*names[:-1], names[-1] + end]) for coding, end in PACKED.items()}
        return Download(names[-1].decode(errors='replace'), plain, packed, self._max_age, host)

    def _redirect(self, path: bytes, names: list[bytes]) -> Redirect | None:
        index = self._open([*names, INDEX]) if names[-1] else None
        if index is None:
            return None
        index.close()
        return Redirect(path)

    def _open(self, names: list[bytes]) -> File | None:
        """The regular file that is there. Raises OSError for what is nobody's name: a full table, a broken disk."""
        try:
            root = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
            try:
                return _open_below(root, names)
            finally:
                os.close(root)
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise


def names_of(path: bytes) -> list[bytes] | None:
    """The names on the way to a file, the last b'' for a folder. None: it could never be one of `public/`."""
    first, *names = path.split(b'/')
    if first or not names or names[0] == API or b'\0' in path:
        return None
    if any(not name or name.startswith(b'.') for name in names[:-1]) or names[-1].startswith(b'.'):
        return None
    return names


def _open_below(root: int, names: list[bytes]) -> File | None:
    """Raises OSError."""
    found = os.open(b'/'.join(names), os.O_PATH, dir_fd=root)
    try:
        facts = os.fstat(found)
        if not S_ISREG(facts.st_mode) or not _is_below(root, found):
            return None
        return File(FileIO(os.open(DESCRIPTORS % found, os.O_RDONLY)), facts.st_size, facts.st_mtime_ns)
    finally:
        os.close(found)


def _is_below(root: int, found: int) -> bool:
    """Whether it is in the folder in truth, and nothing on the way there is hidden."""
    folder, path = (os.readlink(DESCRIPTORS % number) for number in (root, found))
    inside = path.removeprefix(folder.rstrip(b'/') + b'/')
    return inside != path and not any(name.startswith(b'.') for name in inside.split(b'/'))
