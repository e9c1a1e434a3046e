"""What came of the last attempt to import each module of the product: what was parsed, imported, done, and failed."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import CodeType

from ...logs import format_error
from .side_effects import SideEffects


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
    left: frozenset[str] = frozenset()  # what stays behind when it is imported anew
    grown: frozenset[str] = frozenset()  # lists and the like of other modules that are longer since: 'shop.hooks.HOOKS'
    held: float = 0.0  # seconds for which nobody else could run
    error: BaseException | None = None
    report: str = ''


class Attempts(Mapping[str, Attempt]):
    """The last attempt of each module, by name. Only its own methods change it."""

    def __init__(self, package: str) -> None:
        self._within = package + '.'
        self._attempts: dict[str, Attempt] = {}
        self._executed: list[str] = []
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

    @property
    def broken(self) -> set[str]:
        """Modules whose import failed."""
        return {name for name, attempt in self._attempts.items() if attempt.error is not None}

    @contextmanager
    def staging(self) -> Iterator[None]:
        """Meanwhile failures are remembered, so that no module is executed for each of its importers."""
        self._failures = {}
        try:
            yield
        finally:
            self._failures = None

    def failure(self, name: str) -> BaseException | None:
        """The error with which this module failed while this staging goes on."""
        return (self._failures or {}).get(name)

    def begin(self, name: str, digest: str) -> Parsed | None:
        """A module of this source is about to be imported. Returns what was parsed if it is as before."""
        before = self._attempts.get(name)
        imports = before.imports if before else frozenset()  # the best guess while it has no syntax
        self._attempts[name] = Attempt(digest, imports)
        return before.parsed if before and before.digest == digest else None

    def imports_are(self, name: str, imports: frozenset[str]) -> None:
        self._attempts[name] = replace(self._attempts[name], imports=imports)

    def parsed(self, name: str, parsed: Parsed) -> None:
        self._attempts[name] = Attempt(self._attempts[name].digest, parsed.imports, parsed)

    def fail(self, name: str, error: BaseException) -> None:
        """Note that an import failed, with a report the first time that this error is seen."""
        causes = frozenset(other for other, attempt in self._attempts.items() if attempt.error is error)
        attempt = self._attempts.get(name, Attempt(''))
        if self._failures is not None:
            self._failures[name] = error
        report = '' if causes else format_error(error)
        self._attempts[name] = replace(attempt, imports=attempt.imports | causes, error=error, report=report)

    def fail_outside(self, name: str, error: BaseException, digest: str, packages: Iterable[str]) -> None:
        """Note a failure that may lie outside of the module's own code, in a package that it is in for instance."""
        if name not in self._attempts:
            self._attempts[name] = Attempt(digest, frozenset(packages))
        if self._attempts[name].error is not error:
            self.fail(name, error)

    def note(self, name: str, effects: SideEffects) -> None:
        """Note what came of executing a module, besides what it defines."""
        attempt = self._attempts[name]
        imports = {imported for imported in effects.imports if imported.startswith(self._within)}
        self._attempts[name] = replace(
            attempt, imports=attempt.imports | imports, reads=effects.reads, left=frozenset(effects.left),
            grown=frozenset(effects.grown), held=effects.held)
        self._executed.append(name)

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
