"""What typed lines mean."""
from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiphant.api.actions import ACTIONS
from apiphant.dev.line.calls import line_of, suggestion
from apiphant.dev.line.command import COMMANDS, TABLE, interpret, may_be_kept
from apiphant.dev.line.context import BadLine, Context
from apiphant.dev.line.effect import Ask, Call, Do, Edit, Effect, Open, Save, Show, Use, Watch
from apiphant.dev.line.route_index import Routes
from apiphant.dev.source.fields import describe
from tests.kit.cpu import assert_linear

ROUTES = Routes([
    '/api/v0/echo/read', '/api/v0/shop/items/create', '/api/v0/shop/items/read', '/api/v1/echo/read',
    '/api/v10/echo/read', '/api/v2/echo/read'])
SOURCE = '''
from apiphant.validation import field

def read(request):
    """Some items.

    In order of age.
    """
    number = field(request, 'number', valid_type=int, is_required=True)
    return {'n': number, 'w': field(request, 'where', default_value='Berlin'), 'x': request.x}

def create(request):
    pass
'''
ANSWER = {'items': [{'id': 5}]}
LAST = Call('v1', 'echo', 'read', {'a': 'é'}, 'jq .')
STATE = Context('v0', ROUTES, 'http://127.0.0.1:8888', describe=lambda version, target: describe(SOURCE))
CALLED = Context('v0', ROUTES, 'http://127.0.0.1:8888', LAST, 200, lambda: ANSWER)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
TYPED = st.lists(
    st.sampled_from([
        *COMMANDS, ' ', ' ', 'echo', 'v0', 'a=', ':=', '"', "'", '{', '}', '[', '| ', '> ', '_', '$.items', '/', '\n',
        '\t', '\0', '\ud800', 'ж', '1']))
LINES = TYPED.map(''.join) | st.text()


def said(line: str, state: Context = STATE) -> str:
    """The text that a line shows."""
    effect = interpret(line, state)
    assert isinstance(effect, Show)
    return effect.text


def refusal(line: str, state: Context = STATE) -> str:
    """The text of the BadLine that a line is."""
    with pytest.raises(BadLine) as caught:
        interpret(line, state)
    return str(caught.value)


@pytest.mark.parametrize('line', ['', ' ', '   \n', '\t'])
def test_empty_line(line: str) -> None:
    assert interpret(line, STATE) is None


# Calls


@pytest.mark.parametrize('action', ACTIONS)
def test_every_action(action: str) -> None:
    assert interpret(f'{action} echo', STATE) == Call('v0', 'echo', action, {})


@pytest.mark.parametrize('line', [
    'read echo a=b', '  read   echo   a=b  \n', 'read\techo\na=b', 'read /echo a=b', 'read echo/ a=b',
    'read echo {"a": "b"}', 'read echo {"a":"b"}\n',
    'read echo {\n  "a": "b"\n}', 'read echo {} a=b'])
def test_same_call(line: str) -> None:
    assert interpret(line, STATE) == Call('v0', 'echo', 'read', {'a': 'b'})


def test_path_of_call() -> None:
    effect = interpret('create shop/items', Context('v1', ROUTES))
    assert isinstance(effect, Call)
    assert effect.path == '/api/v1/shop/items/create'


def test_target_nobody_knows() -> None:
    """The server says 404, the console does not guess."""
    assert interpret('read nothing', Context('v0', Routes([]))) == Call('v0', 'nothing', 'read', {})


@pytest.mark.parametrize(('text', 'request_json'), [
    ('id:=$.items[0].id', {'id': 5}),
    ('all:=_', {'all': {'items': [{'id': 5}]}}),
    ('a.b=1 c[]=2', {'a': {'b': '1'}, 'c': ['2']}),
    ('$.items[0] n:=1', {'id': 5, 'n': 1}),
])
def test_request_by_grammar(text: str, request_json: dict[str, Any]) -> None:
    """Which is tested in test_request_text.py."""
    assert interpret(f'read echo {text}', CALLED) == Call('v0', 'echo', 'read', request_json)


