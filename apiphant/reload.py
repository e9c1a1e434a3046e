"""What a module keeps, and what it gives back, when `apiphant dev` imports it anew.

In production nothing is imported twice.

    from apiphant.reload import keep, on_unload

    POOL = keep('pool', lambda: ConnectionPool(8))    # the same pool in each generation of this module

    feed = gevent.spawn(follow_feed)
    on_unload(feed.kill)                              # one runs, also after the tenth save
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

Value = TypeVar('Value')
Function = TypeVar('Function', bound=Callable[[], Any])

UNLOADERS = '__on_unload__'  # the name, in a module, of what it gave to on_unload

_kept: dict[tuple[str, str], Any] = {}


def keep(name: str, factory: Callable[[], Value]) -> Value:
    """The value that the module being imported kept under this name, or what `factory()` gives, from now on."""
    key = (_module()['__name__'], name)
    if key not in _kept:
        _kept[key] = factory()
    value: Value = _kept[key]
    return value


def on_unload(function: Function) -> Function:
    """Call `function()` when the module being imported was replaced and the last request that began with it ended.

    Also when its import fails after this. Also a decorator.
    """
    _module().setdefault(UNLOADERS, []).append(function)
    return function


def _module() -> dict[str, Any]:
    """The names of the module that is being imported, or else of the caller's."""
    caller = frame = sys._getframe(2)
    while frame.f_code.co_name != '<module>' and frame.f_back:
        frame = frame.f_back
    return (frame if frame.f_code.co_name == '<module>' else caller).f_globals
