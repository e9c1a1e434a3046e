"""JSON values as Python source."""
from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

WIDTH = 120
INDENT = '    '


class CannotRecord(Exception):
    """The call cannot be kept; the text says why."""


def pretty(value: Any, indent: str, column: int) -> str:
    """On one line where that fits behind `column`, else one item a line, those one level in from `indent`."""
    line = literal(value)
    if column + len(line) + 1 <= WIDTH or not (isinstance(value, (Mapping, list, tuple)) and value):
        return line
    inner = indent + INDENT
    if isinstance(value, Mapping):
        keys = [f'{inner}{_string(key)}: ' for key in value]
        items = [key + pretty(item, inner, len(key)) for key, item in zip(keys, value.values(), strict=True)]
    else:
        items = [inner + pretty(item, inner, len(inner)) for item in value]
    begin, end = '{}' if isinstance(value, Mapping) else '[]'
    return begin + '\n' + ''.join(f'{item},\n' for item in items) + indent + end


def literal(value: Any) -> str:
    """Python's literal of a JSON value, with the quotes of JSON."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return '{' + ', '.join(f'{_string(key)}: {literal(item)}' for key, item in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(map(literal, value)) + ']'
    if value is not None and not (isinstance(value, (int, float)) and (isinstance(value, int) or isfinite(value))):
        raise CannotRecord(f'{value!r} is not JSON')
    try:
        return repr(value)
    except ValueError:
        raise CannotRecord('a number is too long for a Python file') from None


def _string(text: str) -> str:
    """As repr, which escapes what cannot be printed, but always in double quotes."""
    return '"' + '\\"'.join(repr("'" + part)[2:-1] for part in text.split('"')) + '"'
