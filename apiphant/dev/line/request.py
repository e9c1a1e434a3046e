"""A request as it is typed: text in, dict out. Does no I/O but `@file`, through a function argument.

    {"a": 1}                            a JSON object
    a=text b="two words" c:=[1, 2]      items: key=text and key:=JSON
    {"a": 1} b=2                        both: items are put into the object
    a.b=1 items.0.id=2 tags[]=x         inside objects, into a list that is there, at the end of a list
    a=@notes.txt b:=@data.json          the text or the JSON of a file
    id=$.items[0].id all:=[_, 1]        values of the last answer, `$` or `_`; quotes make it text: "$.id"
    $.items[0] name=new                 an object of the last answer with items put into it
    id=$me.id                           a value with a name

A value that is taken from the last answer is not copied, but nothing is ever put into it: see Tree.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ...words import reason
from .bad_text import BadText, Needs
from .json_with_paths import CUT_OFF_NUMBER, TEXT, Reader, Sources, read_json, read_reply, refuse_path
from .paths import ESCAPED, NO_NAMES, PATH, NoValue, look_up
from .request_keys import KEY, UNKNOWN, Tree, put
from .values import described, shortened

__all__ = ['BadText', 'is_unfinished', 'parse', 'problem']

SPACE = re.compile(r'\s*+')
ITEM = re.compile(r'(?P<key>[^\s=:{}"\']++)(?P<kind>:?=)')
HALF_ITEM = re.compile(r'[^\s=:{}"\']++:?\Z')
MOST = 64 * 2 ** 20  # bytes of a file
ALMOST_PATH = re.compile(r'(?:\$(?:[A-Za-z]\w*+)?+|_)[.\[]\S*+')


def _unknown(name: str) -> Any:
    return UNKNOWN


def _read_file(name: str) -> str:
    with Path(name).expanduser().open('rb') as file:
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise NoValue(f'{name} has more than {MOST // 2 ** 20} MB, which is too much for a request')
    return content.decode()


def parse(
        text: str, last: Any = None, read_file: Callable[[str], str] = _read_file, *,
        names: Mapping[str, Any] = NO_NAMES, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """The request that was typed, in items put into a `base` where that is given. Raises BadText.

    `last` is the last answer, None if there is none.
    """
    return _parse(text, _sources(last, names, read_file), base)


def value_of(text: str, last: Any = None, names: Mapping[str, Any] = NO_NAMES) -> Any:
    """One value: JSON, a path, @file. Raises BadText."""
    start = _skip(text, 0)
    value, end = _json_value(text, start, _sources(last, names, _read_file))
    if _next(text, start, end) < len(text):
        raise BadText('one value is enough; quotes make it text', end, text)
    return value


def _sources(last: Any, names: Mapping[str, Any], read_file: Callable[[str], str]) -> Sources:
    return Sources(
        partial(look_up, last, names=names), partial(_file_text, read_file), partial(_file_json, read_file))


def problem(text: str, last: Any = None, names: Mapping[str, Any] = NO_NAMES) -> BadText | None:
    """What is wrong in a text that is being typed; None also if it may become right by typing on at its end.

    Reads no files.
    """
    error = _mistake(text, Sources(partial(look_up, last, names=names), _unknown, _unknown))
    return error if error and not error.needs else None


def is_unfinished(text: str) -> bool:
    """Whether more lines may complete the text: a bracket or a quote is open. A text that is wrong is finished."""
    error = _mistake(text, Sources(_unknown, _unknown, _unknown))
    return error is not None and error.needs == 'lines'


def is_key(name: str) -> bool:
    """Whether an item can begin with it."""
    return name.isprintable() and ITEM.fullmatch(f'{name}=') is not None and KEY.fullmatch(name) is not None


def _mistake(text: str, sources: Sources) -> BadText | None:
    try:
        _parse(text, sources)
    except BadText as error:
        return error
    return None


def _parse(text: str, sources: Sources, base: dict[str, Any] | None = None) -> dict[str, Any]:
    position = _skip(text, 0)
    if base is None:
        base, position = _base(text, position, sources)
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
    right = 'a JSON object or items, key=text or key:=JSON'
    raise BadText(f'the request should be {right}, not {word!r}', start, text, needs)


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
        return read_reply(text, start, sources)
    if ALMOST_PATH.match(text, start):
        refuse_path(text, start)
    return _plain_text(text, start)


def _json_value(text: str, start: int, sources: Sources) -> tuple[Any, int]:
    if text.startswith('@', start):
        return _file(text, start, sources.file_json)
    if PATH.match(text, start):
        return read_reply(text, start, sources)
    return read_json(text, start, sources)


VALUES: dict[str, Reader] = {'=': _text_value, ':=': _json_value}


def _plain_text(text: str, start: int) -> tuple[str, int]:
    match = TEXT.match(text, start)
    assert match is not None  # it matches the empty text too
    if match['bare'] and match['bare'][0] in '"\'':
        raise BadText(f'a quote is not closed: {shortened(text[start:start + 200])}', start, text, 'lines')
    if match['double'] is not None:
        return ESCAPED.sub(r'\1', match['double']), match.end()
    if match['single'] is not None:
        return match['single'], match.end()
    if '|' in match['bare']:
        bar = text.index('|', start)
        raise BadText('a space before | makes it a pipe, quotes make it text', bar, text)
    return match['bare'], match.end()


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
        raise NoValue(f'cannot read {name}: {reason(error)}') from None
    except (ValueError, RuntimeError) as error:  # no UTF-8, NUL in the name; no home for ~
        raise NoValue(f'cannot read {name}: {error}') from None


def _file_json(read_file: Callable[[str], str], name: str) -> Any:
    content = _file_text(read_file, name)
    try:
        value, end = read_json(content, _skip(content, 0), Sources(_no_reply, _unknown, _unknown))
        if _skip(content, end) < len(content):
            raise BadText('bad JSON: Extra data', _skip(content, end), content)
    except BadText as error:
        line, column = error.line_and_column
        raise NoValue(f'{name}, line {line}, column {column}: {error.text}') from None
    return value


def _no_reply(path: str) -> NoReturn:
    raise NoValue(f'bad JSON: {path} is not part of it')


def _path_word(text: str, start: int) -> bool:
    match = PATH.match(text, start)
    return match is not None and (match.end() == len(text) or text[match.end()].isspace())
