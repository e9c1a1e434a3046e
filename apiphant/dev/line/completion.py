"""What may come next on a line. Pure: the text before the cursor in, candidates out."""
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ...api.actions import ACTIONS
from ..source.field_call import Field, hint
from .bad_text import BadText
from .command import COMMANDS, LEVELS, TABLE
from .context import Context
from .output import split
from .request import is_key, is_unfinished

MANY = 30  # targets, above which they are offered by segments
MOST = 200  # candidates
KEY = re.compile(r'(?:^|\s)(?P<key>[\w.\[\]-]*)$')
VALUE = re.compile(r'(?:^|\s)(?P<key>[\w.\[\]-]++)(?P<kind>:?=)(?P<value>[^\s]*)$')
PLAIN = re.compile(r'[^\s"\'@$_|][^\s|]*')
GIVEN = re.compile(r'(?:^|\s)([\w.-]+):?=')
GIVEN_JSON = re.compile(r'"([\w.-]+)"\s*:')
NUMBER = re.compile(r'-?(?:0|[1-9][0-9]*)')
STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
OPEN, CLOSE = re.compile(r'[{[]'), re.compile(r'[]}]')
NAME = re.compile(r'[{,]\s*(?P<quote>"?)(?P<key>[\w.-]*)$')
TYPED = ('int', 'float', 'bool', 'dict', 'list')


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may replace the last `length` characters, and a word about it."""
    text: str
    length: int
    hint: str = ''


def complete(text: str, context: Context, earlier: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """What may come at the end of `text`, in order. `earlier` are values typed before, by key."""
    word, rest = _first(text.lstrip())
    if rest is None:
        return _matching(((command.name, command.help) for command in TABLE), word)
    if word in ACTIONS:
        return _of_call(word, rest, context, earlier)
    if word == 'watch':
        return _of_watch(rest, context, earlier)
    if word == 'help':
        return _of_topic(rest, context)
    words = {'use': context.routes.versions, 'log': LEVELS}.get(word, ())
    return _matching(((name, '') for name in words), rest)


def _first(text: str) -> tuple[str, str | None]:
    """The first word and what follows it; None if it is still being typed."""
    word = text.split(maxsplit=1)[0] if text else ''
    return word, None if word == text else text[len(word):].lstrip()


def _matching(words: Iterable[tuple[str, str]], prefix: str) -> list[Candidate]:
    """Of words and what there is to say about each."""
    candidates = (Candidate(word, len(prefix), about) for word, about in words if word.startswith(prefix))
    return list(islice(candidates, MOST))


def _of_watch(rest: str, context: Context, earlier: Mapping[str, Sequence[str]]) -> list[Candidate]:
    if _first(rest)[1] is None:
        return _matching(((action, '') for action in ACTIONS), rest)
    return complete(rest, context, earlier)


def _of_topic(text: str, context: Context) -> list[Candidate]:
    action, target = _first(text)
    if target is not None:
        return _of_target(action, target, context) if action in ACTIONS else []
    targets: dict[str, Candidate] = {}
    for action in ACTIONS:
        targets.update((candidate.text, candidate) for candidate in _of_target(action, text, context))
    commands = _matching(((name, '') for name in COMMANDS), text)
    return [*commands, *(targets[name] for name in sorted(targets))][:MOST]


def _of_call(action: str, rest: str, context: Context, earlier: Mapping[str, Sequence[str]]) -> list[Candidate]:
    target, _ = _first(rest)
    request = rest[len(target):]
    if not request:
        return _of_target(action, rest, context)
    if _has_output(request):
        return []
    description = context.describe(context.version, target).get(action)
    fields = description.fields if description else ()
    return _of_json(request, fields) if request.lstrip().startswith('{') else _of_items(request, fields, earlier)


def _has_output(request: str) -> bool:
    try:
        return bool(split(request)[1])
    except BadText:
        return True


def _of_target(action: str, prefix: str, context: Context) -> list[Candidate]:
    targets = context.routes.starting(prefix, context.version, action, MANY + 1)
    if len(targets) > MANY:
        segments = context.routes.segments(prefix, context.version, action)
        return [Candidate(segment, len(prefix)) for segment in segments[:MOST]]
    return [Candidate(target, len(prefix), _about(action, target, context)) for target in targets]


def _about(action: str, target: str, context: Context) -> str:
    description = context.describe(context.version, target).get(action)
    return description.doc.partition('\n')[0] if description else ''


def _of_items(request: str, fields: Sequence[Field], earlier: Mapping[str, Sequence[str]]) -> list[Candidate]:
    if value := VALUE.search(request):
        texts = (_typed(text, value['kind']) for text in earlier.get(value['key'], ()) if text.isprintable())
        return _matching(((text, '') for text in texts), value['value'])
    key = None if is_unfinished(request) else KEY.search(request)
    if not key:
        return []
    given = set(GIVEN.findall(request))
    offered = [field for field in fields if field.name not in given and is_key(field.name)]
    return _matching(((_begun(field), hint(field)) for field in offered), key['key'])


def _begun(field: Field) -> str:
    """An item up to its value."""
    return field.name + (':=' if field.types and field.types[0] in TYPED else '=')


def _typed(text: str, kind: str) -> str:
    """A value as it can be typed after = or :=."""
    is_plain = NUMBER.fullmatch(text) if kind == ':=' else PLAIN.fullmatch(text)
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _of_json(request: str, fields: Sequence[Field]) -> list[Candidate]:
    """Names of the outermost object."""
    name = NAME.search(request)
    before = STRING.sub('', request[:name.start() + 1]) if name else ''
    if not name or '"' in before or len(OPEN.findall(before)) - len(CLOSE.findall(before)) != 1:
        return []
    given = set(GIVEN_JSON.findall(request))
    prefix = name['quote'] + name['key']
    offered = [field for field in fields if '.' not in field.name and field.name not in given]
    return [
        Candidate(f'{json.dumps(field.name, ensure_ascii=False)}: ', len(prefix), hint(field))
        for field in offered if field.name.startswith(name['key'])
    ]
