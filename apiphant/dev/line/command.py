"""What a line typed at the prompt means: text in, effect out. Knows no terminal, no network and no process.

    read echo {"hello": "world"}        a call: action, target, and its request
    read echo hello=world n:=3 | jq .   with items, and what it prints goes to another program
"""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import NoReturn

from ...api.actions import ACTIONS
from . import calls, setting
from .bad_text import BadText
from .context import BadLine, Context, first_word
from .effect import Ask, Call, Do, Effect, Open, Show, Use, Watch
from .help import Command, help_on
from .output import split, split_python
from .secrets import has_secret

LEVELS = ('debug', 'info', 'warning', 'error')
LINE_NUMBER = re.compile(r':\d+$')


def interpret(line: str, context: Context) -> Effect:
    """The effect of a line; None of an empty one. Raises BadLine."""
    text = line
    try:
        text, output = SPLITS.get(first_word(line)[0], split)(line)
        effect = _effect(text, context)
    except BadText as error:
        raise BadLine(str(error.within(line, line.rfind(error.whole, 0, len(text))))) from None
    if not output or effect is None:
        return effect
    if isinstance(effect, (Call, Show, Ask)):
        return replace(effect, output=output)
    raise BadLine(f'{first_word(text)[0]} prints nothing that {output!r} could take')


def _effect(text: str, context: Context) -> Effect:
    word, rest = first_word(text)
    if not word:
        return None
    if word.startswith('/api/'):
        return calls.call_of_path(text, context)
    if word not in COMMANDS:
        return setting.assign(text.strip(), context) or _refuse(word)
    command = COMMANDS[word]
    if rest and not command.arguments:
        raise BadLine(f'{command.name} takes nothing after it, not {rest!r}')
    return command.act(rest, context)


def _refuse(word: str) -> NoReturn:
    near = get_close_matches(word, COMMANDS, 1)
    hint = f'did you mean {near[0]!r}?' if near else 'try help'
    raise BadLine(f'{word!r} is no action and no command; {hint}')


def may_be_kept(line: str) -> bool:
    """Whether a line may be in the history: not with a password or the like in it, nor when it starts with a space."""
    return bool(line.strip()) and not line[0].isspace() and not has_secret(line)


def _watch(rest: str, context: Context) -> Watch:
    if not rest:
        return Watch(calls.again('', context))
    effect = interpret(rest, context)
    if not isinstance(effect, Call):
        raise BadLine(f'only calls can be watched, not {rest!r}')
    return Watch(effect)


def _use(version: str, context: Context) -> Use:
    versions = context.routes.versions
    if version not in versions:
        raise BadLine(f'use takes a version of this product: {", ".join(versions) or "there is none yet"}')
    return Use(version)


def _routes(text: str, context: Context) -> Show:
    if not context.routes.paths:
        return Show('There are no routes yet: the first could be api/v0/echo.py with "def read(request)".')
    paths = [path for path in context.routes.paths if text in path]
    return Show('\n'.join(paths) or f'No route has {text!r} in it.')


def _help(topic: str, context: Context) -> Show:
    return help_on(topic, context, COMMANDS)


def _ask(what: str, rest: str, context: Context) -> Ask:
    return Ask(what, {})


def _py(text: str, context: Context) -> Ask:
    if not text:
        raise BadLine('py what? An expression comes next: py 1 + 1')
    return Ask('py', {'text': text, 'last': context.last(text)})


def _run(name: str, context: Context) -> Ask:
    if not name:
        raise BadLine('run what? The name of a task comes next; tasks lists them')
    return Ask('run', {'name': name})


def _log(level: str, context: Context) -> Ask:
    if level not in LEVELS:
        raise BadLine(f'log takes a level: {", ".join(LEVELS)}')
    return Ask('log', {'level': level})


def _open(place: str, context: Context) -> Open:
    path, _, line = place.rpartition(':') if LINE_NUMBER.search(place) else (place, '', '1')
    return Open(path, int(line))


def _do(what: str, rest: str, context: Context) -> Do:
    return Do(what)


def _command_of(action: str) -> Command:
    return Command(action, 'TARGET [REQUEST]', f'call the {action} of a target', partial(calls.call, action))


# By their first word. Of py, > and | may be Python's; what edit takes is not looked at.
SPLITS: dict[str, Callable[[str], tuple[str, str]]] = {'py': split_python, 'edit': lambda line: (line, '')}

TABLE = (
    *(_command_of(action) for action in ACTIONS),
    Command('again', '[ITEMS]', 'make the last call again, perhaps with a change: again n:=4', calls.again),
    Command('watch', '[CALL]', 'make it again after each reload, and show what changed', _watch),
    Command('unwatch', '', 'no more of that', lambda rest, context: Watch(None)),
    Command('edit', '[LINE]', 'edit a line, or the last call, in $EDITOR', calls.edit),
    Command('curl', '[--secrets]', 'the last call as a curl command, with *** for secrets', calls.curl),
    Command('save', '', 'write the last call and its answer into api/test.py', calls.save),
    Command('set', '[ITEMS]', 'send fields with each call, or a header: set Authorization: Bearer $token',
            setting.set_),
    Command('unset', 'NAME', 'no more of that; * is all', setting.unset),
    Command('use', 'VERSION', 'call this version from now on', _use),
    Command('routes', '[TEXT]', 'what can be called', _routes),
    Command('py', 'EXPRESSION', 'evaluate Python in the live app; _ is the last answer, > is Python', _py),
    Command('tasks', '', 'the background tasks', partial(_ask, 'tasks')),
    Command('run', 'TASK', 'run a background task once', _run),
    Command('log', 'LEVEL', f'what is logged from now on: {", ".join(LEVELS)}', _log),
    Command('open', '[FILE[:LINE]]', 'open a file, or where the last traceback ended, in $EDITOR', _open),
    Command('restart', '', 'start a new app process; it takes over when it is ready', partial(_do, 'restart')),
    Command('clear', '', 'clear the screen', partial(_do, 'clear')),
    Command('help', '[TOPIC]', 'all this, or more about a command, a target or an action', _help),
    Command('quit', '', 'leave, as Ctrl-D does', partial(_do, 'quit')),
)
COMMANDS = {command.name: command for command in TABLE}
COMMANDS['exit'] = COMMANDS['quit']
