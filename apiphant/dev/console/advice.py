"""Advice while a line is typed: completions, the mistake in it, and what it would do."""
from __future__ import annotations

from typing import Protocol

from ...api.actions import ACTIONS
from ...words import count
from ..line import output
from ..line.bad_text import BadText
from ..line.command import first_word, may_be_kept
from ..line.completion import Candidate, complete
from ..line.request import is_unfinished, problem
from . import table
from .session import Session


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
        return complete(text, self._session.state, self._console.earlier)

    def problem(self, text: str) -> tuple[str, int] | None:
        request, start = _request_in(text)
        found = problem(request, self._session.state.last(request))
        return (found.text, start + found.position) if found else None

    def is_unfinished(self, text: str) -> bool:
        return is_unfinished(_request_in(text)[0])

    def may_be_kept(self, text: str) -> bool:
        return may_be_kept(text)

    def toolbar(self, columns: int) -> str:
        """As much of it as there is room for."""
        session, supervisor = self._session, self._session.supervisor
        others = max(0, supervisor.state.served - self._console.served)
        broken = f'{len(supervisor.state.broken)} broken' if supervisor.state.broken else ''
        actions = count(len(supervisor.state.routes.paths), 'action') if supervisor.state.ready.is_set() else 'starting'
        parts = [session.product.name, broken, session.version, session.address.url, actions, supervisor.state.last_reload,
                 f'{count(others, "call")} by others' if others else '']
        return table.joined(parts, (2, 4, 3, 6, 5), columns)


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
