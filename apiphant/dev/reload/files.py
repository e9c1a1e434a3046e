"""The product's Python files as they are on disk, by module name."""
from __future__ import annotations

import errno
import hashlib
import os
import signal
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fcntl import F_RDLCK, F_SETLEASE, F_SETSIG, F_UNLCK, fcntl
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from ..product_files import ENVIRONMENT, IGNORED, RACY, Stamp, is_ignored, is_module, stamp_of
from .turns import Turns

LARGE = 8 * 1024 * 1024  # bytes, above which a file is not read to see whether it changed


@dataclass(frozen=True, slots=True)
class File:
    """`stamp` is what stat says of it, () when that cannot be relied on; `digest` is of its bytes, '' for a folder."""
    path: str
    stamp: Stamp
    digest: str

    @property
    def is_empty(self) -> bool:
        return self.digest == EMPTY


Files = Mapping[str, File]  # 'shop.api.v0.echo' -> File
Identity = tuple[int, int]  # of a folder, by whatever path


def digest_of(source: bytes) -> str:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest()


EMPTY = digest_of(b'')


class Disk:
    """Every module below the package `name` in `folder`, as it was when it was looked at last.

    Only what is told is looked at: nobody sees half of what a tool is changing, and no call waits for thousands of
    files: while all of it is read, others get their turn.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = str(folder)
        self._name = name
        self._turns = Turns()
        self._listed: dict[str, Listing] = {}
        self._known: dict[str, File] = {}  # before all of it is read anew

    def look_at(self, paths: Iterable[str] | None) -> Files:
        """At these, and what is in them; None for all. Reads only files whose stat is not as it was."""
        if paths is None:
            listings = self._listed.values()
            self._known = {file.path: file for listing in listings for file in listing.files.values()}
            self._listed = {}
        else:
            for path in paths:
                self._look_at(path)
        found: dict[str, File] = {}
        self._turns = Turns()
        self._gather(found, self._folder, self._name, frozenset())
        self._known = {}
        return found

    def _look_at(self, path: str) -> None:
        """Its folder, if that is not known: it came with it."""
        within = self._folder + os.sep
        folder, name = os.path.split(path)
        while folder not in self._listed and folder.startswith(within):
            path = folder
            folder, name = os.path.split(path)
        self._forget(path)
        if listing := self._listed.get(folder):
            listing.note(path, name)

    def _forget(self, folder: str) -> None:
        if folder in self._listed:
            within = folder + os.sep
            listed = self._listed.items()
            self._listed = {path: listing for path, listing in listed if path != folder and not path.startswith(within)}

    def _gather(self, found: dict[str, File], folder: str, package: str, outer: frozenset[Identity]) -> None:
        """The modules in a folder, then those below it: a package comes before a module of the same name.

        A link that leads back up is not followed, and a virtual environment that is below the product is none of its
        code.
        """
        listing = self._listing(folder)
        if listing is None or listing.identity in outer or (outer and listing.is_environment):
            return
        if '__init__.py' not in listing.files:
            found.setdefault(package, File(folder, (), ''))
        for name, file in listing.files.items():
            found[package if name == '__init__.py' else f'{package}.{name[:-3]}'] = file
        for name in listing.folders:
            path = os.path.join(folder, name)
            if not _is_hidden(path, listing.files):
                self._gather(found, path, f'{package}.{name}', outer | {listing.identity})

    def _listing(self, folder: str) -> Listing | None:
        """None if it is gone, or not for us to read."""
        if folder not in self._listed:
            self._turns.pause()
            try:
                self._listed[folder] = Listing(folder, self._known)
            except OSError:
                return None
        return self._listed[folder]


class Listing:
    """What is in a folder. Raises OSError."""

    def __init__(self, folder: str, known: Mapping[str, File]) -> None:
        status = os.stat(folder)
        self.identity = status.st_dev, status.st_ino
        self.files: dict[str, File] = {}
        self.folders: dict[str, None] = {}
        self.is_environment = False
        with os.scandir(folder) as entries:
            for entry in entries:
                self._add(entry, known)

    def note(self, path: str, name: str) -> None:
        """What it is now."""
        before = self.files.pop(name, None)
        self.folders.pop(name, None)
        if name == ENVIRONMENT:
            self.is_environment = os.path.isfile(path)
        elif is_module(name):
            self._add_file(name, path, before)
        elif _may_be_package(name) and os.path.isdir(path):
            self.folders[name] = None

    def _add(self, entry: os.DirEntry[str], known: Mapping[str, File]) -> None:
        if entry.name == ENVIRONMENT:
            self.is_environment = True
        elif is_module(entry.name):
            self._add_file(entry.name, entry.path, known.get(entry.path))
        elif _may_be_package(entry.name) and entry.is_dir():
            self.folders[entry.name] = None

    def _add_file(self, name: str, path: str, before: File | None) -> None:
        status = _stat(path)
        if status and (file := look_at(path, before, status)).digest:
            self.files[name] = file


def _may_be_package(name: str) -> bool:
    return '.' not in name and name not in IGNORED


def _is_hidden(folder: str, names: Collection[str]) -> bool:
    """By a module of that name beside it."""
    return os.path.basename(folder) + '.py' in names and not os.path.isfile(os.path.join(folder, '__init__.py'))


def _stat(path: str) -> os.stat_result | None:
    """None for what is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status if S_ISREG(status.st_mode) else None


def is_being_written(path: str) -> bool:
    """Whether a process has it open for writing now; False where that cannot be told.

    The kernel grants a lease for reading only on a file that nobody writes. It is given back at once: who opens the
    file meanwhile waits for that, and a signal tells us of it, SIGURG, which does nothing.
    """
    try:
        if not _stat(path):
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl(descriptor, F_SETSIG, signal.SIGURG)
        fcntl(descriptor, F_SETLEASE, F_RDLCK)
        fcntl(descriptor, F_SETLEASE, F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


def look_at(path: str, previous: File | None = None, status: os.stat_result | None = None) -> File:
    """Any file as it is now, a folder by the names in it; with no digest if it is not there."""
    try:
        status = status or os.stat(path)
        stamp = stamp_of(status)
        if previous and previous.path == path and previous.stamp == stamp:
            return previous
        digest = digest_of(_names(path) if S_ISDIR(status.st_mode) else _bytes(path, status))
    except OSError:
        return File(path, (), '')
    is_racy = time.time() - status.st_ctime < RACY
    return File(path, () if is_racy else stamp, digest)


def _names(folder: str) -> bytes:
    names = sorted(name for name in os.listdir(folder) if not is_ignored(name))
    return os.fsencode('/'.join(names))


def _bytes(path: str, status: os.stat_result) -> bytes:
    """What there is to tell a file's content by: of a large one, or one that is no file, when it was written."""
    if not S_ISREG(status.st_mode) or status.st_size > LARGE:
        return b'%d %d' % (status.st_mtime_ns, status.st_size)
    with open(path, 'rb') as file:
        return file.read()
