"""Which task the code that runs at this moment belongs to, for a thread that looks on from outside."""
from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Running:
    """The calls of a product's functions that are under way, by the frame that made each call."""

    def __init__(self) -> None:
        self._calls: dict[FrameType, str] = {}

    def call(self, what: str, function: Callable[..., Any], *arguments: object) -> Any:
        """Call a function for `what`, which is "Task NAME" in a log line."""
        frame = sys._getframe()
        self._calls[frame] = what
        try:
            return function(*arguments)
        finally:
            del self._calls[frame]

    def find(self, frame: FrameType | None) -> tuple[str, int | None]:
        """What the code at `frame` runs for, and how many of the innermost frames are its own."""
        depth = 0
        while frame is not None:
            what = self._calls.get(frame)
            if what is not None:
                return what, depth
            frame, depth = frame.f_back, depth + 1
        return 'Something that is no task', None
