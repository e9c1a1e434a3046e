"""Lines that make a call, or do something with the last one."""
from __future__ import annotations

import re
import shlex
from dataclasses import replace
from difflib import get_close_matches
from urllib.parse import quote

from ...api.actions import ACTIONS
from .context import BadLine, Context, first_word
from .effect import Call, Edit, Save, Show
from .request import parse
from .route_index import Routes
from .secrets import masked
from .values import json_text

PATH = re.compile(rf'/api/(?P<version>v\d+)/(?P<target>[^\s=]+)/(?P<action>{"|".join(ACTIONS)})')
SECRETS = '--secrets'
NEAR = 1000  # targets that may have been meant


def call(action: str, rest: str, context: Context) -> Call:
    target, text = first_word(rest)
    if not target.strip('/'):
        raise BadLine(f'{action} what? A target comes next: {action} echo')
    if '=' in target or target.startswith('{'):
        raise BadLine(f'a target comes before the request: {action} echo {target}')
    if not target.isprintable():
        raise BadLine(f'{target!r} is no target')
    version, target = _version_and_target(action, target, context)
    return Call(version, target, action, parse(text, context.last(text), names=context.names))


def _version_and_target(action: str, target: str, context: Context) -> tuple[str, str]:
    path = PATH.fullmatch(target)
    if not path:
        return context.version, target.strip('/')
    if path['action'] != action:
        raise BadLine(f'{target} is a {path["action"]}, not a {action}')
    return path['version'], path['target']


def call_of_path(line: str, context: Context) -> Call:
    """A line that begins with a path, as `routes` prints them."""
    word, rest = first_word(line)
    path = PATH.fullmatch(word)
    if not path:
        raise BadLine(f'{word!r} is no path of an action, like /api/v0/echo/read')
    return call(path['action'], f'{word} {rest}', context)


def suggestion(missed: Call, routes: Routes) -> str:
    """What was perhaps meant by a call that nothing answers to, or where to look."""
    version, target, action = missed.version, missed.target, missed.action
    if actions := routes.actions(version, target):
        return f'{target} has no {action}; it has {", ".join(actions)}'
    if near := get_close_matches(target, routes.around(target, version, action, NEAR), 1):
        return f'did you mean {action} {near[0]}?'
    for other in routes.versions:
        if routes.has(other, target, action):
            return f'{other} has it: use {other}'
    return f'{version} has no {target}; routes lists what there is'


def again(rest: str, context: Context) -> Call:
    """The last call, with items put into its request: `again n:=4`."""
    last = context.last_call
    request = parse(rest, context.last(rest), names=context.names, base=last.request)
    return replace(last, request=request, output='')


def curl(rest: str, context: Context) -> Show:
    """With *** for secrets, but for `curl --secrets`. Raises BadLine."""
    if rest not in ('', SECRETS):
        raise BadLine(f'curl takes nothing but {SECRETS}, not {rest!r}')
    last, sticky = context.last_call, context.sticky
    request, headers = {**sticky.fields, **last.request}, dict(sticky.headers)
    if not rest:
        request, headers = masked(request), masked(headers)
    path = quote(last.path)
    socket = context.url.removeprefix('unix:')
    is_socket = socket != context.url
    where = ['--unix-socket', socket, f'http://localhost{path}'] if is_socket else [context.url + path]
    options = [word for name, value in headers.items() for word in ('-H', f'{name}: {value}')]
    return Show(shlex.join(['curl', '-X', 'POST', '-d', json_text(request), *options, *where]))


def line_of(made: Call) -> str:
    """The call as it could be typed, with its request as indented JSON."""
    request = json_text(made.request, 2) if made.request else ''
    return f'{made.action} {made.target} {request}'.rstrip()


def edit(rest: str, context: Context) -> Edit:
    if rest or not context.call:
        return Edit(rest)
    return Edit(line_of(context.call))


def save(rest: str, context: Context) -> Save:
    last = context.last_call
    if not context.status:
        raise BadLine('the last call had no answer to save')
    return Save(last, context.status, context.answer())
