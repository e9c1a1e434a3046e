"""JSON in a line, in which `$` and `_` stand for parts of the last answer, and where it is mistaken.

`json` reads it. Where that stumbles over a path, it reads again with NaN in the place of each, and asks for their values in order.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isinf
from typing import Any, NoReturn

from .bad_text import BadText, Needs
from .paths import PATH, NoValue
from .values import shortened

TEXT = re.compile(
    r'"(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)"|\'(?P<single>[^\']*+)\'|(?P<bare>\S*+)', re.DOTALL)
TOKEN = re.compile(
    r'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+"?+)|(?P<open>[\[{])|(?P<close>[\]}])'
    rf'|(?P<path>{re.sub(r"[?]P<[a-z]+>", "", PATH.pattern)})|(?P<constant>NaN|-?Infinity)|(?P<almost>[$_])', re.DOTALL)
DEPTH = {'open': 1, 'close': -1}
PLACEHOLDER = 'NaN'

# By the message of json: what is left of a text that is not wrong, just cut off.
CUT_OFF = {
    'Expecting value': re.compile(r'\s*+\Z|(?:-|t|tr|tru|f|fa|fal|fals|n|nu|nul)\Z'),
    "Expecting ',' delimiter": re.compile(r'\s*+\Z|(?<=[0-9])(?:\.|[eE][+-]?)\Z'),
    'Unterminated string starting at': re.compile(''),
    'Invalid \\uXXXX escape': re.compile(r'u?[0-9a-fA-F]{0,4}\Z'),
}
CUT_OFF_ELSE = re.compile(r'\s*+\Z')
CUT_OFF_NUMBER = CUT_OFF["Expecting ',' delimiter"]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from that are not in the text. They raise NoValue."""
    reply: Callable[[str], Any]
    file_text: Callable[[str], Any]
    file_json: Callable[[str], Any]


Reader = Callable[[str, int, Sources], tuple[Any, int]]  # the value at a place in a text, and where it ends


class Foreign(Exception):
    """Something that is no JSON begins a value."""


class TooLarge(ValueError):
    """A number that Python takes for infinite."""


def read_reply(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    """The value of a path into the last answer, and where the path ends. Raises BadText."""
    match = PATH.match(text, start)
    if not match:
        refuse_path(text, start)
    try:
        return sources.reply(match[0]), match.end()
    except NoValue as error:
        raise BadText(str(error), start, text, 'word' if match.end() == len(text) else '') from None


def refuse_path(text: str, start: int) -> NoReturn:
    match = TEXT.match(text, start)
    word = match[0] if match else ''
    needs: Needs = 'word' if start + len(word) == len(text) else ''
    right = 'like $.items[0].id or _["a b"]; quotes make it text'
    raise BadText(f'{shortened(word)!r} is no path into the last answer, {right}', start, text, needs)


def read_json(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    """The JSON value, perhaps with paths in it, and where it ends. Raises BadText."""
    rest = text[start:]  # of the whole text json would count the lines again at each path
    try:
        value, used = PLAIN.raw_decode(rest)
        return value, start + used
    except Foreign:
        return _read_with_paths(text, start, sources)
    except json.JSONDecodeError as error:
        if rest[error.pos:error.pos + 1] in {'$', '_'} and error.msg == 'Expecting value':
            return _read_with_paths(text, start, sources)
        raise _mistaken(text, start, start + error.pos, error.msg) from None
    except (ValueError, RecursionError) as error:
        raise _unreadable(text, start, error) from None


def json_end(text: str, start: int) -> int:
    """Where the JSON object or list that begins at `start` ends, the end of the text if it is open."""
    return _foreign(text, start)[1]


def _stumble(name: str) -> NoReturn:
    raise Foreign


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise TooLarge
    return number


PLAIN = json.JSONDecoder(parse_constant=_stumble, parse_float=_finite)


def _read_with_paths(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    foreign, end = _foreign(text, start)
    waiting = iter(foreign)
    decoder = json.JSONDecoder(
        parse_constant=lambda name: _foreign_value(text, next(waiting), sources), parse_float=_finite)
    try:
        value, used = decoder.raw_decode(_replaced(text, start, end, foreign))
    except json.JSONDecodeError as error:
        raise _mistaken(text, start, _original(start, foreign, error.pos), error.msg) from None
    except (ValueError, RecursionError) as error:
        raise _unreadable(text, start, error) from None
    return value, _original(start, foreign, used)


def _foreign(text: str, start: int) -> tuple[list[re.Match[str]], int]:
    """What is no JSON in the value at `start`, and where the value ends."""
    depth = 0
    foreign = []
    for match in TOKEN.finditer(text, start):
        kind = match.lastgroup or ''
        depth += DEPTH.get(kind, 0)
        if kind in READERS:
            foreign.append(match)
        if depth <= 0:
            return foreign, match.end()
    return foreign, len(text)


def _foreign_value(text: str, match: re.Match[str], sources: Sources) -> Any:
    return READERS[match.lastgroup or ''](text, match.start(), sources)[0]


def _refuse_constant(text: str, start: int, sources: Sources) -> NoReturn:
    name = 'NaN' if text[start] == 'N' else 'Infinity'
    raise BadText(f'bad JSON: {name} is not part of it', start, text)


READERS: dict[str, Reader] = {'path': read_reply, 'almost': read_reply, 'constant': _refuse_constant}


def _replaced(text: str, start: int, end: int, foreign: list[re.Match[str]]) -> str:
    parts = []
    for match in foreign:
        parts.append(text[start:match.start()])
        start = match.end()
    return PLACEHOLDER.join([*parts, text[start:end]])


def _original(offset: int, foreign: list[re.Match[str]], position: int) -> int:
    """The position in the text that was typed."""
    position += offset
    for match in foreign:
        if position > match.start():
            position += match.end() - match.start() - len(PLACEHOLDER)
    return position


def _mistaken(text: str, start: int, position: int, message: str) -> BadText:
    return BadText(f'bad JSON: {message}', position, text, _needs(text, start, position, message))


def _needs(text: str, start: int, position: int, message: str) -> Needs:
    if not CUT_OFF.get(message, CUT_OFF_ELSE).match(text, position):
        return ''
    return 'lines' if text[start:start + 1] in {'{', '[', '"'} else 'word'


def _unreadable(text: str, start: int, error: ValueError | RecursionError) -> BadText:
    if isinstance(error, RecursionError):
        return BadText('bad JSON: it is nested too deep', start, text)
    how = 'large' if isinstance(error, TooLarge) else 'long'
    return BadText(f'bad JSON: a number in it is too {how}', start, text)
