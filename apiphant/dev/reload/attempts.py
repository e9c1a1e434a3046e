"""What came of the last attempt to import each module of the product: what was parsed, imported, done, and failed."""
from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import CodeType

from ...modules import names_of
from ...reload import UNLOADERS
from ...tracebacks import format_error
from .decision import Change, Effects
from .graph import imported_by
from .side_effects import SideEffects

_context_of: Callable[[BaseException], BaseException | None] = vars(BaseException)['__context__'].__get__
_cause_of: Callable[[BaseException], BaseException | None] = vars(BaseException)['__cause__'].__get__


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a source says, whatever comes of running it."""
    code: CodeType
    imports: frozenset[str]
    patches: frozenset[str]  # attributes of other packages' modules that it sets


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of the last import of a module: its source, what it imports and reads, the error and its traceback.

    `report` is '' when the error came from a module that this one imports: it is reported there.
    """
    digest: str
    imports: frozenset[str] = frozenset()
    parsed: Parsed | None = None
    reads: Mapping[str, str] = field(default_factory=dict)  # path -> digest, '' when it was not there
    left: frozenset[str] = frozenset()  # what stays behind when it is imported anew, unless on_unload undoes it
    lasting: frozenset[str] = frozenset()  # what nothing undoes
    changes: frozenset[Change] = frozenset()  # in other modules of the product
    holds: bool = False  # a port or a lock
    held: float = 0.0  # seconds for which nobody else could run
    error: BaseException | None = None
    report: str = ''
    is_certain: bool = False  # a fresh process fails alike
    is_undecided: bool = False  # a fresh process is to tell whether this is an error


