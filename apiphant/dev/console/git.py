"""Whether git is changing the tree: it holds a lock for the whole of a checkout, a merge, or a step of a rebase."""
from __future__ import annotations

import os
import time
from collections.abc import Iterator

OLD = 60.0  # seconds after which a lock was left behind
STEP = 1.0  # seconds in which a rebase goes from one commit to the next, unless it waits for its user
SEQUENCES = ('rebase-merge', 'rebase-apply', 'sequencer')  # there while several commits are gone through

Lock = tuple[str, int, int]


class Git:
    """What git does to the trees that a folder is in, linked ones and submodules too, and to those around them."""

    def __init__(self) -> None:
        self._left: set[Lock] = set()  # behind, or held while git does something else

    def is_at_work(self, folder: str) -> bool:
        return any(self._is_locked(path) or _is_in_sequence(path) for path in _repositories(folder))

    def give_up(self, folder: str) -> None:
        """The locks that are there are not waited for any more."""
        locks = map(_lock_of, _repositories(folder))
        self._left = {lock for lock in locks if lock}

    def _is_locked(self, repository: str) -> bool:
        lock = _lock_of(repository)
        return lock is not None and lock not in self._left


def _repositories(folder: str) -> Iterator[str]:
    """The folders in which git keeps the state of the trees."""
    while True:
        path = os.path.join(folder, '.git')
        if os.path.isdir(path):
            yield path
        elif os.path.isfile(path):
            yield _linked(path)
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _linked(path: str) -> str:
    """What the file `.git` of a linked tree or a submodule names."""
    try:
        with open(path, encoding='utf-8', errors='surrogateescape') as file:
            name = file.read().strip().removeprefix('gitdir:').strip()
    except OSError:
        return path
    return os.path.join(os.path.dirname(path), name)


def _lock_of(repository: str) -> Lock | None:
    path = os.path.join(repository, 'index.lock')
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    is_old = time.time() - status.st_mtime > OLD
    return None if is_old else (path, status.st_ino, status.st_mtime_ns)


def _is_in_sequence(repository: str) -> bool:
    """Between two commits of a rebase: what it notes of each is new."""
    for name in SEQUENCES:
        path = os.path.join(repository, name)
        if os.path.isdir(path):
            times = map(_modified, (path, os.path.join(repository, 'index'), os.path.join(repository, 'HEAD')))
            return abs(time.time() - max(times)) < STEP
    return False


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
