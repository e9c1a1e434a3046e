"""`def around(call, proceed)` in an `__init__.py`: what runs around each call of a target in that folder or below it.

Whatever cannot be called so is an error where it is imported: a check that is not made must not go unseen.
"""
from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ..modules import names_of
from .call import Call
from .signature import place_of, takes

NAME = 'around'

Around = Callable[[Call, Callable[[], Any]], Any]


class Arounds:
    """Of packages that are imported; each is looked at once."""

    def __init__(self) -> None:
        self._known: dict[str, Around | TypeError | None] = {}

    def above(self, module: str) -> tuple[Around, ...]:
        """Those that calls of a target are in, from the package `api` on, the first outermost. Raises TypeError."""
        return tuple(self.packages_above(module).values())

    def packages_above(self, module: str) -> dict[str, Around]:
        """The same, by the name of the package."""
        parts = module.split('.')
        names = ['.'.join(parts[:size]) for size in range(2, len(parts) + 1)]
        found = {name: self._of(name) for name in names}
        return {name: around for name, around in found.items() if around is not None}

    def _of(self, name: str) -> Around | None:
        if name not in self._known:
            self._known[name] = self._look(name)
        known = self._known[name]
        if isinstance(known, TypeError):
            raise known
        return known

    def _look(self, name: str) -> Around | TypeError | None:
        try:
            return around_of(sys.modules.get(name))
        except TypeError as error:
            return error


def around_of(module: object) -> Around | None:
    """The one that a package of `api` defines. Raises TypeError for what cannot be one."""
    names = names_of(module)
    if NAME not in names or '__path__' not in names:
        return None
    found = names[NAME]
    why = _why_not(found)
    if why:
        raise TypeError(f'{_place(found, names)}: around {why}; it should be "def around(call, proceed)"')
    around: Around = found
    return around


def has_around(module: str) -> bool:
    """Whether a module that is imported defines something of that name."""
    return NAME in names_of(sys.modules.get(module))


def check_package(name: str, module: object) -> None:
    """Of any of the product's modules that was just imported. Raises TypeError."""
    if name.split('.')[1:2] == ['api']:
        around_of(module)


def _why_not(found: Any) -> str:
    if not callable(found):
        return f'is {type(found).__name__}, no function'
    if inspect.iscoroutinefunction(found):
        return 'is an async function'
    if inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
        return 'is a generator: it returns what proceed() gives'
    return '' if takes(found, 2) else 'cannot be called with a call and proceed'


def _place(found: Any, names: Mapping[str, Any]) -> str:
    return place_of(found) if hasattr(found, '__code__') else str(names.get('__file__') or names.get('__name__'))