@pytest.mark.parametrize(('line', 'effect'), [
    ('read echo a=1 | jq .a', Call('v0', 'echo', 'read', {'a': '1'}, 'jq .a')),
    ('read echo > out.json', Call('v0', 'echo', 'read', {}, 'cat > out.json')),
    ('read echo {"a": " | "} >> out.json', Call('v0', 'echo', 'read', {'a': ' | '}, 'cat >> out.json')),
    ('again | wc', Call('v1', 'echo', 'read', {'a': 'é'}, 'wc')),
    ('py x > 3', Ask('py', {'text': 'x > 3', 'last': None})),
    ('py 1 >> 2', Ask('py', {'text': '1 >> 2', 'last': None})),
    ('py ({} | {}) | wc', Ask('py', {'text': '({} | {})', 'last': None}, 'wc')),
    ("py 'a | b' | wc", Ask('py', {'text': "'a | b'", 'last': None}, 'wc')),
    ('py 1|2', Ask('py', {'text': '1|2', 'last': None})),
    ('py _ | wc', Ask('py', {'text': '_', 'last': ANSWER}, 'wc')),
    ('tasks > tasks.txt', Ask('tasks', {}, 'cat > tasks.txt')),
    ('routes v10 | wc', Show('/api/v10/echo/read', 'wc')),
])
def test_output(line: str, effect: Effect) -> None:
    assert interpret(line, CALLED) == effect


@pytest.mark.parametrize(('line', 'named'), [
    ('read echo {"a": }', ['bad JSON', 'column 17', 'Expecting value', '\n  read echo {"a": }\n                  ^']),
    ('read echo n:=oops', ['bad JSON', 'column 14', '\n  read echo n:=oops\n               ^']),
    ('read echo oops | grep oops', ['column 11', '\n            ^']),
    ('  read echo oops ', ['column 13']),
    ('read echo title="two words', ['quote']),
    ('read echo word', ['JSON object', 'key=text', 'key:=JSON', "'word'"]),
    ('read echo [1]', ['JSON object', "'[1]'"]),
    ('read echo id:=$.x', ['no last answer']),
    ('read', ['read what?', 'target', 'read echo']),
    ('delete  ', ['delete what?', 'delete echo']),
    ('read /', ['read what?']),
    ('read {"a": 1}', ['a target comes before the request', 'read echo {"a":']),
    ('create a=1', ['a target comes before the request', 'create echo a=1']),
    ('read a\0b', ["'a\\x00b' is no target"]),
    ('read \ud800', ['is no target']),
    ('read echo |', ['| what?', 'jq', 'column 11']),
    ('read echo >', ['> what?', 'file']),
    ('help | ', ['| what?']),
    ('quit | cat', ['quit prints nothing', "'cat'"]),
    ('use v0 | cat', ['use prints nothing', "'cat'"]),
    ('save > x', ['no call yet']),
    ('watch read echo | cat', ['watch prints nothing', "'cat'"]),
    ('restart > x', ['restart prints nothing']),
])
def test_bad_line_named(line: str, named: list[str]) -> None:
    text = refusal(line)
    assert [part for part in named if part not in text] == [], text


@pytest.mark.parametrize(('line', 'named'), [
    ('raed echo', ["'raed'", "did you mean 'read'?"]),
    ('hlep', ["'hlep'", "did you mean 'help'?"]),
    ('READ echo', ["'READ'"]),
    ('xyzzy', ["'xyzzy'", 'no action and no command', 'try help']),
    ('{"hello": "world"}', ['no action and no command']),
])
def test_word_nobody_knows(line: str, named: list[str]) -> None:
    text = refusal(line)
    assert [part for part in named if part not in text] == [], text


@given(LINES)
def test_nothing_but_bad_line(line: str) -> None:
    for state in (STATE, CALLED):
        try:
            interpret(line, state)
        except BadLine as error:
            assert str(error)


