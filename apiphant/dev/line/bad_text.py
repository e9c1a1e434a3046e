"""A mistake in a typed text, and how it is shown. Knows no grammar and no terminal."""
from __future__ import annotations

from typing import Literal
from unicodedata import east_asian_width

Needs = Literal['', 'word', 'lines']
BEFORE, AFTER = 60, 20  # as much of a long text is shown around the mistake


class BadText(Exception):
    """What was typed means nothing.

    `text` tells what is wrong, without its position: an offset into `whole`, all that was typed.
    `needs` tells what would mend it: nothing but a correction, the rest of the 'word' at the end, or more 'lines'.
    """

    def __init__(self, text: str, position: int, whole: str = '', needs: Needs = '') -> None:
        super().__init__(text, position)
        self.text = printable(text)
        self.position = position
        self.whole = whole
        self.needs = needs

    def __str__(self) -> str:
        line, column = self.line_and_column
        if '\n' in self.whole:
            return f'{self.text} (line {line}, column {column})'
        return f'{self.text} (column {column})\n{pointed(self.whole, self.position)}' if self.whole else self.text

    @property
    def line_and_column(self) -> tuple[int, int]:
        """Both from 1."""
        before = self.whole[:self.position]
        return before.count('\n') + 1, len(before) - before.rfind('\n')

    def within(self, whole: str, offset: int) -> BadText:
        """The same mistake in a longer text, in which the bad one begins at `offset`."""
        return BadText(self.text, self.position + offset, whole, self.needs)


def pointed(line: str, position: int) -> str:
    """The line, clipped, with a caret below the position."""
    start, end = max(0, position - BEFORE), position + AFTER
    before = ('...' if start else '') + printable(line[start:position])
    after = printable(line[position:end]) + ('...' if end < len(line) else '')
    return f'  {before}{after}\n  {" " * sum(map(_width, before))}^'


def printable(text: str) -> str:
    """Safe to print: no control characters, and no lone surrogates, which cannot be encoded."""
    return text if text.isprintable() else ''.join(map(_printable, text))


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    return ' ' if char.isspace() else '?'


def _width(char: str) -> int:
    return 2 if east_asian_width(char) in 'WF' else 1
