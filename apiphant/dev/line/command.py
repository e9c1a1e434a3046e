"""What a line typed at the prompt means: text in, effect out. Knows no terminal, no network and no process.

    read echo {"hello": "world"}        a call: action, target, and its request
    read echo hello=world n:=3 | jq .   with items, and what it prints goes to another program
"""
from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, NoReturn
from urllib.parse import quote

from ...api.actions import ACTIONS
from ..source.fields import Description, hint
from .bad_text import BadText
from .effect import Ask, Call, Do, Edit, Effect, Open, Save, Show, Use, Watch
from .output import split, split_python
from .request import parse
from .route_index import Routes
from .values import json_text

NEAR = 1000  # targets that may have been meant
LEVELS = ('debug', 'info', 'warning', 'error')
KEY = re.compile(r'(?<!["\'\w.\[\]-])["\'\w.\[\]-]++(?=\s*+:?[=:])')
SECRET = re.compile(r'(?i)password|passwd|token|secret|api_?key')


@dataclass(frozen=True, slots=True)
class State:
    """What lines refer to. `describe` gives what the actions of a target of a version take, `answer` the last answer."""
    version: str
    routes: Routes
    url: str = ''
    call: Call | None = None  # the last one, and its status
    status: int = 0
    answer: Callable[[], Any] = lambda: None
    describe: Callable[[str, str], Mapping[str, Description]] = lambda version, target: {}

    def last(self, text: str) -> Any:
        """The last answer, as far as the text may refer to it: reading a large one takes time."""
        return self.answer() if '$' in text or '_' in text else None


class BadLine(Exception):
    """The line means nothing; the text says what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Command:
    """A word that may begin a line, what may follow it, and what that does."""
    name: str
    arguments: str
    help: str
    act: Callable[[str, State], Effect]


def interpret(line: str, state: State) -> Effect:
    """The effect of a line; None of an empty one. Raises BadLine."""
    text = line
    try:
        text, output = SPLITS.get(first_word(line)[0], split)(line)
        word, rest = first_word(text)
        if not word:
            return None
        effect = _act(COMMANDS[word], rest, state) if word in COMMANDS else _refuse(word)
    except BadText as error:
        raise BadLine(str(error.within(line, line.rfind(error.whole, 0, len(text))))) from None
    if not output:
        return effect
    if isinstance(effect, (Call, Show, Ask)):
        return replace(effect, output=output)
    raise BadLine(f'{word} prints nothing that {output!r} could take')


def _act(command: Command, rest: str, state: State) -> Effect:
    if rest and not command.arguments:
        raise BadLine(f'{command.name} takes nothing after it, not {rest!r}')
    return command.act(rest, state)


def first_word(text: str) -> tuple[str, str]:
    """And the rest, '' if there is none."""
    first, *rest = text.split(maxsplit=1) or ['']
    return first, rest[0].rstrip() if rest else ''


def may_be_kept(line: str) -> bool:
    """Whether a line may be in the history: not with a password or the like in it, nor when it starts with a space."""
    return bool(line.strip()) and not line[0].isspace() and not any(map(SECRET.search, KEY.findall(line)))


def _refuse(word: str) -> NoReturn:
    near = get_close_matches(word, COMMANDS, 1)
    raise BadLine(f'{word!r} is no action and no command' + (f'; did you mean {near[0]!r}?' if near else '; try help'))

# Calls



def _call(action: str, rest: str, state: State) -> Call:
    target, text = first_word(rest)
    if not target.strip('/'):
        raise BadLine(f'{action} what? A target comes next: {action} echo')
    if '=' in target or target.startswith('{'):
        raise BadLine(f'a target comes before the request: {action} echo {target}')
    if not target.isprintable():
        raise BadLine(f'{target!r} is no target')
    return Call(state.version, target.strip('/'), action, parse(text, state.last(text)))


def suggestion(call: Call, routes: Routes) -> str:
    """What was perhaps meant by a call that nothing answers to, or where to look."""
    if actions := routes.actions(call.version, call.target):
        return f'{call.target} has no {call.action}; it has {", ".join(actions)}'
    if near := get_close_matches(call.target, routes.around(call.target, call.version, call.action, NEAR), 1):
        return f'did you mean {call.action} {near[0]}?'
    elsewhere = next((version for version in routes.versions if routes.has(version, call.target, call.action)), '')
    return f'{elsewhere} has it: use {elsewhere}' if elsewhere else f'{call.version} has no {call.target}; routes lists what there is'


def _last(state: State) -> Call:
    if state.call is None:
        raise BadLine('there was no call yet')
    return state.call


def _again(rest: str, state: State) -> Call:
    return replace(_last(state), output='')


def _watch(rest: str, state: State) -> Watch:
    if not rest:
        return Watch(_again('', state))
    effect = interpret(rest, state)
    if not isinstance(effect, Call):
        raise BadLine(f'only calls can be watched, not {rest!r}')
    return Watch(effect)


def _curl(rest: str, state: State) -> Show:
    call = _last(state)
    path, socket = quote(call.path), state.url.removeprefix('unix:')
    where = [state.url + path] if socket == state.url else ['--unix-socket', socket, f'http://localhost{path}']
    return Show(shlex.join(['curl', '-X', 'POST', '-d', json_text(call.request), *where]))


def line_of(call: Call) -> str:
    """The call as it could be typed, with its request as indented JSON."""
    request = json_text(call.request, 2) if call.request else ''
    return f'{call.action} {call.target} {request}'.rstrip()


def _edit(rest: str, state: State) -> Edit:
    return Edit(rest or (line_of(state.call) if state.call else ''))


def _save(rest: str, state: State) -> Save:
    call = _last(state)
    if not state.status:
        raise BadLine('the last call had no answer to save')
    return Save(call, state.status, state.answer())

# Words about the product



def _use(version: str, state: State) -> Use:
    if version not in state.routes.versions:
        raise BadLine(f'use takes a version of this product: {", ".join(state.routes.versions) or "there is none yet"}')
    return Use(version)


def _routes(text: str, state: State) -> Show:
    if not state.routes.paths:
        return Show('There are no routes yet: the first could be api/v0/echo.py with "def read(request)".')
    return Show('\n'.join(path for path in state.routes.paths if text in path) or f'No route has {text!r} in it.')


def _help(topic: str, state: State) -> Show:
    word, rest = first_word(topic)
    if not word:
        return Show(_overview(), is_table=True)
    if word in COMMANDS and not (word in ACTIONS and rest):
        command = COMMANDS[word]
        return Show(f'{command.name} {command.arguments}'.rstrip() + f'\n  {command.help}', is_table=True)
    return Show(_help_on_target(*((rest, word) if word in ACTIONS else (word, '')), state), is_table=True)


def _help_on_target(target: str, action: str, state: State) -> str:
    described = state.describe(state.version, target)
    actions = [name for name in state.routes.actions(state.version, target) if action in ('', name)]
    if not actions:
        known = {target: '' for action in ACTIONS for target in state.routes.targets(state.version, action)}
        near = get_close_matches(target, [*COMMANDS, *known], 1)
        raise BadLine(f'there is no {f"{action} {target}".strip()!r} to help with' + (f'; did you mean {near[0]!r}?' if near else ''))
    return '\n'.join(_help_on_action(name, target, described.get(name)) for name in actions)


def _help_on_action(action: str, target: str, description: Description | None) -> str:
    lines = [f'{action} {target}']
    if description:
        lines += [f'  {line}' for line in description.doc.splitlines()]
        width = max((len(field.name) for field in description.fields), default=0)
        lines += [f'    {field.name:{width}}  {hint(field)}'.rstrip() for field in description.fields]
    return '\n'.join(lines)


def _overview() -> str:
    rows = [(f'{command.name} {command.arguments}'.rstrip(), command.help) for name, command in COMMANDS.items() if name == command.name]
    width = max(len(usage) for usage, _ in rows)
    return '\n'.join(f'{usage:{width}}  {text}' for usage, text in rows) + FOOTNOTE


FOOTNOTE = """