@pytest.mark.parametrize(('call', 'named'), [
    (Call('v0', 'shop/item', 'read'), 'did you mean read shop/items?'),
    (Call('v0', 'ehco', 'read'), 'did you mean read echo?'),
    (Call('v0', 'echo', 'create'), 'echo has no create; it has read'),
    (Call('v0', 'shop/items', 'delete'), 'shop/items has no delete; it has create, read'),
    (Call('v0', 'quite/different', 'read'), 'v0 has no quite/different; routes lists what there is'),
    (Call('v7', 'echo', 'read'), 'v0 has it: use v0'),
])
def test_suggestion(call: Call, named: str) -> None:
    assert suggestion(call, ROUTES) == named


# The last call


@pytest.mark.parametrize('line', ['again', 'watch', 'curl', 'save', 'again | cat'])
def test_no_call_yet(line: str) -> None:
    assert 'no call yet' in refusal(line)


def test_again_without_output() -> None:
    assert interpret('again', CALLED) == Call('v1', 'echo', 'read', {'a': 'é'})


@pytest.mark.parametrize(('line', 'effect'), [
    ('watch', Watch(Call('v1', 'echo', 'read', {'a': 'é'}))),
    ('watch again', Watch(Call('v1', 'echo', 'read', {'a': 'é'}))),
    ('watch read shop/items n:=1', Watch(Call('v0', 'shop/items', 'read', {'n': 1}))),
    ('unwatch', Watch(None)),
])
def test_watch(line: str, effect: Watch) -> None:
    assert interpret(line, CALLED) == effect


@pytest.mark.parametrize('line', ['watch help', 'watch watch read echo', 'watch quit'])
def test_watch_of_no_call(line: str) -> None:
    assert 'only calls can be watched' in refusal(line, CALLED)


@pytest.mark.parametrize(('line', 'state', 'text'), [
    ('edit', STATE, ''),
    ('edit', CALLED, 'read echo {\n  "a": "é"\n}'),
    ('edit read echo a=1', CALLED, 'read echo a=1'),
    ('edit read echo a=1 | jq .', CALLED, 'read echo a=1 | jq .'),
    ('edit read echo {"a": ', CALLED, 'read echo {"a":'),
])
def test_edit(line: str, state: Context, text: str) -> None:
    assert interpret(line, state) == Edit(text)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_line_of_call(request_json: dict[str, Any]) -> None:
    """It can be typed, and is the same call."""
    call = Call('v0', 'shop/items', 'create', request_json)
    assert interpret(line_of(call), STATE) == call


@pytest.mark.parametrize('make', [line_of, lambda call: said('curl', Context('v0', ROUTES, 'http://localhost', call))])
def test_half_pairs_can_be_written(make: Callable[[Call], str]) -> None:
    assert '\\ud800é' in make(Call('v0', 'echo', 'read', {'a': '\ud800é'})).encode().decode()


@pytest.mark.parametrize('request_json', [{}, {'a': "it's \"quoted\" $HOME `id` \\ é\n"}, {'a': '\ud800'}])
@pytest.mark.parametrize(('url', 'where'), [
    ('http://127.0.0.1:8888', ['http://127.0.0.1:8888/api/v0/shop/items/read']),
    ('http://[::1]:8888', ['http://[::1]:8888/api/v0/shop/items/read']),
    ('unix:/run/a b.sock', ['--unix-socket', '/run/a b.sock', 'http://localhost/api/v0/shop/items/read']),
])
def test_curl(url: str, where: list[str], request_json: dict[str, Any]) -> None:
    words = shlex.split(said('curl', Context('v0', ROUTES, url, Call('v0', 'shop/items', 'read', request_json))))
    assert words[:4] == ['curl', '-X', 'POST', '-d']
    assert json.loads(words[4]) == request_json
    assert words[5:] == where


@pytest.mark.parametrize('target', ['ключ', 'a?b', 'a[1-3]', 'a#b', 'a%2Fb'])
def test_curl_of_odd_target(target: str) -> None:
    """As the console itself calls it; brackets would be ranges for curl."""
    url = shlex.split(said('curl', Context('v0', ROUTES, 'http://localhost', Call('v0', target, 'read'))))[-1]
    assert unquote(url) == f'http://localhost/api/v0/{target}/read'
    assert not set('?#[]{}').intersection(url)
    assert url.isascii()


def test_save() -> None:
    assert interpret('save', CALLED) == Save(LAST, 200, ANSWER)


