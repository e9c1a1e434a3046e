"""Which import of a module something belongs to.

`apiphant dev` imports modules anew, and an import that fails leaves things behind. They are told
apart by the module's spec: each import has its own, which stays that of the name whatever the module puts in its place.
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
        found = sys.modules.get(self.name)
        return found is not None and getattr_static(found, '__spec__', self.spec) is self.spec


def importing() -> Generation:
    """Of the module that is being imported, or else of the nearest caller that is in one; else of `__main__`."""
    frames = [frame for frame in _callers() if str(frame.f_globals.get('__name__')).partition('.')[0] != OURS]
    first = [frame for frame in frames if frame.f_code.co_name == '<module>']
    generations = (_of(frame.f_globals) for frame in (*first, *frames))
    return next((generation for generation in generations if generation.is_live), _of(vars(sys.modules['__main__'])))


def _of(names: dict[str, Any]) -> Generation:
    return Generation(names.get('__name__', ''), names.get('__spec__'))


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