class Attempts(Mapping[str, Attempt]):
    """The last attempt of each module, by name. Only its own methods change it."""

    def __init__(self, package: str) -> None:
        self._within = package + '.'
        self._attempts: dict[str, Attempt] = {}
        self._executed: list[str] = []
        self.latest = ''  # whose import began last
        self.late_reads = 0  # that were noted after the imports
        self._failures: dict[str, BaseException] | None = None  # since staging began

    def __getitem__(self, name: str) -> Attempt:
        return self._attempts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attempts)

    def __len__(self) -> int:
        return len(self._attempts)

    @property
    def imports(self) -> dict[str, frozenset[str]]:
        return {name: attempt.imports for name, attempt in self._attempts.items()}

    def imported_by(self, name: str) -> set[str]:
        """What a module imports, directly or through others."""
        nothing = Attempt('')
        return imported_by(name, lambda importer: self._attempts.get(importer, nothing).imports)

    @property
    def failed(self) -> set[str]:
        """Modules whose import failed."""
        return {name for name, attempt in self._attempts.items() if attempt.error is not None}

    @property
    def broken(self) -> set[str]:
        """Those of them that are known to fail in a fresh process, too."""
        return {name for name in self.failed if not self._attempts[name].is_undecided}

    @contextmanager
    def staging(self) -> Iterator[None]:
        """Meanwhile failures are remembered, so that no module is executed for each of its importers."""
        failures = self._failures = {}
        try:
            yield
        finally:
            self._failures = None
            for error in failures.values():
                _drop_frames(error)

    def failure(self, name: str) -> BaseException | None:
        """The error with which this module failed while this staging goes on."""
        return (self._failures or {}).get(name)

    def begin(self, name: str, digest: str) -> Parsed | None:
        """A module of this source is about to be imported. Returns what was parsed if it is as before."""
        self.latest = name
        before = self._attempts.get(name, Attempt(''))  # its imports are the best guess while it has no syntax
        self._attempts[name] = Attempt(
            digest, before.imports, left=before.left, lasting=before.lasting, changes=before.changes)
        return before.parsed if before.digest == digest else None

    def imports_are(self, name: str, imports: frozenset[str]) -> None:
        self._attempts[name] = replace(self._attempts[name], imports=imports)

    def parsed(self, name: str, parsed: Parsed) -> None:
        self._attempts[name] = replace(self._attempts[name], imports=parsed.imports, parsed=parsed)

    def fail(self, name: str, error: BaseException, *, is_certain: bool = False) -> None:
        """Note that an import failed, with a report the first time that this error is seen."""
        causes = frozenset(other for other, attempt in self._attempts.items() if attempt.error is error)
        attempt = self._attempts.get(name, Attempt(''))
        if self._failures is not None:
            self._failures[name] = error
        report = '' if causes else format_error(error)
        is_certain = is_certain or attempt.parsed is None or any(self._attempts[cause].is_certain for cause in causes)
        self._attempts[name] = replace(
            attempt, imports=attempt.imports | causes, error=error, report=report, is_certain=is_certain)

    def fail_outside(self, name: str, error: BaseException, digest: str, packages: Iterable[str]) -> None:
        """Note a failure that may lie outside of the module's own code, in a package that it is in for instance."""
        if name not in self._attempts:
            self._attempts[name] = Attempt(digest, frozenset(packages))
        if self._attempts[name].error is not error:
            self.fail(name, error)

    def note(self, name: str, effects: SideEffects, changes: frozenset[Change]) -> None:
        """Note what came of executing a module, besides what it defines. If it failed, it may do again what it did."""
        attempt = self._attempts[name]
        before = attempt if attempt.error is not None else Attempt('')
        imports = {imported for imported in effects.imports if imported.startswith(self._within)}
        patches = {f'sets {key}' for key in attempt.parsed.patches} if attempt.parsed else set()
        self._attempts[name] = replace(
            attempt, imports=attempt.imports | imports, reads={**attempt.reads, **effects.reads},
            left=before.left | effects.left, lasting=before.lasting | effects.lasting | patches,
            changes=before.changes | changes, holds=effects.holds, held=effects.held)
        self._executed.append(name)

    @property
    def effects(self) -> dict[str, Effects]:
        """What imports of modules did beside defining names, as far as nothing undoes it."""
        found = {}
        for name, attempt in self._attempts.items():
            lasting = attempt.lasting if _has_unloader(name) else attempt.lasting | attempt.left
            if lasting or attempt.changes:
                found[name] = Effects(attempt.changes, lasting)
        return found

    def add_left(self, name: str, what: str) -> None:
        """What was seen later of what its import did."""
        self._attempts[name] = replace(self._attempts[name], left=self._attempts[name].left | {what})

    def add_import(self, module: str, imported: str) -> None:
        """Code of a module that was imported before imports another one."""
        attempt = self._attempts.get(module)
        is_new = attempt is not None and imported not in attempt.imports and imported != module
        if attempt is not None and is_new and imported.startswith(self._within):
            self._attempts[module] = replace(attempt, imports=attempt.imports | {imported})

    def add_read(self, module: str, path: str, digest: str) -> None:
        """Code of a module that was imported before reads a file."""
        if attempt := self._attempts.get(module):
            self.late_reads += path not in attempt.reads
            self._attempts[module] = replace(attempt, reads={path: digest, **attempt.reads})

    def add_change(self, name: str, change: Change) -> None:
        """What was seen later of what its import did."""
        self._attempts[name] = replace(self._attempts[name], changes=self._attempts[name].changes | {change})

    def doubt(self, names: Iterable[str]) -> None:
        """A fresh process is to tell whether these are broken."""
        for name in names:
            self._attempts[name] = replace(self._attempts[name], is_undecided=True)

    def judge(self, reports: Mapping[str, str]) -> None:
        """These are broken in a fresh process, and why. If it says nothing, then all that failed here."""
        for name, attempt in self._attempts.items():
            if attempt.is_undecided and (name in reports or not reports):
                report = reports.get(name, attempt.report)
                self._attempts[name] = replace(attempt, report=report, is_undecided=False)

    def outdate(self, names: Collection[str]) -> None:
        """Whatever these hold, they are not as they were."""
        for name in names:
            self._attempts[name] = replace(self._attempts[name], digest='')

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._attempts.pop(name, None)

    def take_executed(self) -> list[str]:
        """Modules whose code was executed since this was asked last."""
        executed, self._executed = self._executed, []
        return executed


def _drop_frames(error: BaseException) -> None:
    """They hold modules that are replaced, and have been told in the report."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        found = pending.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            BaseException.with_traceback(found, None)
            pending += [_context_of(found), _cause_of(found)]


def _has_unloader(name: str) -> bool:
    return UNLOADERS in names_of(sys.modules.get(name))
