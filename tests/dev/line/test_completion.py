"""What may come next on a line."""
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiphant.api.actions import ACTIONS
from apiphant.dev.line.command import COMMANDS, LEVELS, TABLE, interpret
from apiphant.dev.line.completion import MANY, MOST, Candidate, complete
from apiphant.dev.line.context import Context
from apiphant.dev.line.effect import Call
from apiphant.dev.line.route_index import Routes
from apiphant.dev.source.fields import describe
from tests.kit.cpu import assert_linear, cpu_time

ROUTES = [
    '/api/v0/echo/create', '/api/v0/echo/read', '/api/v0/read/read', '/api/v0/shop/items/read',
    '/api/v0/shop/items/update', '/api/v0/shop/stock/read',
    '/api/v1/echo/read', '/api/v1/events/read', '/api/v10/late/read']
SOURCE = '''
from apiphant.validation import field

def read(request):
    """Some items.

    In order of age.
    """
    field(request, 'number', valid_type=int, is_required=True)
    field(request, 'name', valid_type=str, default_value='x')
    field(request, 'where')
    field(request, 'tags', valid_type=list)
    request.user.id
'''
STATE = Context('v0', Routes(ROUTES), describe=lambda version, target: describe(SOURCE) if target == 'echo' else {})
EARLIER = {
    'name': ['Ann', 'two words', 'Bob', '', '@x', 'say "hi" \\', '$5', 'a\nb'], 'number': ['12', '3', 'Ann'],
    'user.id': ['u1']}
FIELDS = ['number:=', 'name=', 'where=', 'tags:=', 'user.id=']
NAMES = ['"number": ', '"name": ', '"where": ', '"tags": ']
LARGE = Context(
    'v0', Routes(
        f'/api/v0/shop{number % 7}/part{number % 50}/item{number}/{action}' for number in range(10_000)
        for action in ACTIONS))
FLAT = Context('v0', Routes(f'/api/v0/item{number}/read' for number in range(10_000)))
TYPED = st.lists(st.sampled_from([*COMMANDS, ' ', ' ', 'echo', 'v0', 'a=', 'name=', ':=', '"', "'", '{', '}', '[', ']',
                                  ',', ': ', '| ', '> ', '_', '$.a', '/', '\n', '\t',
                                  '\0', '\\', '\ud800', 'ж', '1', '.', '@']))
TEXTS = TYPED.map(''.join) | st.text() | TYPED.map(lambda parts: 'read echo ' + ''.join(parts))


def words(text: str, state: Context = STATE) -> list[str]:
    return [candidate.text for candidate in complete(text, state, EARLIER)]


def completed(text: str, candidate: Candidate) -> str:
    return text[:len(text) - candidate.length] + candidate.text