def test_save_without_answer() -> None:
    assert 'no answer' in refusal('save', Context('v0', ROUTES, call=LAST))


# Help


def test_help_names_everything() -> None:
    text = said('help')
    assert [command.name for command in TABLE if not text.count(f'{command.name} ') or command.help not in text] == []
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize('command', TABLE)
def test_help_on_command(command: Any) -> None:
    text = said(f'help {command.name}')
    assert text.splitlines()[0] == f'{command.name} {command.arguments}'.rstrip()
    assert command.help in text

HELP = '''read shop/items
  Some items.
  \n\
  In order of age.
    number  int, required
    where   default 'Berlin'
    x'''


@pytest.mark.parametrize('line', ['help read shop/items', 'help   read   shop/items  '])
def test_help_on_action(line: str) -> None:
    assert said(line) == HELP


def test_help_on_target() -> None:
    text = said('help shop/items')
    assert [line for line in text.splitlines() if not line.startswith(' ')] == ['create shop/items', 'read shop/items']


@pytest.mark.parametrize(('line', 'named'), [
    ('help ehco', "did you mean 'echo'?"),
    ('help raed', "did you mean 'read'?"),
    ('help create echo', "no 'create echo' to help with"),
    ('help xyzzy', "no 'xyzzy' to help with"),
])
def test_no_help(line: str, named: str) -> None:
    assert named in refusal(line)


# Other words


@pytest.mark.parametrize(('line', 'text'), [
    ('routes', '\n'.join(ROUTES.paths)),
    ('routes shop', '/api/v0/shop/items/create\n/api/v0/shop/items/read'),
    ('routes xyzzy', "No route has 'xyzzy' in it."),
])
def test_routes_shown(line: str, text: str) -> None:
    assert said(line) == text


def test_no_routes_yet() -> None:
    text = said('routes', Context('v0', Routes([])))
    assert 'no routes yet' in text
    assert 'api/v0/echo.py' in text


@pytest.mark.parametrize('line', ['use', 'use v3', 'use v0 v1', 'use 0'])
def test_use_refused(line: str) -> None:
    assert 'use takes a version of this product: v0, v1, v2, v10' in refusal(line)


def test_use_without_routes() -> None:
    assert 'there is none yet' in refusal('use v0', Context('v0', Routes([])))


@pytest.mark.parametrize(('line', 'effect'), [
    ('use v10', Use('v10')),
    ('py 1 + 1', Ask('py', {'text': '1 + 1', 'last': None})),
    ('py x = "a  b"', Ask('py', {'text': 'x = "a  b"', 'last': None})),
    ('tasks', Ask('tasks', {})),
    ('run clean', Ask('run', {'name': 'clean'})),
    ('log warning', Ask('log', {'level': 'warning'})),
    ('open', Open('', 1)),
    ('open api/v0/echo.py', Open('api/v0/echo.py', 1)),
    ('open api/v0/echo.py:12', Open('api/v0/echo.py', 12)),
    ('open C:x', Open('C:x', 1)),
    ('restart', Do('restart')),
    ('clear', Do('clear')),
    ('quit', Do('quit')),
    ('exit', Do('quit')),
    (' quit \n', Do('quit')),
])
def test_effect(line: str, effect: Effect) -> None:
    assert interpret(line, STATE) == effect


@pytest.mark.parametrize(('line', 'named'), [
    ('py', 'py what?'),
    ('run', 'run what?'),
    ('log', 'debug, info, warning, error'),
    ('log WARNING', 'log takes a level'),
    ('log loud', 'log takes a level'),
    *(
        (f'{command.name} now', f"{command.name} takes nothing after it, not 'now'")
        for command in TABLE if not command.arguments),
])
def test_argument_refused(line: str, named: str) -> None:
    assert named in refusal(line, CALLED)


# History


