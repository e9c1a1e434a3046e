"""The terminal, which an app's debugger may have for a while."""
from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .child import App


class Lender(Protocol):
    """Who has the terminal."""

    def lend(self, granted: Callable[[], None]) -> None:
        """Leave the terminal alone, and say so when that is done."""

    def take_back(self) -> None:
        """It is free again."""


class Lending:
    """One app has it at a time. Without a lender nobody gets it."""

    def __init__(self, lender: Lender | None) -> None:
        self._lender = lender
        self._borrower: App | None = None

    @property
    def is_lent(self) -> bool:
        return self._borrower is not None

    def ask(self, app: App) -> None:
        """The app is told whether it gets it."""
        if self._lender and not self._borrower:
            self._borrower = app
            self._lender.lend(lambda: app.channel.send(tty=True))
        else:
            app.channel.send(tty=False)

    def release(self, app: App) -> None:
        """The app gives it back, if it has it."""
        if self._lender and app is self._borrower:
            self._borrower = None
            self._lender.take_back()
