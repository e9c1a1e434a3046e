"""Values with names, and what goes with each call."""
from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from apiphant.dev.line.bad_text import BadText
from apiphant.dev.line.command import interpret
from apiphant.dev.line.context import BadLine, Context
from apiphant.dev.line.effect import Call, Keep, Send, Show, Unsend
from apiphant.dev.line.request import problem
from apiphant.dev.line.route_index import Routes
from apiphant.dev.line.secrets import masked
from apiphant.dev.line.sticky import Sticky

LAST = Call('v0', 'login', 'create', {'name': 'me'})
ANSWER = {'token': 't', 'user': {'id': 7, 'tags': ['a']}, 'token2': None}
ROUTES = Routes(['/api/v0/login/create'])
CONTEXT = Context('v0', ROUTES, 'http://localhost', LAST, 200, lambda: ANSWER,
                  names={'token': 'abc', 'me': {'id': 7, 'tags': ['a']}, 'n': 5})
STICKY = Sticky({'token': 'abc', 'city': 'Berlin'}, {'Authorization': 'Bearer abc', 'X-Trace': '1'})


def refusal(line: str, context: Context = CONTEXT) -> str:
    with pytest.raises((BadLine, BadText)) as caught:
        interpret(line, context)
    return str(caught.value)


@pytest.mark.parametrize(('line', 'name', 'value'), [
    ('token = $.token', 'token', 't'),
    ('$token = $.token', 'token', 't'),
    ('  me =   $.user  ', 'me', {'id': 7, 'tags': ['a']}),
    ('all = _', 'all', ANSWER),
    ('n = 5', 'n', 5),
    ('text = "two words"', 'text', 'two words'),
    ('both = {"a": $n, "b": [$me.tags[0]]}', 'both', {'a': 5, 'b': ['a']}),
    ('other = $me.id', 'other', 7),
    ('nothing = null', 'nothing', None),
])
def test_assign(line: str, name: str, value: Any) -> None:
    assert interpret(line, CONTEXT) == Keep(name, value)


@pytest.mark.parametrize(('line', 'said'), [
    ('token =', "token = what? A value comes next: token = $.id"),
    ('token = ', "token = what?"),
    ('token = abc', 'bad JSON'),
    ('token = 1 2', 'one value is enough; quotes make it text'),
    ('token = $nobody', 'there is no value $nobody'),
    ('token = $.nothing', 'the last answer has no nothing: it has token, user, token2'),
    ('token = $me.nothing', '$me has no nothing: it has id, tags'),
    ('token = $me.tags[3]', '$me has no tags[3]: tags has 1'),
    ('token == 5', "'token' is no action"),
    ('read = 5', 'a target comes before the request'),
    ('5 = 5', "'5' is no action"),
])
def test_no_assignment(line: str, said: str) -> None:
    assert said in refusal(line)


def test_names_in_requests() -> None:
    request = '{"a": $n} token=$token id:=$me.id tags[]=$me.tags[0] text="$token" price=$5'
    call = interpret(f'create login {request}', CONTEXT)
    assert call == Call('v0', 'login', 'create', {
        'a': 5, 'token': 'abc', 'id': 7, 'tags': ['a'], 'text': '$token', 'price': '$5'})
    assert interpret('create login $me name=x', CONTEXT) == Call(
        'v0', 'login', 'create', {'id': 7, 'tags': ['a'], 'name': 'x'})
    assert 'name' not in CONTEXT.names['me']
    assert problem('a=$token', None, CONTEXT.names) is None
    assert problem('a=$nobody ', None, CONTEXT.names) is not None


@pytest.mark.parametrize(('line', 'fields', 'headers'), [
    ('set token=$token', {'token': 'abc'}, {}),
    ('set token=$.token n:=5', {'token': 't', 'n': 5}, {}),
    ('set {"a": {"b": 1}}', {'a': {'b': 1}}, {}),
    ('set Authorization: Bearer $token', {}, {'Authorization': 'Bearer abc'}),
    ('set X-User:$me.id/$n $5', {}, {'X-User': '7/5 $5'}),
    ('set X-Trace: a=b, c:=d', {}, {'X-Trace': 'a=b, c:=d'}),
    ('set a:=5', {'a': 5}, {}),
])
def test_set(line: str, fields: dict[str, Any], headers: dict[str, str]) -> None:
    assert interpret(line, CONTEXT) == Send(fields, headers)