@pytest.mark.parametrize(('text', 'expected'), [
    ('', [command.name for command in TABLE]),
    ('   ', [command.name for command in TABLE]),
    ('r', ['read', 'routes', 'run', 'restart']),
    ('  re', ['read', 'restart']),
    ('read', ['read']),
    ('READ', []),
    ('x', []),
    ('/', []),
])
def test_first_word(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(('text', 'expected'), [
    ('read ', ['echo', 'read', 'shop/items', 'shop/stock']),
    ('read   ', ['echo', 'read', 'shop/items', 'shop/stock']),
    ('read e', ['echo']),
    ('  read   e', ['echo']),
    ('read shop/', ['shop/items', 'shop/stock']),
    ('read items', []),
    ('create ', ['echo']),
    ('update ', ['shop/items']),
    ('delete ', []),
    ('watch read s', ['shop/items', 'shop/stock']),
    ('help read s', ['shop/items', 'shop/stock']),
    ('help update ', ['shop/items']),
])
def test_targets_that_have_the_action(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(('text', 'expected'), [
    ('use ', ['v0', 'v1', 'v10']),
    ('use v1', ['v1', 'v10']),
    ('use v1 ', []),
    ('log ', [*LEVELS]),
    ('log w', ['warning']),
    ('log info ', []),
    ('watch ', [*ACTIONS]),
    ('watch r', ['read']),
    ('watch r ', []),
    ('help ', [*COMMANDS, 'echo', 'read', 'shop/items', 'shop/stock']),
    ('help e', ['edit', 'exit', 'echo']),
    ('help sh', ['shop/items', 'shop/stock']),
    ('help echo ', []),
    ('help read echo ', []),
    ('again ', []),
    ('quit ', []),
    ('py ', []),
    ('bogus ', []),
])
def test_arguments(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_other_version() -> None:
    assert words('read e', Context('v1', Routes(ROUTES))) == ['echo', 'events']
    assert words('read ', Context('v10', Routes(ROUTES))) == ['late']


def test_without_routes() -> None:
    state = Context('v0', Routes([]))
    assert words('read ', state) == words('use ', state) == []
    assert words('rea', state) == ['read']


# Many targets


@pytest.mark.parametrize(('text', 'expected'), [
    ('read ', [f'shop{number}/' for number in range(7)]),
    ('read shop', [f'shop{number}/' for number in range(7)]),
    ('help shop', [f'shop{number}/' for number in range(7)]),
    ('read shop3/part17/item17', ['shop3/part17/item17', 'shop3/part17/item1767']),
    ('read x', []),
])
def test_segments_of_many(text: str, expected: list[str]) -> None:
    assert words(text, LARGE) == expected


@pytest.mark.parametrize('count', [MANY, MANY + 1])
def test_few_and_many(count: int) -> None:
    names = sorted(f'shop/item{number}' for number in range(count))
    state = Context('v0', Routes(f'/api/v0/{name}/read' for name in names))
    assert words('read ', state) == (names if count <= MANY else ['shop/'])
    assert words('read shop/', state) == names


@pytest.mark.parametrize('text', ['', 'read ', 'read shop', 'read shop3/', 'read shop3/part17/',
                                  'read shop3/part3/item3 ', 'help ', 'help shop', 'help read shop3/',
                                  'watch read shop',
                                  'read item', 'help item', 'read item99 '])
@pytest.mark.parametrize('state', [LARGE, FLAT])
def test_many_at_once(text: str, state: Context) -> None:
    assert cpu_time(lambda: complete(text, state, EARLIER)) < 0.05
    assert len(complete(text, state, EARLIER)) <= MOST


# Fields


@pytest.mark.parametrize(('text', 'expected'), [
    ('read echo ', FIELDS),
    ('read echo  n', ['number:=', 'name=']),
    ('read echo nu', ['number:=']),
    ('     read echo nu', ['number:=']),
    ('watch read echo nu', ['number:=']),
    ('read echo user.', ['user.id=']),
    ('read echo x', []),
    ('read echo name=a ', ['number:=', 'where=', 'tags:=', 'user.id=']),
    ('read echo number:=1 name=a n', []),
    ('read echo number:=1\nn', ['name=']),
    ('read echo user.id=1 ', ['number:=', 'name=', 'where=', 'tags:=']),
    ('read echo name="two ', []),
    ('read echo tags:=[1, n', []),
    ('create echo ', []),
    ('read shop/items ', []),
    ('read / ', []),
])
def test_fields_as_items(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(('text', 'expected'), [
    ('read echo {', NAMES),
    ('    read echo {', NAMES),
    ('read echo { "', NAMES),
    ('read echo {"n', NAMES[:2]),
    ('read echo {n', NAMES[:2]),
    ('read echo {\n  "n', NAMES[:2]),
    ('read echo {"number": 1, ', NAMES[1:]),
    ('read echo {"number": 1, "n', NAMES[1:2]),
    ('read echo {"x": {"y": 1}, "w', ['"where": ']),
    ('read echo {"x": "}", "w', ['"where": ']),
    ('read echo {"x": {', []),
    ('read echo {"x": [1, ', []),
    ('read echo {"x": "a, ', []),
    ('read echo {"x": "a, "', []),
    ('read echo {"x": "a \\", ', []),
    ('read echo {"x": 1', []),
    ('read echo {"x": 1} ', []),
    ('create echo {', []),
])
def test_fields_as_json(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(('text', 'hints'), [
    ('read ', ['Some items.', '', '', '']),
    ('read echo n', ['int, required', "str, default 'x'"]),
    ('read echo {"n', ['int, required', "str, default 'x'"]),
    ('read echo w', ['']),
    ('aga', [COMMANDS['again'].help]),
])
def test_hints(text: str, hints: list[str]) -> None:
    assert [candidate.hint for candidate in complete(text, STATE, {})] == hints


@pytest.mark.parametrize('text', [
    'read echo | ', 'read echo a=1 | jq n', 'read echo > ', 'read echo a=1 |', 'read echo {"x": 1} | {',
    'watch read echo | n'])
def test_nothing_after_output(text: str) -> None:
    assert words(text) == []


# Earlier values


@pytest.mark.parametrize(('text', 'expected'), [
    ('read echo name=', ['Ann', '"two words"', 'Bob', '""', '"@x"', '"say \\"hi\\" \\\\"', '"$5"']),
    ('read echo name=A', ['Ann']),
    ('read echo name="t', ['"two words"']),
    ('read echo number:=', ['12', '3', '"Ann"']),
    ('read echo number:=1', ['12']),
    ('read echo where=x user.id=', ['u1']),
    ('read shop/items name=B', ['Bob']),
    ('read echo other=', []),
    ('read echo name=Ann ', ['number:=', 'where=', 'tags:=', 'user.id=']),
])
def test_earlier_values(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize('value', [
    'Ann', 'two words', '', '@x', 'say "hi" \\', '$5', "it's", '"', "'", '_', '|', '>', 'a | b', '{', '{}', 'ж', 'a=b',
    '\\', ':=', '007', '-1'])
@pytest.mark.parametrize('sign', ['=', ':='])
def test_earlier_value_as_it_was(value: str, sign: str) -> None:
    """What is offered is what was sent; numbers were remembered as texts."""
    text = f'read echo a{sign}'
    line = completed(text, complete(text, STATE, {'a': [value]})[0])
    effect = interpret(line, STATE)
    assert isinstance(effect, Call)
    assert effect.output == ''
    assert str(effect.request['a']) == value


# Anything


def test_offers_are_understood() -> None:
    """What is offered at the start of a line is a word that the console knows, and what follows an action is called."""
    assert {*words('')} <= {*COMMANDS}
    for action in ('create', 'read', 'update'):
        for target in words(f'{action} '):
            effect = interpret(f'{action} {target}', STATE)
            assert isinstance(effect, Call)
            assert effect.path in ROUTES


@given(TEXTS)
def test_any_text(text: str) -> None:
    """Never raises, and what is replaced is what begins the candidate."""
    for state in (STATE, FLAT):
        for candidate in complete(text, state, EARLIER):
            assert 0 <= candidate.length <= len(text)
            typed: Any = text[len(text) - candidate.length:]
            assert candidate.text.lstrip('"').startswith(typed.lstrip('"'))


@pytest.mark.parametrize('text', [
    'a' * 20_000, 'a=' + 'b' * 20_000, 'a=1 ' * 5000, '{' + '"a": 1, ' * 3000, '{"a": "' + 'x, ' * 7000, ' ' * 20_000,
    '{' * 20_000, '"' * 20_000, ', ' * 10_000])
def test_long_text(text: str) -> None:
    assert_linear(lambda part: complete(part, STATE, EARLIER), f'read echo {text}')


def test_topics_in_order() -> None:
    state = Context('v0', Routes(['/api/v0/b/create', '/api/v0/a/delete', '/api/v0/c/read']))
    assert words('help ', state) == [*COMMANDS, 'a', 'b', 'c']
    assert words('help log a', state) == []


def test_topics_without_end() -> None:
    state = Context('v0', Routes([f'/api/v0/folder{number}/x/read' for number in range(2 * MOST)]))
    assert len(words('help ', state)) == MOST


def test_keys_that_cannot_be_typed() -> None:
    """Not as items; in JSON any name can be."""
    names = ('plain', 'two words', 'a=b', 'c:d', 'e[f', '"', 'é')
    source = f'def read(request):\n    return [{", ".join(f"request[{name!r}]" for name in names)}]\n'
    context = Context('v0', Routes(['/api/v0/echo/read']), describe=lambda version, target: describe(source))
    assert words('read echo ', context) == ['plain=', 'é=']
    assert words('read echo {', context) == [
        f'{json.dumps(name, ensure_ascii=False)}: ' for name in names]
