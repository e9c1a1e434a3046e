"""What the reloader says: what was reloaded, broken and mended, and what stays of modules imported anew. Each once."""
from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from ...words import count
from .. import escapes
from .attempts import Attempt
from .files import Files

NAMED = 8  # files that a log line names
STALL = 0.25  # seconds for which a module may hold all calls unsaid

log = logging.getLogger(__name__)


class Reporter:
    """Names files from the product's folder on."""

    def __init__(self, name: str, folder: Path, tree: Callable[[], Files]) -> None:
        self._tree = tree
        self._name = name
        self._folder = f'{folder}/'
        self._reports: dict[str, str] = {}
        self._elsewhere: dict[str, str] = {}
        self.is_silent = True

    def say_errors(self, attempts: Mapping[str, Attempt], live: Collection[str]) -> None:
        """Errors that were not there before, and the end of those that were."""
        if self.is_silent:
            return
        broken = {name: attempt for name, attempt in attempts.items() if attempt.error is not None}
        for name in self._reports.keys() - broken.keys():
            del self._reports[name]
            log.info('Mended: %s', self.show(name))
        for name, attempt in broken.items():
            if self._reports.get(name) != attempt.report and not attempt.is_undecided:
                self._reports[name] = attempt.report
                if attempt.report:
                    log.error('Broken: %s%s\n%s', self.show(name), _consequence(name in live), attempt.report)

    def say_elsewhere(self, reports: Mapping[str, str], attempts: Mapping[str, Attempt]) -> None:
        """Errors of a fresh process, of modules that are as they were here."""
        here = {name for name, attempt in attempts.items() if attempt.error is not None}
        for name, report in reports.items():
            if report and name not in here and self._elsewhere.get(name) != report:
                log.error('Broken: %s%s\n%s', self.show(name), _consequence(True), report)
        self._elsewhere = dict(reports)

    def say_reloaded(self, saved: Iterable[str], along: Iterable[str], number: int, milliseconds: float) -> None:
        """`saved` are files and modules that changed, `along` modules that were imported anew with them."""
        parts = [self._list(names) for names in (saved, along) if names]
        log.info('Reloaded %s in %.0f ms: %s', count(number, 'module'), milliseconds, ' -> '.join(parts))

    def say_held(self, name: str, seconds: float) -> None:
        if seconds > STALL:
            log.warning('%s held all calls for %.1f s when it was imported', self.show(name), seconds)

    def say_endless(self, name: str, seconds: float) -> None:
        log.warning('%s did not end its import in %g s, and was interrupted', self.show(name), seconds)

    def show(self, name: str) -> str:
        """The file of a module, or a file that is none, as a person would name it."""
        if name.startswith('/'):
            return escapes.shown(name.removeprefix(self._folder))
        if file := self._tree().get(name):
            return escapes.shown(file.path.removeprefix(self._folder))
        return name.removeprefix(self._name + '.').replace('.', '/') + ' (gone)'

    def _list(self, names: Iterable[str]) -> str:
        files = sorted(map(self.show, names))
        more = f' and {len(files) - NAMED} more' if len(files) > NAMED else ''
        return ', '.join(files[:NAMED]) + more


def _consequence(has_good_generation: bool) -> str:
    return '; the code before this goes on' if has_good_generation else '; its calls are answered with 503'
