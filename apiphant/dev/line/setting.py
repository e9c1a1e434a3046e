"""Lines that keep something for the lines after them: `token = $.token`, `set token=$token`, `unset token`.

It lives as long as the console.
"""
from __future__ import annotations

import re
from functools import partial

from .bad_text import BadText
from .context import BadLine, Context
from .effect import Keep, Send, Show, Unsend
from .paths import NAMED, NoValue, look_up
from .request import parse, value_of
from .secrets import masked
from .values import json_text

HEADER = re.compile(r'(?P<name>[A-Za-z][A-Za-z0-9-]*+):(?!=)\s*+(?P<value>.*)', re.DOTALL)
ASSIGNMENT = re.compile(r'\$?(?P<name>[A-Za-z]\w*+)\s++=(?:\s++(?P<value>.*))?', re.DOTALL)
OURS = ('content-type', 'content-length', 'host', 'connection', 'transfer-encoding', 'user-agent')


def assign(line: str, context: Context) -> Keep | None:
    """`token = $.token`; None for a line that is none. Raises BadLine, BadText."""
    match = ASSIGNMENT.fullmatch(line)
    if not match:
        return None
    text = match['value'] or ''
    if not text.strip():
        raise BadLine(f'{match["name"]} = what? A value comes next: {match["name"]} = $.id')
    return Keep(match['name'], value_of(text, context.last(text), context.names))


def set_(rest: str, context: Context) -> Send | Show:
    """`set token=$token`, `set Authorization: Bearer $token`; `set` alone shows what is set."""
    if not rest:
        return Show(_listed(context))
    header = HEADER.fullmatch(rest)
    if header:
        return Send({}, {header['name']: _header(header['name'], header['value'], context)})
    return Send(parse(rest, context.last(rest), names=context.names), {})


def unset(rest: str, context: Context) -> Unsend:
    """`unset token Authorization`; `unset *` is all of it."""
    names = tuple(rest.replace(',', ' ').split())
    if not names:
        raise BadLine('unset what? The name of a field or header comes next, or *; set shows them')
    if names == ('*',):
        return Unsend((*context.sticky.fields, *context.sticky.headers))
    for name in names:
        if not context.sticky.has(name):
            raise BadLine(f'{name!r} is not set; set shows what is')
    return Unsend(names)


def _header(name: str, text: str, context: Context) -> str:
    """With the values of what begins with $ in it. Raises BadLine, BadText."""
    if name.lower() in OURS:
        raise BadLine(f'the header {name} is not yours to set: the console writes it')
    if not text:
        raise BadLine(f'{name}: what? A text comes next; unset {name} takes it away')
    value = NAMED.sub(partial(_filled, text, context), text)
    if not value.isprintable() or not value.isascii():
        raise BadLine(f'the header {name} should be ASCII text on one line')
    return value


def _filled(text: str, context: Context, match: re.Match[str]) -> str:
    try:
        value = look_up(context.last(match[0]), match[0], context.names)
    except NoValue as error:
        raise BadText(str(error), match.start(), text) from None
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise BadText(f'{match[0]} is no text for a header', match.start(), text)
    return str(value)


def _listed(context: Context) -> str:
    """Secrets masked."""
    fields = [f'{name}:={json_text(value)}' for name, value in masked(dict(context.sticky.fields)).items()]
    headers = [f'{name}: {value}' for name, value in masked(dict(context.sticky.headers)).items()]
    names = [f'${name} = {json_text(value)}' for name, value in masked(dict(context.names)).items()]
    nothing = 'Nothing is set: set token=... goes with each call, name = $.id keeps a value.'
    return '\n'.join(fields + headers + names) or nothing
