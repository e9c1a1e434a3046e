"""Advice while a line is typed: completions, the mistake in it, and what it would do."""
from __future__ import annotations

from typing import Protocol

from ...words import count
from ..line.command import may_be_kept
from ..line.completion import Candidate, complete
from ..line.lines import is_open, lines_of, request_in
from ..line.request import problem
from . import table
from .session import Session

# Parts of the toolbar that are left out on a narrow screen, by their place: url first, at last the version.
DISPENSABLE = (2, 4, 3, 6, 5)


class Advice(Protocol):
    """What the prompt asks about the line while it is typed. All are called on each key, so they are quick."""

    def complete(self, text: str) -> list[Candidate]: ...

    def problem(self, text: str) -> tuple[str, int] | None:
        """What is wrong, and at which offset."""

    def is_unfinished(self, text: str) -> bool:
        """Whether Enter is to begin another line."""

    def may_be_kept(self, text: str) -> bool:
        """Whether the history may have it."""

    def toolbar(self, columns: int) -> str: ...


class Typist(Protocol):
    """Who types, and what was seen before."""
    session: Session
    earlier: dict[str, list[str]]  # values by key
    served: int  # calls of others when the prompt came last


class LineAdvice:
    """About the line that is being typed, by the product as it is now."""

    def __init__(self, console: Typist) -> None:
        self._console = console
        self._session = console.session

    def complete(self, text: str) -> list[Candidate]:
        return complete(_last_of(text), self._session.context, self._console.earlier)

    def problem(self, text: str) -> tuple[str, int] | None:
        context = self._session.context
        for place, line in lines_of(text):
            request, start = request_in(line)
            mistake = problem(request, context.last(request), context.names)
            if mistake:
                return mistake.text, place + start + mistake.position
        return None

    def is_unfinished(self, text: str) -> bool:
        return is_open(_last_of(text))

    def may_be_kept(self, text: str) -> bool:
        return may_be_kept(text)

    def toolbar(self, columns: int) -> str:
        """As much of it as there is room for."""
        session, supervisor = self._session, self._session.supervisor
        others = max(0, supervisor.served - self._console.served)
        parts = [
            session.product.name,
            f'{len(supervisor.broken)} broken' if supervisor.broken else '',
            session.version,
            session.address.url,
            count(len(supervisor.routes.paths), 'action') if supervisor.ready.is_set() else 'starting',
            supervisor.last_reload,
            f'{count(others, "call")} by others' if others else '',
        ]
        return table.joined(parts, DISPENSABLE, columns)


def _last_of(text: str) -> str:
    *_, (_, line) = lines_of(text)
    return line
