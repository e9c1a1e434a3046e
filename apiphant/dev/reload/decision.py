"""Swap, or let a fresh process decide? Pure: what is known of modules in, what to do out.

A swap is right where its result is that of a fresh start. What an import changes in other modules of the product is
done again by importing those anew, too. What it does to the process, or puts into a library, only a fresh process is
free of. So is everything that failed, unless its source is no Python: whether that is an error, a fresh start tells.
"""
from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from typing import Any

from ...modules import is_a
from .graph import importers

IN_USE = frozenset((errno.EADDRINUSE, errno.EAGAIN, errno.EACCES, errno.EBUSY, errno.EEXIST, errno.EDEADLK))
_name_of = vars(ImportError)['name'].__get__

IN_USE_WORDS = ('lock', 'in use', 'already running', 'busy')


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """What an import changed in an object of another module: the name there, and whether a library keeps it."""
    module: str
    name: str
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class Effects:
    """What importing a module does beside defining its names."""
    changes: frozenset[Change] = frozenset()
    lasting: frozenset[str] = frozenset()  # what is done to the process, in words


@dataclass(frozen=True, slots=True)
class Decision:
    """What to import anew; or, with a reason, that a fresh process is wanted because of `module`."""
    dirty: frozenset[str]
    module: str = ''
    reason: str = ''

    @property
    def is_swap(self) -> bool:
        return not self.reason


def decide(dirty: Set[str], imports: Mapping[str, Collection[str]], effects: Mapping[str, Effects],
           learned: Mapping[str, str]) -> Decision:
    """Before anything is imported. `learned` says why modules need a fresh process."""
    wide = widened(dirty, imports, effects)
    for name in sorted(wide, key=lambda name: (name not in dirty, name)):
        if reason := learned.get(name) or _reason(effects.get(name), wide):
            return Decision(wide, name, reason)
    return Decision(wide)


def widened(dirty: Set[str], imports: Mapping[str, Collection[str]],
            effects: Mapping[str, Effects]) -> frozenset[str]:
    """With the modules in which these changed something when they were imported last, and what imports those."""
    found = set(dirty)
    while True:
        changes = (change for name in found if name in effects for change in effects[name].changes)
        owners = {change.module for change in changes if not change.is_foreign} - found
        if not owners:
            return frozenset(found)
        found |= importers(owners, imports)


def _reason(effects: Effects | None, dirty: Collection[str]) -> str:
    if effects is None:
        return ''
    for what in sorted(effects.lasting):
        return what
    for change in sorted(effects.changes):
        if change.module not in dirty:
            return f'registers in {change.name} of {change.module}'
    return ''


def is_in_use(error: BaseException | None) -> bool:
    """Whether an import seems to have failed because of what another process holds."""
    try:
        while error is not None:
            if _says_in_use(error):
                return True
            error = error.__cause__ or error.__context__
    except Exception:  # an error of the product's own, which does not even let itself be shown
        pass
    return False


def _says_in_use(error: BaseException) -> bool:
    if is_a(error, OSError) and getattr(error, 'errno', 0) in IN_USE:
        return True
    text = f'{type(error).__name__} {error}'.lower()
    return any(word in text for word in IN_USE_WORDS)


def is_certain(error: BaseException | None, is_missing: Callable[[str], bool]) -> bool:
    """Whether a fresh start need not be asked: the source is no Python, imports a module that the product lacks, or
    somebody interrupted the import, of which a fresh start would know nothing."""
    if is_a(error, ModuleNotFoundError):
        name = _missing(error)
        return bool(name) and is_missing(name)
    return is_a(error, SyntaxError) or is_a(error, KeyboardInterrupt)


def _missing(error: Any) -> str:
    """What was to be imported, '' if it is not said."""
    name = _name_of(error)
    return name if type(name) is str else ''
