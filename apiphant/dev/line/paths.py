"""Paths into the last answer, and into values with names, as they are typed: $.items[0].id, _["two words"], $me.id."""
from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .values import described

STEP = re.compile(
    r'\.(?P<name>[\w$-]++)|\[(?P<index>-?[0-9]{1,9})\]|\["(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*+)"\]', re.DOTALL)
ROOT = r'(?:\$(?P<root>[A-Za-z]\w*+)?+|_)'
PATH = re.compile(rf'{ROOT}(?:{STEP.pattern})*+(?![\w$.\[-])', re.DOTALL)
NAMED = re.compile(rf'\$(?:[A-Za-z]\w*+|(?=[.\[]))(?:{STEP.pattern})*+', re.DOTALL)  # inside a text
NO_NAMES: Mapping[str, Any] = MappingProxyType({})
ESCAPED = re.compile(r'\\(.)', re.DOTALL)
NAMES_SHOWN = 8


class NoValue(Exception):
    """There is no value to take; the text says why, and what is there instead."""


def look_up(last: Any, path: str, names: Mapping[str, Any] = NO_NAMES) -> Any:
    """The value at a path that PATH matches, not a copy. `last` is None if there is no last answer. Raises NoValue."""
    root = re.match(ROOT, path)
    assert root is not None
    value = _root(last, path, root['root'], names)
    whose, start = f'${root["root"]}' if root['root'] else 'the last answer', root.end()
    for match in STEP.finditer(path, start):
        step = _step(match)
        try:
            value = _child(value, step)
        except (LookupError, ValueError):
            there = f'{_named(path, start, match.start())} {_instead(value, step)}'
            raise NoValue(f'{whose} has no {_named(path, start, match.end())}: {there}') from None
    return value


def _root(last: Any, path: str, name: str | None, names: Mapping[str, Any]) -> Any:
    if name:
        if name not in names:
            raise NoValue(f'there is no value ${name}: {name} = ... makes one, quotes make it text')
        return names[name]
    if last is None:
        raise NoValue(f'there is no last answer yet for {path}')
    return last


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


def _named(path: str, start: int, end: int) -> str:
    return path[start:end].lstrip('.') or 'it'


def _instead(value: Any, step: str | int) -> str:
    if isinstance(value, dict) and value:
        more = ', ...' if len(value) > NAMES_SHOWN else ''
        return f'has {", ".join(list(value)[:NAMES_SHOWN])}{more}'
    if isinstance(value, list) and isinstance(step, int):
        return f'has {len(value)}'
    return f'is {described(value)}'
