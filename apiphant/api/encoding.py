"""JSON of an answer, by msgspec, strict: what it has no way to say is an error that names its place.

Dates, times, Decimal, UUID, Enum, bytes, sets, named tuples, dataclasses and Structs are said as msgspec says them; so
are, here, subclasses of text and numbers, any mapping, and deques.
"""
from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import msgspec

from ..words import printable

DEEPEST = 200  # levels at which a place is still looked for
SHOWN = 80  # characters of a key
NUMBERS = {'nan': 'NaN', 'inf': 'Infinity', '-inf': '-Infinity'}
NO_NUMBER = re.compile(rb'\xcb[\x7f\xff][\xf0-\xff]')  # in MessagePack, a float of 64 bits that is none

Children = Iterable[tuple[Any, Any]]


class NotJson(ValueError):
    """JSON has no way to say it: where, and what it is. Values are not in the text: they may be secret."""


def _plain(value: Any) -> Any:
    """Of what msgspec does not know."""
    for kind in (str, int, float):
        if isinstance(value, kind):
            return getattr(kind, '__pos__' if kind is not str else '__str__')(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, deque):
        return list(value)
    raise NotImplementedError


encode_lax = _encode = msgspec.json.Encoder(enc_hook=_plain).encode  # a number that is none becomes null
_pack = msgspec.msgpack.Encoder(enc_hook=_plain).encode


def encode_json(content: Any) -> bytes:
    """Raises NotJson."""
    try:
        encoded = _encode(content)
        if b'null' in encoded and _may_hold_no_number(content):
            _check_numbers(content)
        return encoded
    except NotJson:
        raise
    except Exception:
        raise NotJson(_why_not(content)) from None


def _may_hold_no_number(content: Any) -> bool:
    """Whether it perhaps has a NaN or an Infinity, for which msgspec says null. It takes as long as to encode."""
    try:
        return NO_NUMBER.search(_pack(content)) is not None
    except Exception:  # an integer of more than 64 bits
        return True


def _check_numbers(content: Any) -> None:
    """Look at each value. Raises NotJson."""
    pending: list[tuple[str, Any]] = [('', content)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, float):
            if not math.isfinite(value):
                raise NotJson(f'{path or "it"} is {NUMBERS[str(float(value))]}')
        else:
            pending += [(_below(path, key), child) for key, child in _children(value)]


def _children(value: Any) -> Children:
    """What is in it, by key or position."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple | set | frozenset | deque):
        return enumerate(value)
    if isinstance(value, msgspec.Struct):
        return [(name, getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, Enum):
        return _children(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name, None)) for field in fields(value)]
    return [(field.name, getattr(value, field.name, None)) for field in getattr(type(value), '__attrs_attrs__', ())]


def _below(path: str, key: Any) -> str:
    return f'{path}.{_text(key)}' if path else _text(key)


def _text(key: Any) -> str:
    try:
        return printable(str(key))[:SHOWN]
    except Exception:  # its own __str__
        return type(key).__qualname__


def _why_not(content: Any) -> str:
    """The place of the first part that cannot be encoded, and what it is."""
    path, value = '', content
    try:
        for _ in range(DEEPEST):
            found = _first_bad(value)
            if found is None:
                return f'{_short(path)} {_reason(value)}'
            path, value = _below(path, found[0]), found[1]
    except Exception as error:  # one that does not let itself be looked at
        return f'{_short(path)} cannot be looked at: {type(error).__name__}'
    return f'{_short(path)} refers to itself, or is nested too deep'


def _first_bad(value: Any) -> tuple[Any, Any] | None:
    return next(((key, child) for key, child in _children(value) if not _can_encode(child)), None)


def _can_encode(value: Any) -> bool:
    try:
        _encode(value)
        return True
    except Exception:
        return False


def _reason(value: Any) -> str:
    """Of one that cannot be encoded, though what is in it can."""
    if isinstance(value, Mapping):
        bad = [key for key in value if not _can_encode({key: None})]
        return f'has the key {_text(bad[0])}, which is no text and no number' if bad else 'cannot be said'
    if isinstance(value, str):
        return 'is text with a lone surrogate'
    if isinstance(value, int):
        return 'is an integer of more than 4300 digits'
    kind = type(value)
    module = '' if kind.__module__ == 'builtins' else f'{kind.__module__}.'
    return f'is of type {module}{kind.__qualname__}, which JSON cannot say'


def _short(path: str) -> str:
    """Its end, where it is long."""
    if len(path) > 2 * SHOWN:
        return f'...{path[-SHOWN:]}'
    return path or 'it'
