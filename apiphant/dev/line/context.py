"""What a line refers to beside its own words, and the error of a line that means nothing."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..source.fields import Description
from .effect import Call
from .route_index import Routes
from .sticky import Sticky


class BadLine(Exception):
    """The line means nothing; the text says what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Context:
    """What there is when a line is typed.

    `describe` gives what the actions of a target of a version take, `answer` the last answer, `names` values that
    were kept; `sticky` goes with each call.
    """
    version: str
    routes: Routes
    url: str = ''
    call: Call | None = None  # the last one, and its status
    status: int = 0
    answer: Callable[[], Any] = lambda: None
    describe: Callable[[str, str], Mapping[str, Description]] = lambda version, target: {}
    names: Mapping[str, Any] = field(default_factory=dict)
    sticky: Sticky = field(default_factory=Sticky)

    @property
    def last_call(self) -> Call:
        """Raises BadLine if there was none."""
        if self.call is None:
            raise BadLine('there was no call yet')
        return self.call

    def last(self, text: str) -> Any:
        """The last answer, as far as the text may refer to it: reading a large one takes time."""
        return self.answer() if '$' in text or '_' in text else None


def first_word(text: str) -> tuple[str, str]:
    """And the rest, '' if there is none."""
    first, *rest = text.split(maxsplit=1) or ['']
    return first, rest[0].rstrip() if rest else ''
