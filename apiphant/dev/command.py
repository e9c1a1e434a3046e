"""What a line typed at the prompt means: text in, effect out. Knows no terminal, no network and no process.

    read echo {"hello": "world"}        a call: action, target, and its request as JSON
    read echo hello=world n:=3          or as items: key=text, key:=JSON
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn

from ..routing import ACTIONS

ITEM = re.compile(r'(?P<key>[^\s=:{}"\']+)(?P<kind>:?=)')
TEXT = re.compile(r'"(?P<double>(?:[^"\\]|\\.)*)"|\'(?P<single>[^\']*)\'|(?P<bare>\S*)')

HELP = """ACTION TARGET [REQUEST]   call the API; actions are create, read, update, delete
    read echo                             with no request
    read echo {"hello": "world"}          with a JSON object
    read echo hello=world n:=3            with items: key=text, key:=JSON
    read echo title="two words"           quotes keep spaces together
use VERSION               call this version from now on: use v1
routes                    what can be called
help                      this text
quit                      leave, as Ctrl-D does

Ctrl-C cancels a call. Tab completes, Up and Ctrl-R look into the history. Saved files are live at once."""


@dataclass(frozen=True, slots=True)
class Call:
    """Call an action with a request."""
    version: str
    target: str
    action: str
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f'/api/{self.version}/{self.target}/{self.action}'


@dataclass(frozen=True, slots=True)
class Show:
    """Print a text."""
    text: str


@dataclass(frozen=True, slots=True)
class Use:
    """Call this version from now on."""
    version: str


@dataclass(frozen=True, slots=True)
class Leave:
    """End the console."""


Effect = Call | Show | Use | Leave | None


class BadLine(Exception):
    """The line means nothing; the text says what is wrong, and where."""


def interpret(line: str, version: str, routes: Sequence[str]) -> Effect:
    """The effect of a line; None of an empty one. `routes` are URL paths. Raises BadLine."""
    word, rest = _first_word(line)
    if word in ACTIONS:
        return _call(word, rest, version)
    if word == 'use':
        return _use(rest, routes)
    if word in SIMPLE and not rest:
        return SIMPLE[word](routes)
    return _refuse(word, rest) if word else None


def _first_word(text: str) -> tuple[str, str]:
    """And the rest, '' if there is none."""
    first, *rest = text.split(maxsplit=1) or ['']
    return first, rest[0].rstrip() if rest else ''


def _refuse(word: str, rest: str) -> NoReturn:
    if word in SIMPLE:
        raise BadLine(f'{word} takes nothing after it, not {rest!r}')
    near = get_close_matches(word, WORDS, 1)
    raise BadLine(f'{word!r} is no action and no command' + (f'; did you mean {near[0]!r}?' if near else '; try help'))


def _use(version: str, routes: Sequence[str]) -> Use:
    versions = versions_of(routes)
    if version not in versions:
        raise BadLine(f'use takes a version of this product: {", ".join(versions) or "there is none yet"}')
    return Use(version)


def versions_of(routes: Sequence[str]) -> list[str]:
    """['v0', 'v1', 'v10']"""
    return sorted({route.split('/')[2] for route in routes}, key=lambda version: int(version[1:]))


def _call(action: str, rest: str, version: str) -> Call:
    target, text = _first_word(rest)
    if not target:
        raise BadLine(f'{action} what? A target comes next: {action} echo')
    if '=' in target or target.startswith('{'):
        raise BadLine(f'a target comes before the request: {action} echo {target}')
    if not target.isprintable():
        raise BadLine(f'{target!r} is no target')
    return Call(version, target.strip('/'), action, request_of(text))


def request_of(text: str) -> dict[str, Any]:
    """The request that was typed: a JSON object or items. Raises BadLine."""
    if not text.startswith('{'):
        return _items(text)
    content = _json(text)
    if not isinstance(content, dict):
        raise BadLine('the request should be a JSON object')
    return content


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise BadLine(f'bad JSON at column {error.colno}: {error.msg}\n  {text}\n  {" " * (error.colno - 1)}^') from None
    except RecursionError:
        raise BadLine('bad JSON: it is nested too deep') from None
    except ValueError as error:
        raise BadLine(f'bad JSON: {error}') from None


def _refuse_constant(name: str) -> NoReturn:
    raise BadLine(f'bad JSON: {name} is not part of it')


def _items(text: str) -> dict[str, Any]:
    request: dict[str, Any] = {}
    position = 0
    while position < len(text):
        match = ITEM.match(text, position)
        if not match:
            raise BadLine(f'the request should be a JSON object or items, key=text or key:=JSON, not {text[position:].split(maxsplit=1)[0]!r}')
        read = _read_json if match['kind'] == ':=' else _read_text
        request[match['key']], end = read(text, match.end())
        if end < len(text) and not text[end].isspace():
            raise BadLine(f'a space should follow {text[position:end]!r}')
        position = end + len(text[end:]) - len(text[end:].lstrip())
    return request


def _read_json(text: str, start: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder(parse_constant=_refuse_constant).raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise BadLine(f'bad JSON after := : {error.msg}\n  {text}\n  {" " * error.pos}^') from None
    except RecursionError:
        raise BadLine('bad JSON after := : it is nested too deep') from None
    except ValueError as error:
        raise BadLine(f'bad JSON after := : {error}') from None


def _read_text(text: str, start: int) -> tuple[str, int]:
    match = TEXT.match(text, start)
    assert match is not None  # it matches the empty text too
    if match['bare'] and match['bare'][0] in '"\'':
        raise BadLine(f'a quote is not closed: {text[start:]}')
    if match['double'] is not None:
        return re.sub(r'\\(.)', r'\1', match['double']), match.end()
    return match['single'] if match['single'] is not None else match['bare'], match.end()


SIMPLE: dict[str, Callable[[Sequence[str]], Effect]] = {
    'help': lambda routes: Show(HELP),
    'routes': lambda routes: Show('\n'.join(routes) or 'There are no routes yet: the first could be api/v0/echo.py with "def read(request)".'),
    'quit': lambda routes: Leave(),
    'exit': lambda routes: Leave(),
}
WORDS = (*ACTIONS, 'use', *SIMPLE)
