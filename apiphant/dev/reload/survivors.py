"""What still lives of modules that have been replaced, and who holds it.

After the last call of a generation nothing should hold its functions and classes. If a container of another module
does, that module is not as after a fresh start. If nobody can be found, a library has it: what was imported before the
product is out of the garbage collector's sight.
"""
from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType
from typing import Any

from greenlet import greenlet

from ...modules import is_a, names_of

DEPTH = 6  # containers in containers
MOST = 40  # objects whose holders are looked for at once
LIBRARY = ''  # as the name of a holder


@dataclass(frozen=True, slots=True)
class Watched:
    """A function or class of a module that was replaced."""
    module: str
    name: str
    value: weakref.ReferenceType[Any]


def watched(replaced: Mapping[str, Any]) -> list[Watched]:
    """What these modules define, without keeping it."""
    return [Watched(module, name, weakref.ref(value)) for module, value in replaced.items()
            for name, value in names_of(value).copy().items() if _is_defined_in(value, module)]


def _is_defined_in(value: Any, module: str) -> bool:
    if type(value) is FunctionType:
        return bool(value.__module__ == module)
    return is_a(value, type) and names_of(value).get('__module__') == module


def holders(left: Iterable[Watched], package: str) -> dict[str, str]:
    """By module with something that still lives: the module that holds it, LIBRARY if it is none of the package.

    Not where its code still runs, nor where objects of its classes live: such objects are what calls have left.
    """
    alive: dict[str, list[Any]] = {}
    for one in left:
        value = one.value()
        if value is not None and not _has_instances(value):
            alive.setdefault(one.module, []).append(value)
    running = _files_at_work() if alive else set()
    found = {}
    for module in list(alive):
        values = alive.pop(module)[:MOST]
        if _file_of(values[0]) not in running and (holder := _holder(values, package)) is not None:
            found[module] = holder
    return found


def _has_instances(value: Any) -> bool:
    return is_a(value, type) and any(type(referrer) is value for referrer in gc.get_referrers(value))


def _holder(values: list[Any], package: str) -> str | None:
    """Going up from what lives: the first module whose names are reached. LIBRARY if the way up ends before any.

    None if it is us who holds it, or if it is too far away to tell.
    """
    names = {id(names_of(module)): name for name, module in list(sys.modules.items()) if is_a(name, str)}
    seen = {id(value) for value in values}
    frontier = tuple(values)  # a tuple is handed on as it is; of a list, a copy would be found as what holds them
    for _ in range(DEPTH):
        seen |= {id(frontier), id(seen), id(names)}
        above = [referrer for referrer in gc.get_referrers(*frontier) if id(referrer) not in seen]
        if any(map(_is_at_work, above)):
            return None
        found = [names[id(referrer)] for referrer in above if id(referrer) in names]
        if found:
            return _as_holder(found[0], package)
        above = [referrer for referrer in above if not is_a(referrer, FrameType)]
        if not above:
            return LIBRARY
        seen |= {id(referrer) for referrer in above}
        frontier = tuple(above[:MOST])
        del above
    return None


def _is_at_work(value: Any) -> bool:
    """A frame, other than those that look for holders; or an object of ours, that lives as long as a connection."""
    if is_a(value, FrameType):
        return bool(value.f_code.co_filename != __file__)
    module: Any = names_of(type(value)).get('__module__')
    return is_a(module, str) and module.partition('.')[0] in ('apiphant', 'gevent', 'greenlet')


def _as_holder(name: str, package: str) -> str | None:
    if name.partition('.')[0] == 'apiphant':
        return None
    return name if name == package or name.startswith(package + '.') else LIBRARY


def _files_at_work() -> set[str]:
    """Files whose code runs, or waits, in a greenlet or thread."""
    suspended = [one.gr_frame for one in gc.get_objects() if is_a(one, greenlet) and one.gr_frame]
    frames = [*suspended, *sys._current_frames().values()]
    return {code.co_filename for frame in frames for code in _codes(frame)}


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _file_of(value: Any) -> str:
    if type(value) is FunctionType:
        return value.__code__.co_filename
    functions = (one for one in names_of(value).values() if type(one) is FunctionType)
    return next((function.__code__.co_filename for function in functions), '')
