"""Ctrl-C as KeyboardInterrupt, in the blocks that allow it.

Anywhere else it would be raised where nobody expects it, such as between two lines, and end the console. At the prompt it
is a key like others. While a debugger or an editor has the terminal, it is theirs.
"""
from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from .signals import handled


class Interrupts:
    """For the main thread. A block is interrupted once: what cleans up after it is left in peace."""

    def __init__(self, is_lent: Callable[[], bool]) -> None:
        self._is_lent = is_lent
        self._is_allowed = False

    def handled(self) -> AbstractContextManager[None]:
        """From here on nothing else is interrupted."""
        return handled(self._interrupt, signal.SIGINT)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """KeyboardInterrupt may be raised in this block, or at its end."""
        self._is_allowed = True
        try:
            yield
        finally:
            self._is_allowed = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Not in this part of a block."""
        before, self._is_allowed = self._is_allowed, False
        try:
            yield
        finally:
            self._is_allowed = before

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._is_allowed and not self._is_lent():
            self._is_allowed = False
            raise KeyboardInterrupt
