"""What stat says of the product's folders and Python files: which there are to watch, and what is not as it was.

Neither watched nor looked at: hidden folders, `node_modules`, `__pycache__`, and virtual environments below the
product.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from stat import S_ISDIR

from ..product_files import ENVIRONMENT, RACY, Stamp, is_ignored, is_module, stamp_of

GONE: Stamp = ()
UNKNOWN: Stamp = (0,)  # what it is, the next look tells


@dataclass(frozen=True, slots=True)
class Folder:
    """As it was when it was listed: `names` are those of Python files and of folders in it."""
    stamp: Stamp = GONE
    names: frozenset[str] = frozenset()

    @property
    def identity(self) -> Stamp:
        return self.stamp[:2]


class Tree:
    """`watch(folder)` is called for each folder before it is listed, `forget(folder)` when it is gone."""

    def __init__(self, root: str, watch: Callable[[str], None], forget: Callable[[str], None]) -> None:
        self.folders: dict[str, Folder] = {root: Folder()}
        self.files: dict[str, Stamp] = {}
        self._root = root
        self._watch = watch
        self._forget = forget

    def paths(self, others: Iterable[str]) -> list[str]:
        """All files, and others beside them."""
        wanted = set(others)
        self.files = {path: stamp for path, stamp in self.files.items() if stamp or path in wanted}
        return [*self.files, *(wanted - self.files.keys())]

    def look_at_folders(self) -> set[str]:
        """Paths that are not as they were, as far as their folder's time tells: what came, went, or was replaced."""
        found: set[str] = set()
        for path, known in list(self.folders.items()):
            stamp = _folder_stamp(path)
            if path in self.folders and stamp != known.stamp:
                found.update(self._look_into(path, known, stamp))
        return found

    def look_at(self, paths: Iterable[str]) -> set[str]:
        """Those of these files that are not as they were."""
        files = self.files
        found = set()
        for path in paths:
            try:
                status = os.stat(path)
                stamp = stamp_of(status)
            except (OSError, ValueError):  # a path that no file can have is one
                stamp = GONE
            if stamp != files.get(path, UNKNOWN):
                files[path] = UNKNOWN if stamp and _is_racy(status) else stamp
                found.add(path)
        return found

    def note(self, path: str) -> None:
        """Something was told of this path."""
        if path in self.folders or os.path.isdir(path):
            self._drop(path)
            if path == self._root or not is_ignored(os.path.basename(path)):
                self._add(path)
        elif path in self.files or is_module(path):
            self.files[path] = _file_stamp(path)

    def _look_into(self, path: str, known: Folder, stamp: Stamp) -> Iterator[str]:
        if stamp[:2] != known.identity:
            self._drop(path)
            self._add(path)
            yield path
            return
        names = self._list(path)
        yield from self._gone(path, known.names - names)
        yield from self._came(path, names)
        self.folders[path] = Folder(stamp, names)

    def _gone(self, folder: str, names: Iterable[str]) -> Iterator[str]:
        for path in (os.path.join(folder, name) for name in names):
            is_known = path in self.folders or self.files.get(path, GONE) != GONE
            self._drop(path)
            if is_known:
                yield path

    def _came(self, folder: str, names: Iterable[str]) -> Iterator[str]:
        paths = [os.path.join(folder, name) for name in names]
        yield from self.look_at(filter(is_module, paths))
        for path in paths:
            if path not in self.folders and not is_module(path):
                self._add(path)
                yield path

    def _add(self, path: str) -> None:
        """With all that is below it."""
        stamp = _folder_stamp(path)
        if stamp and not self._is_loop(path, stamp[:2]):
            self._watch(path)
            names = self._list(path)
            self.folders[path] = Folder(stamp, names)
            for below in (os.path.join(path, name) for name in names):
                if is_module(below):
                    self.files[below] = _file_stamp(below)
                else:
                    self._add(below)

    def _drop(self, path: str) -> None:
        """With all that is below it. The product's folder itself may come again."""
        self.files.pop(path, None)
        if path in self.folders:
            within = path + os.sep
            for known in [known for known in self.folders if known == path or known.startswith(within)]:
                self._forget(known)
                for name in self.folders.pop(known).names:
                    self.files.pop(os.path.join(known, name), None)
        if path == self._root:
            self.folders[path] = Folder()

    def _is_loop(self, path: str, identity: Stamp) -> bool:
        """A link that leads back up."""
        while len(path) > len(self._root):
            path = os.path.dirname(path)
            if self.folders.get(path, Folder()).identity == identity:
                return True
        return False

    def _list(self, folder: str) -> frozenset[str]:
        """Names of what counts in it; nothing in a virtual environment, which is not watched either."""
        names = set()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name == ENVIRONMENT and folder != self._root:
                        self._forget(folder)
                        return frozenset()
                    if is_module(entry.name) or (not is_ignored(entry.name) and entry.is_dir()):
                        names.add(entry.name)
        except OSError:  # gone meanwhile, or not for us to read
            return frozenset()
        return frozenset(names)


def _folder_stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return GONE
    if not S_ISDIR(status.st_mode):
        return GONE
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _file_stamp(path: str) -> Stamp:
    try:
        return stamp_of(os.stat(path))
    except (OSError, ValueError):
        return GONE


def _is_racy(status: os.stat_result) -> bool:
    return abs(time.time() - status.st_ctime) < RACY
