"""One reload's attempt to import modules: what was parsed, imported, and failed."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a source says, whatever comes of running it."""
    code: CodeType
    imports: frozenset[str]
    patches: frozenset[str]  # attributes of other packages' modules that it sets


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of the last import of a module: the source that it was, what it imports and reads, the error and its traceback.

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
