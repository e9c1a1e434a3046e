"""Paths into the last answer as they are typed: $.items[0].id, _["two words"][-1]."""
from __future__ import annotations

import re
from typing import Any

from .values import described

STEP = re.compile(
    r'\.(?P<name>[\w$-]++)|\[(?P<index>-?[0-9]{1,9})\]|\["(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*+)"\]', re.DOTALL)
PATH = re.compile(rf'[$_](?:{STEP.pattern})*+(?![\w$.\[-])', re.DOTALL)
ESCAPED = re.compile(r'\\(.)', re.DOTALL)
NAMES_SHOWN = 8


class NoValue(Exception):
    """There is no value to take; the text says why, and what is there instead."""


def look_up(last: Any, path: str) -> Any:
    """The value at a path that PATH matches, not a copy. `last` is None if there is no last answer. Raises NoValue."""
    if last is None:
        raise NoValue(f'there is no last answer yet for {path}')
    value = last
    for match in STEP.finditer(path, 1):
        step = _step(match)
        try:
            value = _child(value, step)
        except (LookupError, ValueError):
            there = f'{_named(path, match.start())} {_instead(value, step)}'
            raise NoValue(f'the last answer has no {_named(path, match.end())}: {there}') from None
    return value


def _step(match: re.Match[str]) -> str | int:
    if match['index']:
        return int(match['index'])
    return match['name'] or ESCAPED.sub(r'\1', match['quoted'])


def _child(value: Any, step: str | int) -> Any:
    if isinstance(value, dict) and isinstance(step, str):
        return value[step]
    if isinstance(value, list):
        return value[int(step)]
    raise LookupError(step)


def _named(path: str, end: int) -> str:
    return path[1:end].lstrip('.') or 'it'


def _instead(value: Any, step: str | int) -> str:
    if isinstance(value, dict) and value:
        more = ', ...' if len(value) > NAMES_SHOWN else ''
        return f'has {", ".join(list(value)[:NAMES_SHOWN])}{more}'
    if isinstance(value, list) and isinstance(step, int):
        return f'has {len(value)}'
    return f'is {described(value)}'
