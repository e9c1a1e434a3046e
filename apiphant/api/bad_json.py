"""Where a body that is no JSON object broke, in words: for who develops against the API."""
from __future__ import annotations

import json
from typing import Any

import msgspec

KINDS = {
    list: 'an array', str: 'a text', int: 'a number', float: 'a number', bool: 'true or false', type(None): 'null'}
LONGEST = 150  # characters


def explained(body: bytes) -> str:
    """By Python's JSON, which says the place best; by ours, what that one takes."""
    try:
        content = json.loads(body.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        return f'{_place(body[:error.start])}: not in UTF-8'
    except json.JSONDecodeError as error:
        return f'line {error.lineno}, column {error.colno}: {_lower(error.msg)}'
    except RecursionError:
        return 'nested too deep'
    except ValueError as error:
        return _lower(str(error)) if 'limit' not in str(error) else 'integer value out of range'
    return _of_content(content) or _by_ours(body)


def _refuse(name: str) -> Any:
    raise ValueError(f'{name} is no JSON')


def _of_content(content: Any) -> str:
    """'' for an object."""
    return '' if isinstance(content, dict) else f'{KINDS[type(content)]}, not an object'


def _by_ours(body: bytes) -> str:
    try:
        msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        return _lower(str(error).partition(' - at')[0])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 'a text has a lone surrogate'
    except RecursionError:
        return 'nested too deep'
    return 'no JSON object'


def _place(before: bytes) -> str:
    """After these bytes, which are UTF-8."""
    lines = before.decode().split('\n')
    return f'line {len(lines)}, column {len(lines[-1]) + 1}'


def _lower(text: str) -> str:
    """As part of a sentence; names such as NaN stay."""
    first = text.split(' ', 1)[0]
    return (text if first in ('NaN', 'Infinity', '-Infinity') else text[:1].lower() + text[1:])[:LONGEST]