@pytest.mark.parametrize(('line', 'said'), [
    ('set token', 'the request should be a JSON object or items'),
    ('set Authorization:', 'Authorization: what?'),
    ('set Authorization: Bearer $nobody', 'there is no value $nobody'),
    ('set Authorization: Bearer $me', '$me is no text for a header'),
    ('set X: é', 'ASCII text on one line'),
    ('set Content-Length: 5', 'the header Content-Length is not yours to set'),
    ('set host: x', 'the header host is not yours to set'),
    ('unset', 'unset what?'),
    ('unset nothing', "'nothing' is not set; set shows what is"),
])
def test_bad_set(line: str, said: str) -> None:
    assert said in refusal(line)


def test_header_with_a_line_break() -> None:
    assert 'ASCII text on one line' in refusal('set X: $bad', replace(CONTEXT, names={'bad': 'a\r\nEvil: 1'}))


def test_unset() -> None:
    context = replace(CONTEXT, sticky=STICKY)
    assert interpret('unset token', context) == Unsend(('token',))
    assert interpret('unset authorization, city', context) == Unsend(('authorization', 'city'))
    assert interpret('unset *', context) == Unsend(('token', 'city', 'Authorization', 'X-Trace'))


def test_sticky() -> None:
    sticky = Sticky().with_(Send({'a': 1}, {})).with_(Send({'a': 2, 'b': 1}, {'X': '1'}))
    assert sticky.with_(Send({}, {'x': '2'})) == Sticky({'a': 2, 'b': 1}, {'x': '2'})
    assert STICKY.without(('token', 'x-trace')) == Sticky({'city': 'Berlin'}, {'Authorization': 'Bearer abc'})


def test_listed_with_secrets_masked() -> None:
    assert interpret('set', replace(CONTEXT, sticky=STICKY)) == Show(
        'token:="***"\ncity:="Berlin"\nAuthorization: ***\nX-Trace: 1\n'
        '$token = "***"\n$me = {"id": 7, "tags": ["a"]}\n$n = 5')
    assert interpret('set', replace(CONTEXT, names={})) == Show(
        'Nothing is set: set token=... goes with each call, name = $.id keeps a value.')


def test_curl_has_what_is_sent() -> None:
    context = replace(CONTEXT, sticky=STICKY, call=Call('v0', 'login', 'create', {'city': 'Bonn', 'password': 'x'}))
    hidden, shown = interpret('curl', context), interpret('curl --secrets', context)
    assert isinstance(hidden, Show)
    assert isinstance(shown, Show)
    assert shlex.split(hidden.text) == [
        'curl', '-X', 'POST', '-d', '{"token": "***", "city": "Bonn", "password": "***"}',
        '-H', 'Authorization: ***', '-H', 'X-Trace: 1', 'http://localhost/api/v0/login/create']
    assert shlex.split(shown.text)[4:7] == [
        '{"token": "abc", "city": "Bonn", "password": "x"}', '-H', 'Authorization: Bearer abc']
    assert 'curl takes nothing but --secrets' in refusal('curl x', context)


@pytest.mark.parametrize(('value', 'shown'), [
    ({'password': 'x', 'a': [{'apiKey': 5, 'n': 1}]}, {'password': '***', 'a': [{'apiKey': '***', 'n': 1}]}),
    ({'tokens': ['a', 'b'], 'token': None, 'secret': ''}, {'tokens': ['***', '***'], 'token': None, 'secret': ''}),
    ({'key': 'x', 'keys': 'x', 'monkey': 'x', 'X-Api-Key': 'x'},
     {'key': '***', 'keys': 'x', 'monkey': 'x', 'X-Api-Key': '***'}),
    ([1, 'x'], [1, 'x']),
])
def test_masked(value: Any, shown: Any) -> None:
    assert masked(value) == shown
