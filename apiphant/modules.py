"""What a module defines, seen without running any code of its own: no `__getattr__`, no property, no `__class__`.

A module may put anything in its place in `sys.modules`, and anything under its `__name__` or `__file__`.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from inspect import getattr_static
from pathlib import PosixPath
from types import GetSetDescriptorType, ModuleType
from typing import Any

_names_of_module: Callable[[object], dict[str, Any] | None] = vars(ModuleType)['__dict__'].__get__
_names_of_class: Callable[[object], Mapping[str, Any]] = vars(type)['__dict__'].__get__


def names_of(module: object) -> dict[str, Any]:
    """Its own dict, for a module or any object that has one; a copy for a class; {} for anything else."""
    if is_a(module, ModuleType):
        return _names_of_module(module) or {}
    if is_a(module, type):
        return dict(_names_of_class(module))
    found = getattr_static(module, '__dict__', None)
    return found.__get__(module) if type(found) is GetSetDescriptorType else {}


def is_a(value: object, kind: type) -> bool:
    """As isinstance, which asks the object for its class, too."""
    return issubclass(type(value), kind)


def path_of(module: object) -> str:
    """Its `__file__`, '' for what is no path."""
    path: Any = names_of(module).get('__file__')
    if is_a(path, str):
        return str.__str__(path)
    return os.fsdecode(path) if type(path) in (bytes, PosixPath) else ''
