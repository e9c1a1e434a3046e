"""JSON in a line, in which `$` and `_` stand for parts of the last answer, and where it is mistaken."""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from json.scanner import make_scanner
from typing import Any, NoReturn

from .bad_text import BadText, Needs
from .paths import PATH, NoValue
from .values import shortened

TEXT = re.compile(r'"(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)"|\'(?P<single>[^\']*+)\'|(?P<bare>\S*+)', re.DOTALL)

TOKEN = re.compile(
    r'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+"?+)|(?P<open>[\[{])|(?P<close>[\]}])'
    rf'|(?P<path>{re.sub(r"[?]P<[a-z]+>", "", PATH.pattern)})|(?P<constant>NaN|-?Infinity)|(?P<almost>[$_])', re.DOTALL)
DEPTH = {'open': 1, 'close': -1}

# By the message of json: what is left of a text that is not wrong, just cut off.
CUT_OFF = {
    'Expecting value': re.compile(r'\s*+\Z|(?:-|t|tr|tru|f|fa|fal|fals|n|nu|nul)\Z'),
    "Expecting ',' delimiter": re.compile(r'\s*+\Z|(?<=[0-9])(?:\.|[eE][+-]?)\Z'),
    'Unterminated string starting at': re.compile(''),
    'Invalid \\uXXXX escape': re.compile(r'u?[0-9a-fA-F]{0,4}\Z'),
}
CUT_OFF_ELSE = re.compile(r'\s*+\Z')
CUT_OFF_NUMBER = CUT_OFF["Expecting ',' delimiter"]

Reader = Callable[[str, int, 'Sources'], tuple[Any, int]]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from that are not in the text. They raise NoValue."""
    reply: Callable[[str], Any]
    file_text: Callable[[str], Any]
    file_json: Callable[[str], Any]


def _reply(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    match = PATH.match(text, start)
    if not match:
        _refuse_path(text, start)
    try:
        return sources.reply(match[0]), match.end()
    except NoValue as error:
        raise BadText(str(error), start, text, 'word' if match.end() == len(text) else '') from None


def _refuse_path(text: str, start: int) -> NoReturn:
    match = TEXT.match(text, start)
    word = match[0] if match else ''
    needs: Needs = 'word' if start + len(word) == len(text) else ''
    raise BadText(f'{shortened(word)!r} is no path into the last answer, like $.items[0].id or _["a b"]; quotes make it text', start, text, needs)

# JSON: read by json itself; where it stumbles over a path, it reads again with NaN in the place of each path, and asks for the values in order.



class _Constant(Exception):
    pass


def _stumble(name: str) -> NoReturn:
    raise _Constant


SCAN = make_scanner(json.JSONDecoder(parse_constant=_stumble))  # type: ignore[arg-type]  # raw_decode calls it, but counts lines at each path


def _json(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    try:
        return SCAN(text, start)
    except _Constant:
        return _json_with_paths(text, start, sources)
    except StopIteration as stop:
        position: int = stop.value
    except (ValueError, RecursionError) as error:
        raise _bad_json(text, start, error, int) from None
    if text[position:position + 1] in {'$', '_'}:
        return _json_with_paths(text, start, sources)
    raise _mistaken_json(text, start, position, 'Expecting value')


def _json_with_paths(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    found, end = _foreign(text, start)
    waiting = iter(found)
    decoder = json.JSONDecoder(parse_constant=lambda name: _foreign_value(text, next(waiting), sources))
    original = partial(_original, start, found)
    try:
        value, used = decoder.raw_decode(_replaced(text[start:end], start, found))
    except (ValueError, RecursionError) as error:
        raise _bad_json(text, start, error, original) from None
    return value, original(used)


def _foreign(text: str, start: int) -> tuple[list[re.Match[str]], int]:
    """What is no JSON in the value at `start`, and where the value ends."""
    depth = 0
    found = []
    for match in TOKEN.finditer(text, start):
        kind = match.lastgroup or ''
        depth += DEPTH.get(kind, 0)
        if kind in FOREIGN:
            found.append(match)
        if depth <= 0:
            return found, match.end()
    return found, len(text)


def json_end(text: str, start: int) -> int:
    """Where the JSON object or list that begins at `start` ends, the end of the text if it is open."""
    return _foreign(text, start)[1]


def _foreign_value(text: str, match: re.Match[str], sources: Sources) -> Any:
    return FOREIGN[match.lastgroup or ''](text, match.start(), sources)[0]


def _refuse_constant(text: str, start: int, sources: Sources) -> NoReturn:
    name = 'NaN' if text[start] == 'N' else 'Infinity'
    raise BadText(f'bad JSON: {name} is not part of it', start, text)


FOREIGN: dict[str, Reader] = {'path': _reply, 'almost': _reply, 'constant': _refuse_constant}


def _replaced(text: str, offset: int, found: list[re.Match[str]]) -> str:
    ends = [0, *(match.end() - offset for match in found)]
    starts = [*(match.start() - offset for match in found), len(text)]
    return 'NaN'.join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _original(offset: int, found: list[re.Match[str]], position: int) -> int:
    """The position in the text that was typed."""
    position += offset
    for match in found:
        if position > match.start():
            position += match.end() - match.start() - len('NaN')
    return position


def _bad_json(text: str, start: int, error: ValueError | RecursionError, original: Callable[[int], int]) -> BadText:
    if isinstance(error, json.JSONDecodeError):
        return _mistaken_json(text, start, original(error.pos), error.msg)
    reason = 'it is nested too deep' if isinstance(error, RecursionError) else 'a number in it is too long'
    return BadText(f'bad JSON: {reason}', start, text)


def _mistaken_json(text: str, start: int, position: int, message: str) -> BadText:
    return BadText(f'bad JSON: {message}', position, text, _needs(text, start, position, message))


def _needs(text: str, start: int, position: int, message: str) -> Needs:
    if not CUT_OFF.get(message, CUT_OFF_ELSE).match(text, position):
        return ''
    return 'lines' if text[start:start + 1] in {'{', '[', '"'} else 'word'
