"""What may come next on a line. Pure: the text before the cursor and the state in, candidates out."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..describe import Field, hint
from ..routing import ACTIONS
from .command import COMMANDS, LEVELS, State

MANY = 30  # targets, above which they are offered by segments
MOST = 200  # candidates
KEY = re.compile(r'(?:^|\s)(?P<key>[\w.\[\]-]*)$')
VALUE = re.compile(r'(?:^|\s)(?P<key>[\w.\[\]-]+):?=(?P<value>[^\s]*)$')
NAME = re.compile(r'[{,]\s*(?P<quote>"?)(?P<key>[\w.-]*)$')
TYPED = ('int', 'float', 'bool', 'dict', 'list')


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may replace the last `length` characters, and a word about it."""
    text: str
    length: int
    hint: str = ''


def complete(text: str, state: State, earlier: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """What may come at the end of `text`, in order. `earlier` are values typed before, by key."""
    words = text.split(None, 2)
    if not words or (len(words) == 1 and not text[-1].isspace()):
        return _commands(text.lstrip())
    if words[0] in ('watch', 'help') and len(words) > 1 + text[-1].isspace() - (words[0] == 'watch'):
        return complete(text.split(None, 1)[1], state, earlier)
    if words[0] in ACTIONS:
        return _of_call(words, text, state, earlier)
    prefix = '' if text[-1].isspace() else words[-1]
    offered = {'use': state.routes.versions, 'log': LEVELS, 'help': [*COMMANDS, *_targets(state)], 'watch': ACTIONS}.get(words[0], ())
    return _matching(((word, '') for word in offered), prefix)


def _commands(prefix: str) -> list[Candidate]:
    return _matching(((name, command.help) for name, command in COMMANDS.items() if name == command.name), prefix)


def _matching(words: Iterable[tuple[str, str]], prefix: str) -> list[Candidate]:
    return [Candidate(word, len(prefix), about) for word, about in words if word.startswith(prefix)][:MOST]


def _targets(state: State) -> list[str]:
    return sorted({target for action in ACTIONS for target in state.routes.targets(state.version, action)})


def _of_call(words: list[str], text: str, state: State, earlier: Mapping[str, Sequence[str]]) -> list[Candidate]:
    if len(words) == 1 or (len(words) == 2 and not text[-1].isspace()):
        return _of_target(words[0], words[1] if len(words) > 1 else '', state)
    description = state.describe(state.version, words[1]).get(words[0])
    fields = description.fields if description else ()
    request = text[text.index(words[1], len(words[0])) + len(words[1]):]
    return _of_json(request, fields) if request.lstrip().startswith('{') else _of_items(request, fields, earlier)


def _of_target(action: str, prefix: str, state: State) -> list[Candidate]:
    targets = state.routes.starting(prefix, state.version, action, MANY + 1)
    if len(targets) > MANY:
        return [Candidate(segment, len(prefix)) for segment in state.routes.segments(prefix, state.version, action)[:MOST]]
    return [Candidate(target, len(prefix), _about(action, target, state)) for target in targets]


def _about(action: str, target: str, state: State) -> str:
    description = state.describe(state.version, target).get(action)
    return description.doc.partition('\n')[0] if description else ''


def _of_items(request: str, fields: Sequence[Field], earlier: Mapping[str, Sequence[str]]) -> list[Candidate]:
    if value := VALUE.search(request):
        return _matching(((text, '') for text in earlier.get(value['key'], ())), value['value'])
    key = KEY.search(request)
    given = set(re.findall(r'(?:^|\s)([\w.-]+):?=', request))
    offered = ((field.name + (':=' if field.types and field.types[0] in TYPED else '='), hint(field)) for field in fields if field.name not in given)
    return _matching(offered, key['key']) if key else []


def _of_json(request: str, fields: Sequence[Field]) -> list[Candidate]:
    """Names of the outermost object."""
    name = NAME.search(request)
    if not name or request.count('{') - request.count('}') != 1:
        return []
    given = set(re.findall(r'"([\w.-]+)"\s*:', request))
    prefix = name['quote'] + name['key']
    return [Candidate(f'"{field.name}": ', len(prefix), hint(field)) for field in fields
            if '.' not in field.name and field.name not in given and field.name.startswith(name['key'])]
