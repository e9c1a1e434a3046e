"""What the reloader says: what was reloaded, broken and mended, and what importing again leaves behind. Each thing once."""
from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ...words import count
from .. import escapes
from .attempts import Attempt
from .files import Tree

NAMED = 8  # files that a log line names
STALL = 0.25  # seconds for which a module may hold all calls unsaid

log = logging.getLogger(__name__)


class Reporter:
    """Names files from the product's folder on."""

    def __init__(self, name: str, folder: Path) -> None:
        self.tree: Tree = {}
        self._name = name
        self._folder = f'{folder}/'
        self._reports: dict[str, str] = {}
        self._warned: set[tuple[str, str]] = set()

    def say_errors(self, attempts: Mapping[str, Attempt], live: Collection[str]) -> None:
        """Errors that were not there before, and the end of those that were."""
        broken = {name: attempt for name, attempt in attempts.items() if attempt.error is not None}
        for name in self._reports.keys() - broken.keys():
            del self._reports[name]
            log.info('Mended: %s', self.show(name))
        for name, attempt in broken.items():
            if self._reports.get(name) != attempt.report:
                self._reports[name] = attempt.report
                if attempt.report:
                    log.error('Broken: %s%s\n%s', self.show(name), _consequence(name in live), attempt.report)

    def say_reloaded(self, saved: Iterable[str], along: Iterable[str], number: int, milliseconds: float) -> None:
        """`saved` are files and modules that changed, `along` modules that were imported anew with them."""
        parts = [self._list(names) for names in (saved, along) if names]
        log.info('Reloaded %s in %.0f ms: %s', count(number, 'module'), milliseconds, ' -> '.join(parts))

    def say_held(self, name: str, seconds: float) -> None:
        if seconds > STALL:
            log.warning('%s held all calls for %.1f s when it was imported', self.show(name), seconds)

    def warn_left(self, name: str, what: Iterable[str]) -> None:
        """Of a module that is imported anew, what it does each time and never undoes."""
        for thing in sorted(what):
            if (name, thing) not in self._warned:
                self._warned.add((name, thing))
                log.warning('%s %s each time it is imported; undo that with apiphant.reload.on_unload', self.show(name), thing)

    def show(self, name: str) -> str:
        """The file of a module, or a file that is none, as a person would name it."""
        if name.startswith('/'):
            return escapes.shown(name.removeprefix(self._folder))
        if name in self.tree:
            return escapes.shown(self.tree[name].path.removeprefix(self._folder))
        return name.removeprefix(self._name + '.').replace('.', '/') + ' (gone)'

    def _list(self, names: Iterable[str]) -> str:
        files = sorted(map(self.show, names))
        return ', '.join(files[:NAMED]) + (f' and {len(files) - NAMED} more' if len(files) > NAMED else '')


def _consequence(has_good_generation: bool) -> str:
    return '; the code before this goes on' if has_good_generation else '; its calls are answered with 503'
