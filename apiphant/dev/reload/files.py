"""The product's Python files as they are on disk, by module name."""
from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterator, Mapping
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


Files = Mapping[str, File]  # 'shop.api.v0.echo' -> File


Found = tuple[str, str, os.stat_result | None]  # module, path, stat; None for a folder


def digest_of(source: bytes) -> str:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest()


EMPTY = digest_of(b'')


def scan(folder: Path, name: str, previous: Files) -> dict[str, File]:
    """Every module below the package `name` in `folder`. Reads only files whose stat is not as in `previous`."""
    found: dict[str, File] = {}
    for module, path, status in _walk(str(folder), name, frozenset()):
        if status is None:
            found.setdefault(module, File(path, (), ''))
        elif (file := look_at(path, previous.get(module), status)).digest:
            found[module] = file
    return found


def _walk(folder: str, package: str, outer: frozenset[tuple[int, int]]) -> Iterator[Found]:
    """Module name, path, and stat of each file, None for a folder; packages after the modules of the same name.

    A link that leads back up is not followed, and a virtual environment that is below the product is none of its code.
    """
    try:
        identity = os.stat(folder)
        with os.scandir(folder) as listed:
            entries = {entry.name: entry for entry in listed}
    except OSError:  # gone meanwhile, or not for us to read
        return
    key = (identity.st_dev, identity.st_ino)
    if key in outer or (outer and 'pyvenv.cfg' in entries):
        return
    if '__init__.py' not in entries:
        yield package, folder, None
    folders = []
    for name, entry in entries.items():
        if name.endswith('.py'):
            if '.' not in name[:-3] and (status := _stat(entry)):
                yield package if name == '__init__.py' else f'{package}.{name[:-3]}', entry.path, status
        elif '.' not in name and name not in SKIPPED and entry.is_dir() and not _is_hidden(entry.path, entries):
            folders.append(entry)
    for entry in folders:
        yield from _walk(entry.path, f'{package}.{entry.name}', outer | {key})


def _is_hidden(folder: str, names: Collection[str]) -> bool:
    """By a module of that name beside it."""
    return os.path.basename(folder) + '.py' in names and not os.path.isfile(os.path.join(folder, '__init__.py'))


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None for what is no file."""
    try:
        status = entry.stat()
    except OSError:
        return None
    return status if S_ISREG(status.st_mode) else None


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def look_at(path: str, previous: File | None = None, status: os.stat_result | None = None) -> File:
    """Any file as it is now, a folder by the names in it; with no digest if it is not there."""
    try:
        status = status or os.stat(path)
        stamp = _stamp(status)
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
