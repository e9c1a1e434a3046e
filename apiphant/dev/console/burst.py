"""Changes that belong together, and how long to wait for more of them."""
from __future__ import annotations

import os
from collections.abc import Iterable
from time import monotonic

from .git import Git

QUIET = 0.004  # seconds without changes that end a save
LONGEST = 0.2  # seconds after which it is taken to have ended
MANY = 5  # files, from which on this is no person saving but a tool, rsync for instance
MANY_QUIET = 0.05  # seconds
EACH_QUIET = 0.0003  # seconds more for each file: who changes a thousand may stop for a moment
MOST_QUIET = 0.3  # seconds
MANY_LONGEST = 5.0  # seconds
LATELY = 0.5  # seconds for which changed files count as many, though they have been looked at
GIT_QUIET = 1.0  # seconds without changes, after which git waits for something else
GIT_LONGEST = 60.0  # seconds
GIT_AGAIN = 0.005  # seconds, after which it is asked again whether git is done


class Burst:
    """What has changed since it was taken last."""

    def __init__(self) -> None:
        self.is_unheard = False  # no event told of some of it, so none may tell of what comes
        self._saved: set[str] = set()
        self._changed: set[str] = set()
        self._lately: dict[str, float] = {}  # when these changed
        self._began = self._last = 0.0
        self._git = Git()

    def __bool__(self) -> bool:
        return bool(self._saved or self._changed)

    def add(self, paths: Iterable[str], *, is_whole: bool = False, is_unheard: bool = False) -> None:
        """`is_whole`: their writer has closed them."""
        for path in paths:
            now = self._last = monotonic()
            self._began = self._began if self else now
            (self._saved if is_whole else self._changed).add(path)
            (self._changed if is_whole else self._saved).discard(path)
            self._lately[path] = now
            self.is_unheard |= is_unheard

    def take(self) -> tuple[set[str], set[str]]:
        """Paths that were saved whole, and others."""
        taken = self._saved, self._changed
        self._saved, self._changed, self.is_unheard = set(), set(), False
        self._lately = {path: when for path, when in self._lately.items() if monotonic() - when < LATELY}
        return taken

    def left(self) -> float:
        """Seconds to wait before it is time to ask again; 0 when it has ended."""
        folder = os.path.dirname(next(iter(self._saved or self._changed)))
        if self._git.is_at_work(folder):
            if self._left(GIT_QUIET, GIT_LONGEST) > 0:
                return GIT_AGAIN
            self._git.give_up(folder)
        number = len(self._lately)
        if number < MANY:
            return self._left(QUIET, LONGEST)
        return self._left(min(MANY_QUIET + number * EACH_QUIET, MOST_QUIET), MANY_LONGEST)

    def _left(self, quiet: float, longest: float) -> float:
        now = monotonic()
        return max(0.0, min(self._last + quiet, self._began + longest) - now)
