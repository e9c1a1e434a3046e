"""What has changed on disk since the last look: the product's tree, and other files that its modules read."""
from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from ...api import routing
from ...api.product import Product
from ...api.routing import Target
from . import plan
from .attempts import Attempt
from .files import Disk, File, Files, is_being_written, look_at

SETTLING = 0.1  # seconds that a file may be missing, empty or half written, as editors do it, before that is believed
LONGEST_WRITING = 5.0  # seconds for which a process may have it open for writing, before what is there is believed


class Changes:
    """Compares what is on disk with the `attempts`.

    `look_again(seconds)` is asked for where something has to settle first.
    """

    def __init__(self, product: Product, attempts: Mapping[str, Attempt], look_again: Callable[[float], Any]) -> None:
        self.tree: Files = {}
        self.targets: list[Target] = []
        self._product = product
        self._attempts = attempts
        self._look_again = look_again
        self._disk = Disk(product.path, product.name)
        self._data: dict[str, File] = {}  # other files that modules read when they were imported, by path
        self._believed: dict[str, str] = {}  # paths of the tree, as far as they are believed
        self._seen: dict[str, float] = {}  # since when a change waits to be believed

    @property
    def data(self) -> list[str]:
        """Paths of other files that modules have read."""
        return sorted(self._reads())

    @property
    def roots(self) -> set[str]:
        """What is imported though nothing imports it."""
        tasks = f'{self._product.name}.api.background'
        return {target.module for target in self.targets} | {tasks} & self.tree.keys()

    @property
    def waiting(self) -> Set[str]:
        """Names whose change is not believed yet."""
        return self._seen.keys()

    def scan(self, paths: Collection[str] | None) -> None:
        """Look at these paths and what is in them, None for any, and at what waits to be believed."""
        importlib.invalidate_caches()
        wanted = None if paths is None else {*paths, *self._waiting_paths()}
        before, self.tree = self.tree, self._disk.look_at(wanted)
        if _paths(before) != _paths(self.tree) or self._seen.keys() - self._believed:
            self._scan_targets()
        self._data = {path: look_at(path, self._data.get(path)) for path in self._reads()}

    def _reads(self) -> set[str]:
        return {path for attempt in self._attempts.values() for path in attempt.reads}

    def _waiting_paths(self) -> Iterator[str]:
        for name in self._seen:
            if name in self.tree:
                yield self.tree[name].path
            if name in self._believed:
                yield self._believed[name]

    def _scan_targets(self) -> None:
        waiting = [target for target in self.targets if target.module not in self.tree]
        self.targets = routing.scan(self._product)[0]
        listed = {target.module for target in self.targets}
        self.targets += [target for target in waiting if target.module not in listed]

    def find(self, saved: frozenset[str]) -> set[str]:
        """Names and paths that differ from what was last attempted, less those that have to settle first.

        `saved` are paths that are known to be written whole.
        """
        changed = self._edited(saved) | self._moved()
        changed |= plan.stale(self._attempts, {path: file.digest for path, file in self._data.items()})
        now = time.monotonic()
        waiting = {name for name in changed if not self._is_settled(name, saved, now - self._seen.get(name, now))}
        self._seen = {name: self._seen.get(name, now) for name in waiting}
        if waiting:
            self._look_again(SETTLING / 2)
        return changed - waiting

    def _edited(self, saved: frozenset[str]) -> set[str]:
        """A broken module also counts when it is saved as it was: what it lacked may be there now."""
        known = {name: attempt for name, attempt in self._attempts.items() if name in self.tree}
        edited = {name for name, attempt in known.items() if self.tree[name].digest != attempt.digest}
        tried = {name for name, attempt in known.items() if attempt.error is not None and self.tree[name].path in saved}
        return edited | tried

    def _moved(self) -> set[str]:
        """Modules that came, went, or have another path."""
        return {name for name, _ in self._believed.items() ^ _paths(self.tree).items()}

    def _is_settled(self, name: str, saved: frozenset[str], waited: float) -> bool:
        file = self.tree.get(name) or self._data.get(name)
        if file and waited < LONGEST_WRITING and is_being_written(file.path):
            return False
        is_folder = name in self.tree and not self.tree[name].digest
        if is_folder or waited >= SETTLING:
            return True
        if file is None or (file.is_empty and (name in self._believed or name in self._data)):
            return False
        return file.path in saved or not _was_just_written(file)

    def digest(self, name: str) -> str:
        """Of a module's source, '' if there is none."""
        return self.tree[name].digest if name in self.tree else ''

    def is_missing(self, name: str) -> bool:
        """Whether this would be a module of the product, and is none."""
        return name.startswith(f'{self._product.name}.') and name not in self.tree

    def files_of(self, names: Collection[str]) -> set[str]:
        """Those of the names that are paths of data."""
        return {name for name in names if name in self._data}

    def fresh(self, changed: set[str]) -> set[str]:
        """Those that something else imported already as they are now."""
        return {name for name in changed - self._believed.keys() if name in self.tree and self._is_imported(name)}

    def _is_imported(self, name: str) -> bool:
        attempt = self._attempts.get(name)
        return attempt is not None and attempt.digest == self.tree[name].digest and attempt.error is None

    def believe_all(self) -> None:
        self._believed = _paths(self.tree)

    def believe(self, changed: set[str]) -> None:
        """These are as they are from now on; a target that is gone has no routes."""
        self._believed = {name: path for name, path in self._believed.items() if name not in changed}
        self._believed |= {name: self.tree[name].path for name in changed & self.tree.keys()}
        self.targets = [target for target in self.targets if target.module in self._believed]


def _paths(tree: Files) -> dict[str, str]:
    return {name: file.path for name, file in tree.items()}


def _was_just_written(file: File) -> bool:
    """As far as stat tells: changed just now, and by writing into it (a rename leaves the time of writing older)."""
    if file.stamp:
        return False
    try:
        status = Path(file.path).stat()
    except OSError:
        return True
    return status.st_mtime_ns == status.st_ctime_ns
