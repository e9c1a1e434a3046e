"""A request as it is typed: text in, dict out. Does no I/O but `@file`, through a function argument; knows no lines, calls and terminals.

    {"a": 1}                            a JSON object
    a=text b="two words" c:=[1, 2]      items: key=text and key:=JSON
    {"a": 1} b=2                        both: items are put into the object
    a.b=1 items.0.id=2 tags[]=x         inside objects, into a list that is there, at the end of a list
    a=@notes.txt b:=@data.json          the text or the JSON of a file
    id=$.items[0].id all:=[_, 1]        values of the last answer, `$` or `_`; quotes make it text: "$.id"
    $.items[0] name=new                 an object of the last answer with items put into it

A value that is taken from the last answer is not copied, but nothing is ever put into it: see Tree.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from json.scanner import make_scanner
from pathlib import Path
from typing import Any, NoReturn

from .bad_text import BadText, Needs
from .reply_path import ESCAPED, PATH, NoValue, described, look_up, shortened
from .request_tree import UNKNOWN, Tree, put

__all__ = ['BadText', 'is_unfinished', 'json_end', 'parse', 'problem']

SPACE = re.compile(r'\s*+')
ITEM = re.compile(r'(?P<key>[^\s=:{}"\']++)(?P<kind>:?=)')
HALF_ITEM = re.compile(r'[^\s=:{}"\']++:?\Z')
TEXT = re.compile(r'"(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)"|\'(?P<single>[^\']*+)\'|(?P<bare>\S*+)', re.DOTALL)
ALMOST_PATH = re.compile(r'[$_][.\[]\S*+')
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


def _unknown(name: str) -> Any:
    return UNKNOWN


def _read_file(name: str) -> str:
    return Path(name).expanduser().read_bytes().decode()


def parse(text: str, last: Any = None, read_file: Callable[[str], str] = _read_file) -> dict[str, Any]:
    """The request that was typed. `last` is the last answer, None if there is none. Raises BadText."""
    return _parse(text, Sources(partial(look_up, last), partial(_file_text, read_file), partial(_file_json, read_file)))


def problem(text: str, last: Any = None) -> BadText | None:
    """What is wrong in a text that is being typed; None also if it may become right by typing on at its end. Reads no files."""
    error = _mistake(text, Sources(partial(look_up, last), _unknown, _unknown))
    return error if error and not error.needs else None


def is_unfinished(text: str) -> bool:
    """Whether more lines may complete the text: a bracket or a quote is open. A text that is wrong is finished."""
    error = _mistake(text, Sources(_unknown, _unknown, _unknown))
    return error is not None and error.needs == 'lines'


def _mistake(text: str, sources: Sources) -> BadText | None:
    try:
        _parse(text, sources)
    except BadText as error:
        return error
    return None


def _parse(text: str, sources: Sources) -> dict[str, Any]:
    base, position = _base(text, _skip(text, 0), sources)
    tree = Tree(base.copy())
    while position < len(text):
        position = _read_item(tree, text, position, sources)
    return tree.root


def _base(text: str, start: int, sources: Sources) -> tuple[dict[str, Any], int]:
    """What the items are put into, and where they begin."""
    if not text.startswith('{', start) and not _path_word(text, start):
        return {}, start
    value, end = _json_value(text, start, sources)
    if not isinstance(value, dict) and value is not UNKNOWN:
        raise BadText(f'the request should be a JSON object, not {described(value)}', start, text)
    return value if isinstance(value, dict) else {}, _next(text, start, end)


def _read_item(tree: Tree, text: str, start: int, sources: Sources) -> int:
    match = ITEM.match(text, start)
    if not match:
        _refuse_word(text, start)
    try:
        container, key = tree.spot(match['key'])
    except NoValue as error:
        raise BadText(str(error), start, text) from None
    value, end = VALUES[match['kind']](text, match.end(), sources)
    put(container, key, value)
    return _next(text, start, end)


def _refuse_word(text: str, start: int) -> NoReturn:
    word = shortened(text[start:start + 200].split(maxsplit=1)[0])
    needs: Needs = 'word' if HALF_ITEM.match(text, start) else ''
    raise BadText(f'the request should be a JSON object or items, key=text or key:=JSON, not {word!r}', start, text, needs)


def _skip(text: str, start: int) -> int:
    match = SPACE.match(text, start)
    return match.end() if match else start


def _next(text: str, start: int, end: int) -> int:
    """Where the next item begins, after one from `start` to `end`."""
    position = _skip(text, end)
    if position == end < len(text):
        needs: Needs = 'word' if CUT_OFF_NUMBER.match(text, end) else ''
        raise BadText(f'a space should follow {shortened(text[start:end])!r}', end, text, needs)
    return position


# Values: each reads one at `start` and tells where it ends.

def _text_value(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    if text.startswith('@', start):
        return _file(text, start, sources.file_text)
    if _path_word(text, start):
        return _reply(text, start, sources)
    if ALMOST_PATH.match(text, start):
        _refuse_path(text, start)
    return _plain_text(text, start)


def _json_value(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    if text.startswith('@', start):
        return _file(text, start, sources.file_json)
    if PATH.match(text, start):
        return _reply(text, start, sources)
    return _json(text, start, sources)


VALUES: dict[str, Reader] = {'=': _text_value, ':=': _json_value}


def _plain_text(text: str, start: int) -> tuple[str, int]:
    match = TEXT.match(text, start)
    assert match is not None  # it matches the empty text too
    if match['bare'] and match['bare'][0] in '"\'':
        raise BadText(f'a quote is not closed: {shortened(text[start:start + 200])}', start, text, 'lines')
    if match['double'] is not None:
        return ESCAPED.sub(r'\1', match['double']), match.end()
    return match['single'] if match['single'] is not None else match['bare'], match.end()


def _file(text: str, start: int, read: Callable[[str], Any]) -> tuple[Any, int]:
    name, end = _plain_text(text, start + 1)
    if not name:
        raise BadText('a file name comes after @', end, text, 'word' if end == len(text) else '')
    try:
        return read(name), end
    except NoValue as error:
        raise BadText(str(error), start, text) from None


def _file_text(read_file: Callable[[str], str], name: str) -> str:
    try:
        return read_file(name)
    except OSError as error:
        raise NoValue(f'cannot read {name}: {error.strerror or error}') from None
    except (ValueError, RuntimeError) as error:  # no UTF-8, NUL in the name; no home for ~
        raise NoValue(f'cannot read {name}: {error}') from None


def _file_json(read_file: Callable[[str], str], name: str) -> Any:
    content = _file_text(read_file, name)
    try:
        value, end = _json(content, _skip(content, 0), Sources(_no_reply, _unknown, _unknown))
        if _skip(content, end) < len(content):
            raise BadText('bad JSON: Extra data', _skip(content, end), content)
    except BadText as error:
        raise NoValue(f'{name}, line {error.line_and_column[0]}, column {error.line_and_column[1]}: {error.text}') from None
    return value


def _no_reply(path: str) -> NoReturn:
    raise NoValue(f'bad JSON: {path} is not part of it')


def _path_word(text: str, start: int) -> bool:
    match = PATH.match(text, start)
    return match is not None and (match.end() == len(text) or text[match.end()].isspace())


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
