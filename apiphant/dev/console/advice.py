"""Advice while a line is typed: completions, the mistake in it, and what it would do."""
from __future__ import annotations

from typing import Protocol

from ...api.actions import ACTIONS
from ...words import count
from ..line import output
from ..line.bad_text import BadText
from ..line.command import may_be_kept
from ..line.completion import Candidate, complete
from ..line.context import first_word
from ..line.request import is_unfinished, problem
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
        return complete(text, self._session.context, self._console.earlier)

    def problem(self, text: str) -> tuple[str, int] | None:
        request, start = _request_in(text)
        mistake = problem(request, self._session.context.last(request))
        return (mistake.text, start + mistake.position) if mistake else None

    def is_unfinished(self, text: str) -> bool:
        return is_unfinished(_request_in(text)[0])

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


def _request_in(text: str) -> tuple[str, int]:
    """The request in a line, without what its answer goes to, and where it begins; '' if there is none."""
    try:
        line = output.split(text)[0].rstrip()
    except BadText:
        return '', 0
    word, rest = first_word(line)
    if word == 'watch':
        word, rest = first_word(rest)
    request = first_word(rest)[1] if word in ACTIONS else ''
    return request, len(line) - len(request)
