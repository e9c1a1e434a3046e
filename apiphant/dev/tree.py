"""The product's Python files as they are on disk, by module name."""
from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

RACY = 0.05  # seconds: a file changed this lately may change again and keep its time stamps
LARGE = 8 * 1024 * 1024  # bytes, above which a file is not read to see whether it changed
SKIPPED = frozenset(('__pycache__', 'node_modules'))


@dataclass(frozen=True, slots=True)
class File:
    """`stamp` is what stat says of it, () when that cannot be relied on; `digest` is of its bytes, '' for a folder."""
    path: str
    stamp: tuple[int, ...]
    digest: str

    @property
    def is_empty(self) -> bool:
        return self.digest == EMPTY


Tree = Mapping[str, File]  # 'shop.api.v0.echo' -> File


def digest_of(source: bytes) -> str:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest()


EMPTY = digest_of(b'')


def scan(folder: Path, name: str, previous: Tree) -> dict[str, File]:
    """Every module below the package `name` in `folder`. Reads only files whose stat is not as in `previous`."""
    found: dict[str, File] = {}
    for module, entry, is_package in _walk(str(folder), name, frozenset()):
        file = _file(entry, previous.get(module))
        if file and (is_package or module not in found or not found[module].digest):
            found[module] = file
    return found


def _walk(folder: str, package: str, outer: frozenset[tuple[int, int]]) -> Iterator[tuple[str, str, bool]]:
    """Module name, path, and whether it is a package's own file; a link that leads back up is not followed."""
    try:
        identity = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # gone meanwhile, or not for us to read
        return
    key = (identity.st_dev, identity.st_ino)
    names = {entry.name for entry in entries}
    if key in outer or 'pyvenv.cfg' in names:
        return
    yield package, os.path.join(folder, '__init__.py') if '__init__.py' in names else folder, '__init__.py' in names
    for entry in entries:
        stem, suffix = os.path.splitext(entry.name)
        if entry.name.startswith('.') or entry.name in SKIPPED or '.' in stem:
            continue
        if not suffix and entry.is_dir():
            yield from _walk(entry.path, f'{package}.{stem}', outer | {key})
        elif suffix == '.py' and stem != '__init__' and entry.is_file():
            yield f'{package}.{stem}', entry.path, False


def _file(path: str, previous: File | None) -> File | None:
    """None for one that is gone."""
    if not path.endswith('.py'):
        return File(path, (), '')
    file = look_at(path, previous)
    return file if file.digest else None


def look_at(path: str, previous: File | None = None) -> File:
    """Any file as it is now, a folder by the names in it; with no digest if it is not there."""
    try:
        status = os.stat(path)
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        if previous and previous.path == path and previous.stamp == stamp:
            return previous
        digest = digest_of(_names(path) if S_ISDIR(status.st_mode) else _bytes(path, status))
    except OSError:
        return File(path, (), '')
    is_racy = time.time() - status.st_ctime < RACY
    return File(path, () if is_racy else stamp, digest)


def _names(folder: str) -> bytes:
    names = sorted(name for name in os.listdir(folder) if not name.startswith('.') and name not in SKIPPED)
    return os.fsencode('/'.join(names))


def _bytes(path: str, status: os.stat_result) -> bytes:
    """What there is to tell a file's content by: of a large one, or one that is no file, when it was written."""
    if not S_ISREG(status.st_mode) or status.st_size > LARGE:
        return b'%d %d' % (status.st_mtime_ns, status.st_size)
    with open(path, 'rb') as file:
        return file.read()
