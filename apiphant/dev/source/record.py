"""Keeps calls of the console as lines of the product's `api/test.py`, with the answers that they got.

What a line already says of the same call is replaced, the rest stays byte for byte. The file is parsed, never run.
"""
from __future__ import annotations

import ast
import os
import tokenize
from io import BytesIO
from pathlib import Path

from ...atomic_write import write_whole
from ...words import reason
from .additions import additions
from .edits import Replacement, Source
from .literals import CannotRecord, literal, pretty
from .names import UNREADABLE, parse
from .tested import Answered, Arguments, find, is_same, value_of


def record(path: Path, answered: Answered) -> bool:
    """Keep an answered call in a test.py, which need not exist yet. Returns whether an older line was replaced.

    Raises CannotRecord.
    """
    try:
        place = Path(os.path.realpath(path))
        before = place.read_bytes() if place.exists() else b''
        encoding, _ = tokenize.detect_encoding(BytesIO(before).readline)
        text, was_replaced = recorded(before.decode(encoding), answered)
        if text.encode(encoding) != before:
            write_whole(place, [text.encode(encoding)])
    except OSError as error:
        raise CannotRecord(f'{path}: {reason(error)}') from None
    except (SyntaxError, UnicodeError) as error:
        raise CannotRecord(f'{path}: {error}') from None
    return was_replaced


def recorded(text: str, answered: Answered) -> tuple[str, bool]:
    """The text of test.py with a line for the call, and whether that took the place of an older one.

    That is the last one of the same call with the new answer, or else a new one at the end. Raises CannotRecord.
    """
    tree = _tree(text)
    source = Source(text)
    try:
        literal([answered.request, answered.answer])  # or says why not
        old = find(tree, answered)
        edits = _replacements(source, old, answered) if old else additions(source, tree, answered)
    except RecursionError:
        raise CannotRecord('the request or its answer is nested too deep') from None
    new = source.edited(edits)
    _check(new, answered)
    return new, old is not None


def _tree(text: str) -> ast.Module:
    try:
        return parse(text)
    except SyntaxError as error:
        raise CannotRecord(f'test.py has a mistake in line {error.lineno}: {error.msg}') from None
    except UNREADABLE as error:
        raise CannotRecord(f'test.py cannot be read: {error or type(error).__name__}') from None


def _replacements(source: Source, line: Arguments, answered: Answered) -> list[Replacement]:
    """Only of the status and the answer, and only where they are others."""
    new = {'status_code': answered.status, 'response_json': answered.answer}
    return [
        _replacement(source, line[name], value)
        for name, value in new.items() if not is_same(value_of(line[name]), value)
    ]


def _replacement(source: Source, node: ast.expr, value: object) -> Replacement:
    start, end = source.extent(node)
    column = start - source.start_of(node.lineno)
    return Replacement(start, end, pretty(value, source.indent(node.lineno), column))


def _check(text: str, answered: Answered) -> None:
    """What was written says what it should, whatever the text around it is."""
    try:
        line = find(parse(text), answered)
    except UNREADABLE:
        why = 'nested too deep, or a number too long'
        raise CannotRecord(f'the request or its answer is too much for a Python file: {why}') from None
    if not line or not is_same(value_of(line['response_json']), answered.answer):
        raise CannotRecord('test.py is written in a way that no line can be added to')