@pytest.mark.parametrize(('line', 'is_kept'), [
    ('read echo a=1', True),
    ('read token', True),
    ('read passwords a=1', True),
    ('help token', True),
    (' read echo', False),
    ('', False),
    ('  ', False),
    ('read echo password=x', False),
    ('read echo password:="x"', False),
    ('read echo password=$.password', True),
    ('read echo password=$', True),
    ('read echo password=_', True),
    ('read echo {"password": $.password}', True),
    ('read echo password=$.password token=x', False),
    ('read echo password=$5', False),
    ('read echo password=_x', False),
    ('read echo password="$.password"', False),
    ('read echo key=x', False),
    ('read echo monkey=x', True),
    ('token = $.token', True),
    ('token = "x"', False),
    ('set token=$token', True),
    ('set token=x', False),
    ('set Authorization: Bearer $token', True),
    ('set Authorization: Bearer x', False),
    ('set Authorization: x $token', False),
    ('set Cookie: a=b', False),
    ('read echo user.password=x', False),
    ('read echo passwords[]=x', False),
    ('read echo {"password": "x"}', False),
    ('read echo {"user": {"userPassword" : "x"}}', False),
    ('read echo {\n  "api_key":\n "x"}', False),
    ('read echo access_token=x', False),
    ('read echo APIKEY=x', False),
    ('read echo client-secret=x', False),
    ('edit read echo secret=x', False),
    ('py login(password="x")', False),
])
def test_may_be_kept(line: str, is_kept: bool) -> None:
    assert may_be_kept(line) == is_kept


@pytest.mark.parametrize('text', ['a' * 100_000, 'password' * 3000, 'token ' * 10_000, '"' * 100_000])
def test_kept_or_not_at_once(text: str) -> None:
    assert_linear(may_be_kept, f'read echo a={text}')


@pytest.mark.parametrize('word', ['unwatch', 'save', 'tasks', 'restart', 'clear', 'quit', 'exit'])
def test_takes_nothing(word: str) -> None:
    assert refusal(f'{word} more', CALLED) == f"{'quit' if word == 'exit' else word} takes nothing after it, not 'more'"


@pytest.mark.parametrize('level', ['debug', 'info', 'warning', 'error'])
def test_levels(level: str) -> None:
    assert interpret(f'log {level}', STATE) == Ask('log', {'level': level})


def test_again_goes_to_the_screen() -> None:
    assert interpret('again', CALLED) == Call('v1', 'echo', 'read', {'a': 'é'})
    assert interpret('again | wc', CALLED) == Call('v1', 'echo', 'read', {'a': 'é'}, 'wc')
    assert interpret('again a=b n:=4', CALLED) == Call('v1', 'echo', 'read', {'a': 'b', 'n': 4})
    assert refusal('again more', CALLED).startswith('the request should be a JSON object or items')


def test_line_of_call_without_request() -> None:
    assert line_of(Call('v1', 'echo', 'read', {})) == 'read echo'
    assert line_of(LAST) == 'read echo {\n  "a": "é"\n}'


def test_help_is_whole() -> None:
    assert interpret('help read shop/items', STATE) == Show(HELP, is_table=True)
    assert interpret('help tasks', STATE) == Show('tasks\n  the background tasks', is_table=True)
    assert interpret('help use', STATE) == Show('use VERSION\n  call this version from now on', is_table=True)


@pytest.mark.parametrize(('line', 'expected'), [
    ('read /api/v1/echo/read a=1', Call('v1', 'echo', 'read', {'a': '1'})),
    ('/api/v0/shop/items/create {"a": 1} | jq .', Call('v0', 'shop/items', 'create', {'a': 1}, 'jq .')),
    ('/api/v10/echo/read', Call('v10', 'echo', 'read')),
    ('read /echo', Call('v0', 'echo', 'read')),
    ('read api/v0/x', Call('v0', 'api/v0/x', 'read')),
])
def test_path_as_routes_prints_it(line: str, expected: Call) -> None:
    assert interpret(line, STATE) == expected


@pytest.mark.parametrize(('line', 'why'), [
    ('create /api/v1/echo/read', '/api/v1/echo/read is a read, not a create'),
    ('/api/v1/echo', "'/api/v1/echo' is no path of an action, like /api/v0/echo/read"),
    ('/', "'/' is no action and no command; try help"),
])
def test_path_that_is_none(line: str, why: str) -> None:
    assert refusal(line) == why
