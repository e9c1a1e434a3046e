"""Texts made to fit the width of a terminal. Pure."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from textwrap import wrap

GAP = re.compile(r'\S(?P<gap> {2,})\S')
NARROW = 20  # columns that the last column has at least, else it goes below the one before
BELOW = 4  # columns that it is indented then


def fit(text: str, columns: int) -> str:
    """Lines that are too long go on below the column that they are cut in; columns are two spaces apart."""
    return '\n'.join(part for line in text.split('\n') for part in _fit_line(line, columns))


def _fit_line(line: str, columns: int) -> list[str]:
    if len(line) <= columns:
        return [line]
    gap = GAP.search(line)
    if not gap:
        return wrap(line, columns, subsequent_indent=' ' * (len(line) - len(line.lstrip())))
    first, rest, start = line[:gap.start('gap')], line[gap.end('gap'):], gap.end('gap')
    if columns - start < NARROW:
        return [*wrap(first, columns), *wrap(rest, columns, initial_indent=' ' * BELOW, subsequent_indent=' ' * BELOW)]
    lines = wrap(rest, columns - start)
    return [line[:start] + lines[0], *(' ' * start + more for more in lines[1:])]


def joined(parts: Sequence[str], dispensable: Iterable[int], columns: int) -> str:
    """The parts that are not empty, with | between.

    As many of the dispensable ones are left out, in that order, as it takes to fit.
    """
    left = dict(enumerate(parts))
    for number in dispensable:
        if len(_line(left.values())) <= columns:
            break
        del left[number]
    return _line(left.values())[:columns]


def _line(parts: Iterable[str]) -> str:
    return ' | '.join(part for part in parts if part)
