"""A place apart in which modules are imported anew, while everybody else goes on with those that are live.

There is one `sys.modules`, so it is shown to whom it concerns: the greenlet that stages sees the staged modules, and
whenever it waits (an import may), the others see the live ones. What is shown follows each switch of greenlets.
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from time import perf_counter
from types import ModuleType, TracebackType
from typing import Any, Self

from greenlet import getcurrent, gettrace, settrace

from ...modules import is_a, names_of
from .side_effects import was_away

Modules = Mapping[str, Any]  # a module may put anything in its place
MISSING = object()


class Stage:
    """While open, this greenlet sees the package `name` without the modules `hidden`, and what it imports stays here.

    After it, `live` and `staged` are the two sets of modules, and `show()` makes a choice of them the live one.
    """

    def __init__(self, name: str, hidden: Collection[str]) -> None:
        self.name = name
        self.live: Modules = modules(name)
        self.staged: Modules = {module: value for module, value in self.live.items() if module not in hidden}
        self._greenlet = getcurrent()
        self._left_at = 0.0
        self._trace_before: Callable[..., Any] | None = None

    def __enter__(self) -> Self:
        self.show(self.staged)
        self._trace_before = gettrace()
        settrace(self._trace)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        settrace(self._trace_before)
        self.staged = modules(self.name)
        self.show(self.live)

    def _trace(self, event: str, arguments: Any) -> None:
        origin, target = arguments
        if origin is self._greenlet:
            self._left_at = perf_counter()
            self.staged = modules(self.name)
            self.show(self.live)
        elif target is self._greenlet:
            self.live = modules(self.name)
            self.show(self.staged)
            was_away(self._left_at)
        if self._trace_before:
            self._trace_before(event, arguments)

    def show(self, view: Modules) -> None:
        """Make `sys.modules`, and the attributes of packages that name their modules, be those of `view`."""
        shown = modules(self.name)
        for name in shown.keys() - view.keys():
            del sys.modules[name]
            _detach(name, shown)
        for name, module in view.items():
            sys.modules[name] = module
            _attach(name, module, view, shown)


def modules(package: str) -> dict[str, Any]:
    """The package and all below it that is imported now."""
    prefix = package + '.'
    return {name: module for name, module in sys.modules.copy().items()
            if is_a(name, str) and (name == package or name.startswith(prefix))}


def _attach(name: str, module: Any, view: Modules, shown: Modules) -> None:
    """As an import does; but an attribute of that name that is no generation of this module is the package's own."""
    parent, _, tail = name.rpartition('.')
    if parent in view:
        names = names_of(view[parent])
        value = names.get(tail, MISSING)
        if value is MISSING or value is shown.get(name, MISSING) or _is_generation(value, name):
            names[tail] = module


def _detach(name: str, shown: Modules) -> None:
    parent, _, tail = name.rpartition('.')
    if parent in shown and (names := names_of(shown[parent])).get(tail, MISSING) is shown[name]:
        del names[tail]


def _is_generation(value: Any, name: str) -> bool:
    return is_a(value, ModuleType) and is_a(own := names_of(value).get('__name__'), str) and own == name
