"""A typed text as lines that are done one after the other: a paste may have several commands in it."""
from __future__ import annotations

from collections.abc import Iterator

from ...api.actions import ACTIONS
from . import output, request
from .bad_text import BadText
from .command import COMMANDS
from .context import first_word


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Each with its place in the text. One begins with a command, where the one before is not open."""
    start = position = 0
    for row in text.splitlines(keepends=True):
        if position > start and _begins_line(row) and not is_open(text[start:position]):
            yield start, text[start:position].rstrip('\n')
            start = position
        position += len(row)
    yield start, text[start:]


def _begins_line(row: str) -> bool:
    word, _ = first_word(row)
    return word in COMMANDS or word.startswith('/api/')


def is_open(line: str) -> bool:
    """Whether more text may complete the request in a line: a bracket or a quote is open."""
    return request.is_unfinished(request_in(line)[0])


def request_in(line: str) -> tuple[str, int]:
    """The request in a line, without what its answer goes to, and where it begins; '' if there is none."""
    try:
        text = output.split(line)[0].rstrip()
    except BadText:
        return '', 0
    word, rest = first_word(text)
    if word == 'watch':
        word, rest = first_word(rest)
    if word in ACTIONS:
        rest = first_word(rest)[1]
    elif not word.startswith('/api/'):
        rest = ''
    return rest, len(text) - len(rest)
