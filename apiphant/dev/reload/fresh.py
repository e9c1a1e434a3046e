"""Asks for a fresh process: where a swap would not give what that gives, or to hear whether something is broken."""
from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Set
from typing import Protocol

from ...modules import is_a, names_of
from .attempts import Attempt, Attempts
from .changes import Changes
from .decision import Decision, is_certain
from .patience import Endless
from .report import Reporter

WANTED = 'says RESTART = True'
WORDS = 120  # characters of an error's


class Restart(Protocol):
    """Asks for a fresh process. What was learned counts if that takes over."""

    def __call__(self, why: str, learned: Mapping[str, str], *, in_doubt: Collection[str] = (),
                 is_quiet: bool) -> object: ...


class FreshProcess:
    """Asked for once for each state of a module, with a reason that a log line will give."""

    def __init__(self, attempts: Attempts, changes: Changes, reporter: Reporter, restart: Restart) -> None:
        self._attempts = attempts
        self._changes = changes
        self._reporter = reporter
        self._restart = restart
        self._asked: dict[str, str] = {}  # digests of the modules for which one was asked for
        self.learned: Mapping[str, str] = {}  # why modules need one

    def without_asked(self, names: set[str]) -> set[str]:
        """Less those for which one was asked for already: if it fails, they wait for their next change."""
        return {name for name in names if self._asked.get(name) != self._changes.digest(name)}

    @property
    def reasons(self) -> dict[str, str]:
        """Why modules need one, by what was learned or by what they say themselves."""
        marked = {name: WANTED for name in self._attempts if _is_marked(name)}
        return {**self.learned, **marked}

    def ask(self, names: set[str], decision: Decision) -> None:
        """Since these changed."""
        self._asked.update({name: self._changes.digest(name) for name in names})
        if decision.reason == WANTED:
            files = ', '.join(sorted(map(self._reporter.show, names)))
            self._restart(f'{files} changed', {}, is_quiet=False)
        else:
            self.ask_because(decision.module, decision.reason, is_learned=False)

    def ask_because(self, name: str, why: str, *, is_learned: bool) -> None:
        """Since this module is as it is; with `is_learned` each of its changes needs one from now on."""
        learned = {name: why} if is_learned else {}
        self._restart(f'{self._reporter.show(name)} {why}', learned, is_quiet=True)

    def ask_about_failed(self, dirty: Set[str], longest: float) -> None:
        """Whether what failed of these is an error, unless that is certain."""
        failed = {name: self._attempts[name] for name in dirty & self._attempts.failed}
        for name, attempt in failed.items():
            if is_a(attempt.error, Endless) and attempt.report:
                self._reporter.say_endless(name, longest)
        doubtful = sorted(name for name, attempt in failed.items() if not self._is_certain(attempt))
        if doubtful:
            self._ask_about(doubtful, [name for name in doubtful if failed[name].report] or doubtful)

    def _ask_about(self, doubtful: list[str], causes: list[str]) -> None:
        self._attempts.doubt(doubtful)
        why = f'cannot be imported again ({_in_words(self._attempts[causes[0]])})'
        self._restart(f'{self._reporter.show(causes[0])} {why}', dict.fromkeys(causes, why), in_doubt=doubtful,
                      is_quiet=True)

    def _is_certain(self, attempt: Attempt) -> bool:
        return attempt.is_certain or is_certain(attempt.error, self._changes.is_missing)


def _is_marked(name: str) -> bool:
    return names_of(sys.modules.get(name)).get('RESTART') is True


def _in_words(attempt: Attempt) -> str:
    """The last line of its traceback."""
    return (attempt.report.splitlines() or [type(attempt.error).__name__])[-1][:WORDS]
