"""Looks at the tree in turn, where no event tells of a change, and takes a small share of a processor for it.

Folders and what changed lately are looked at each time: a file that is replaced changes its folder. A file that is
written in place does not: all others come in turn, as many at a time as the share allows.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic, thread_time

from .tree import Tree

SHARE = 0.02  # of a processor
PART = 400  # files that are looked at before events are heard again
LATELY = 200  # files that are edited now, probably


class Sweep:
    """`interval` is in seconds, `others()` gives files that count beside those of the tree."""

    def __init__(self, tree: Tree, interval: float, others: Callable[[], Iterable[str]]) -> None:
        self.due = 0.0  # when the next step is
        self._tree = tree
        self._interval = interval
        self._others = others
        self._folders_due = self._turn_due = 0.0
        self._turn: list[str] = []  # what is left of it
        self._lately: dict[str, None] = {}

    def step(self) -> set[str]:
        """Paths that are not as they were, of those whose time it is."""
        began, spent = monotonic(), thread_time()
        if began >= self._folders_due:
            self._folders_due = began + self._interval
            found = self._tree.look_at_folders() | self._tree.look_at(self._lately)
        else:
            found = self._tree.look_at(self._part(began))
        self.note(found)
        rested = monotonic() + (thread_time() - spent) / SHARE
        next_part = 0.0 if self._turn else self._turn_due
        self.due = max(rested, min(self._folders_due, next_part))
        return found

    def _part(self, now: float) -> list[str]:
        if not self._turn:
            self._turn_due = now + self._interval
            self._turn = self._tree.paths(self._others())
        part, self._turn = self._turn[:PART], self._turn[PART:]
        return part

    def everything(self) -> set[str]:
        """At once, whatever it takes."""
        found = self._tree.look_at_folders()
        found |= self._tree.look_at(self._tree.paths(self._others()))
        self.note(found)
        return found

    def note(self, paths: Iterable[str]) -> None:
        """These changed."""
        for path in paths:
            self._lately.pop(path, None)
            self._lately[path] = None
        while len(self._lately) > LATELY:
            del self._lately[next(iter(self._lately))]
