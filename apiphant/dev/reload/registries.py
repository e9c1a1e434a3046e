"""What an import changes in other modules of the product: entries of registries, attributes, wrapped functions.

Of each module that was imported, the containers are known that can be reached from its names, and what they held.
Nothing here runs code of the product: objects are looked at as the garbage collector does.
"""
from __future__ import annotations

import gc
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from ...modules import is_a, names_of
from .decision import Change

MOST = 200  # objects of a module that are looked at, the nearest first
PLAIN = frozenset(map(id, (
    dict, OrderedDict, defaultdict, list, set, deque, tuple, frozenset, partial,
    CellType, MethodType, SimpleNamespace)))
CONTAINERS = (dict, list, set, deque)
OF_THE_LIBRARY = ('collections', 'functools', 'types', 'weakref', '_weakrefset', 'builtins', '_collections')

HEAP_TYPE = 1 << 9  # of a type's flags: made by a class statement
NOT_LOOKED_AT = frozenset(sys.stdlib_module_names) | {'apiphant', 'gevent', 'greenlet'}

_flags_of = vars(type)['__flags__'].__get__

Held = tuple[int, ...]  # identities


@dataclass(slots=True)
class Reached:
    """An object that a name of a module leads to, and what it held."""
    name: str
    value: Any
    is_foreign: bool
    held: Held


class Registries:
    """What the modules of the package held when they were last looked at."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._reached: dict[str, list[Reached]] = {}

    def look_at(self, name: str) -> None:
        """A module has been imported."""
        self._reached[name] = list(reach(name, names_of(sys.modules.get(name)), self._package))

    def forget(self, names: Collection[str]) -> None:
        for name in names:
            self._reached.pop(name, None)

    def changes(self, names: Collection[str]) -> frozenset[Change]:
        """What these modules hold now that they did not hold before. From now on it counts as known."""
        found = set()
        for module in names:
            for reached in self._reached.get(module, ()):
                held = _held(reached.value)
                if held != reached.held:
                    reached.held = held
                    found.add(Change(module, reached.name, reached.is_foreign))
        return frozenset(found)


def reach(module: str, names: dict[str, Any], package: str) -> Iterator[Reached]:
    """A module's names, and the containers that they lead to."""
    seen = {id(names)}
    pending = deque([('', names, False)])
    for _ in range(MOST):
        if not pending:
            return
        name, value, is_foreign = pending.popleft()
        yield Reached(name or 'names', value, is_foreign, _held(value))
        for key, child in _children(value, is_top=not name):
            if id(child) not in seen and _is_looked_at(child, module, is_foreign):
                seen.add(id(child))
                pending.append((name or key, child, is_foreign or _is_foreign(child, package)))


def _children(value: Any, is_top: bool) -> Iterator[tuple[str, Any]]:
    if is_top:
        yield from ((str(key), child) for key, child in list(value.items()) if not _is_machinery(key))
    else:
        yield from (('', child) for child in _referents(value))


def _referents(value: Any) -> Collection[Any]:
    if type(value) is dict:
        return list(value.values())
    if is_a(value, FunctionType):
        return [*(value.__closure__ or ()), value.__dict__]
    if is_a(value, type):
        return [child for key, child in names_of(value).items() if not _is_machinery(key)]
    return gc.get_referents(value)


def _held(value: Any) -> Held:
    """Identities of what it holds. Submodules, and names of Python's own, come and go by themselves in a module."""
    if type(value) is dict and '__name__' in value:
        items = list(value.items())
        return tuple(id(child) for key, child in items if not _is_machinery(key) and type(child) is not ModuleType)
    return tuple(map(id, _referents(value)))


def _is_machinery(key: Any) -> bool:
    return type(key) is str and key[:2] == '__' == key[-2:]


def _is_looked_at(value: Any, module: str, is_foreign: bool) -> bool:
    """Not what belongs to other modules, nor what libraries do for themselves: of their objects, only containers."""
    kind = type(value)
    if id(kind) in PLAIN:
        return True
    if is_foreign:
        return issubclass(kind, CONTAINERS)
    if kind is FunctionType:
        return bool(value.__module__ == module)
    if is_a(value, type):
        return _module_of(value) == module
    return _is_instance_looked_at(value, kind)


def _is_instance_looked_at(value: Any, kind: type) -> bool:
    if not _flags_of(kind) & HEAP_TYPE or is_a(value, ModuleType):
        return False
    top = _module_of(kind).partition('.')[0]
    return top not in NOT_LOOKED_AT or top in OF_THE_LIBRARY


def _is_foreign(value: Any, package: str) -> bool:
    """Whether a library keeps it: in an object of a class of its own."""
    kind = type(value)
    if id(kind) in PLAIN or kind is FunctionType or is_a(value, type):
        return False
    top = _module_of(kind).partition('.')[0]
    return top != package and top not in OF_THE_LIBRARY


def _module_of(kind: type) -> str:
    module = names_of(kind).get('__module__')
    return module if type(module) is str else ''


