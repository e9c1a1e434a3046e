"""The product's Python files as they are on disk, by module name."""
from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

RACY = 0.05  # seconds: a file changed this lately may change again and keep its time stamps
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
    try:
        status = os.stat(path)
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        if previous and previous.path == path and previous.stamp == stamp:
            return previous
        with open(path, 'rb') as file:
            digest = digest_of(file.read())
    except OSError:
        return None
    is_racy = time.time() - status.st_ctime < RACY
    return File(path, () if is_racy else stamp, digest)