A request is JSON or items, or both:
  read echo {"a": 1}
  read echo key=text key="two words" key:=JSON a.b=text list[]=text key=@file
The last answer, or a part of it:         read item id=$.items[0].id
Its way to other programs and files:      read items | jq .items > items.json
Ctrl-C cancels a call, Tab completes, Ctrl-R searches the history.
Saved files are live at once."""

# The app



def _ask(what: str, rest: str, state: State) -> Ask:
    return Ask(what, {})


def _py(text: str, state: State) -> Ask:
    if not text:
        raise BadLine('py what? An expression comes next: py 1 + 1')
    return Ask('py', {'text': text, 'last': state.last(text)})


def _run(name: str, state: State) -> Ask:
    if not name:
        raise BadLine('run what? The name of a task comes next; tasks lists them')
    return Ask('run', {'name': name})


def _log(level: str, state: State) -> Ask:
    if level not in LEVELS:
        raise BadLine(f'log takes a level: {", ".join(LEVELS)}')
    return Ask('log', {'level': level})


def _open(place: str, state: State) -> Open:
    path, _, line = place.rpartition(':') if re.search(r':\d+$', place) else (place, '', '1')
    return Open(path, int(line))


def _do(what: str, rest: str, state: State) -> Do:
    return Do(what)


TABLE = (
    *(Command(action, 'TARGET [REQUEST]', f'call the {action} of a target', partial(_call, action)) for action in ACTIONS),
    Command('again', '', 'make the last call again', _again),
    Command('watch', '[CALL]', 'make it again after each reload, and show what changed', _watch),
    Command('unwatch', '', 'no more of that', lambda rest, state: Watch(None)),
    Command('edit', '[LINE]', 'edit a line, or the last call, in $EDITOR', _edit),
    Command('curl', '', 'the last call as a curl command', _curl),
    Command('save', '', 'write the last call and its answer into api/test.py', _save),
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
SPLITS: dict[str, Callable[[str], tuple[str, str]]] = {'py': split_python, 'edit': lambda line: (line, '')}  # of all others: split
COMMANDS['exit'] = COMMANDS['quit']
