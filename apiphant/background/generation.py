"""Which import of a module something belongs to.

`apiphant dev` imports modules anew, and an import that fails leaves things behind. The spec of the module tells
the imports apart: each import has its own, and it stays the same whatever the module puts in its place.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import getattr_static
from types import FrameType
from typing import Any

OURS = __name__.partition('.')[0]


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """One import of the module `name`."""
    name: str
    spec: Any

    @property
    def is_live(self) -> bool:
        """Whether this is what an import of the module gives now."""
        module = sys.modules.get(self.name)
        return module is not None and getattr_static(module, '__spec__', self.spec) is self.spec


def importing() -> Generation:
    """Of the module that is being imported; if there is none, of the nearest caller; else of `__main__`."""
    frames = [frame for frame in _callers() if not _is_ours(frame)]
    first = [frame for frame in frames if frame.f_code.co_name == '<module>']
    for frame in (*first, *frames):
        generation = _of(frame.f_globals)
        if generation.is_live:
            return generation
    return _of(vars(sys.modules['__main__']))


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get('__name__')).partition('.')[0] == OURS


def _of(names: dict[str, Any]) -> Generation:
    return Generation(names.get('__name__', ''), names.get('__spec__'))


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
