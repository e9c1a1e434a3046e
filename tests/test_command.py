"""What typed lines mean."""
import pytest

from apiphant.dev.command import HELP, WORDS, BadLine, Call, Leave, Show, Use, interpret, request_of, versions_of

ROUTES = ['/api/v0/echo/read', '/api/v0/shop/items/create', '/api/v1/echo/read', '/api/v10/echo/read', '/api/v2/echo/read']


def refusal(line: str) -> str:
    """The text of the BadLine that a line is."""
    with pytest.raises(BadLine) as caught:
        interpret(line, 'v0', ROUTES)
    return str(caught.value)


@pytest.mark.parametrize('line', ['', ' ', '   \n', '\t'])
def test_empty_line(line: str) -> None:
    assert interpret(line, 'v0', ROUTES) is None


@pytest.mark.parametrize('action', ['create', 'read', 'update', 'delete'])
def test_every_action(action: str) -> None:
    assert interpret(f'{action} echo', 'v0', ROUTES) == Call('v0', 'echo', action, {})


@pytest.mark.parametrize('line', ['read echo a=b', '  read   echo   a=b  \n', 'read /echo a=b', 'read echo/ a=b', 'read echo {"a": "b"}', 'read echo {"a":"b"}\n'])
def test_same_call(line: str) -> None:
    assert interpret(line, 'v0', ROUTES) == Call('v0', 'echo', 'read', {'a': 'b'})


def test_path_of_call() -> None:
    assert interpret('create shop/items', 'v1', ROUTES).path == '/api/v1/shop/items/create'


def test_target_nobody_knows() -> None:
    """The server says 404, the console does not guess."""
    assert interpret('read nothing', 'v0', []) == Call('v0', 'nothing', 'read', {})


@pytest.mark.parametrize(('text', 'request_json'), [
    ('', {}),
    ('{}', {}),
    ('{"hello": "world"}', {'hello': 'world'}),
    ('{"a": {"b": [1, 2.5, true, null]}, "c": "é"}', {'a': {'b': [1, 2.5, True, None]}, 'c': 'é'}),
    ('{"a": "b=c"}', {'a': 'b=c'}),
    ('{"n": 123456789012345678901234567890}', {'n': 123456789012345678901234567890}),
    ('hello=world n:=3', {'hello': 'world', 'n': 3}),
    ('a=1', {'a': '1'}),
    ('a=', {'a': ''}),
    ('a= b=2', {'a': '', 'b': '2'}),
    ('a=1   b=2', {'a': '1', 'b': '2'}),
    ('a=b=c', {'a': 'b=c'}),
    ('a=b:=c', {'a': 'b:=c'}),
    ('url=http://x/?y=1', {'url': 'http://x/?y=1'}),
    ('title="two words"', {'title': 'two words'}),
    ("title='two words'", {'title': 'two words'}),
    ('title="say \\"hi\\" \\\\ now" n:=1', {'title': 'say "hi" \\ now', 'n': 1}),
    ("title='back\\slash'", {'title': 'back\\slash'}),
    ("a=it's", {'a': "it's"}),
    ('a="" b=\'\'', {'a': '', 'b': ''}),
    ('a="{" b=c', {'a': '{', 'b': 'c'}),
    ('ok:=true no:=false x:=null', {'ok': True, 'no': False, 'x': None}),
    ('n:=-1.5e3', {'n': -1500.0}),
    ('list:=[1, "two words", {"a": 3}] b=4', {'list': [1, 'two words', {'a': 3}], 'b': '4'}),
    ('o:={"a": "b c"}', {'o': {'a': 'b c'}}),
    ('s:="text"', {'s': 'text'}),
    ('first-name=A last_name=B ключ=значение', {'first-name': 'A', 'last_name': 'B', 'ключ': 'значение'}),
    ('a=1 a=2', {'a': '2'}),
])
def test_request_of_text(text: str, request_json: dict[str, object]) -> None:
    got = request_of(text)
    assert got == request_json
    assert list(map(type, got.values())) == list(map(type, request_json.values()))


@pytest.mark.parametrize(('line', 'named'), [
    ('read echo {"a": }', ['bad JSON', 'column 7', 'Expecting value', '\n  {"a": }\n        ^']),
    ('read echo {"a": 1', ['bad JSON', 'column 8', "Expecting ',' delimiter", '\n  {"a": 1\n         ^']),
    ('read echo {"a": 1} b', ['bad JSON', 'column 10', 'Extra data']),
    ("read echo {'a': 1}", ['bad JSON', 'column 2', 'double quotes']),
    ('read echo {"a": NaN}', ['bad JSON', 'NaN']),
    ('read echo n:=Infinity', ['bad JSON', 'Infinity']),
    ('read echo n:=', ['bad JSON after :=', 'Expecting value', '\n  n:=\n     ^']),
    ('read echo a=1 n:=oops', ['bad JSON after :=', '\n  a=1 n:=oops\n         ^']),
    ('read echo n:=[1, 2', ['bad JSON after :=', 'delimiter']),
    ('read echo n:=3x', ["a space should follow 'n:=3'"]),
    ('read echo a="b"c', ['a space should follow \'a="b"\'']),
    ('read echo word', ['JSON object', 'key=text', 'key:=JSON', "'word'"]),
    ('read echo a=1 word b=2', ["'word'"]),
    ('read echo [1]', ['JSON object', "'[1]'"]),
    ('read echo "a"=1', ["'\"a\"=1'"]),
    ('read echo =1', ["'=1'"]),
    ('read', ['read what?', 'target', 'read echo']),
    ('delete  ', ['delete what?', 'delete echo']),
    ('read {"a": 1}', ['a target comes before the request', 'read echo {"a":']),
    ('create a=1', ['a target comes before the request', 'create echo a=1']),
    ('help me', ['help', 'takes nothing', "'me'"]),
    ('routes v0', ['routes', 'takes nothing', "'v0'"]),
    ('quit now', ['quit', 'takes nothing', "'now'"]),
    ('use', ['use takes a version', 'v0, v1, v2, v10']),
    ('use v3', ['use takes a version', 'v0, v1, v2, v10']),
    ('use v0 v1', ['use takes a version', 'v0, v1, v2, v10']),
    ('raed echo', ["'raed'", "did you mean 'read'?"]),
    ('hlep', ["'hlep'", "did you mean 'help'?"]),
    ('READ echo', ["'READ'"]),
    ('xyzzy', ["'xyzzy'", 'no action and no command', 'try help']),
    ('{"hello": "world"}', ['no action and no command']),
])
def test_bad_line_named(line: str, named: list[str]) -> None:
    text = refusal(line)
    assert [part for part in named if part not in text] == [], text


@pytest.mark.parametrize('text', ['{"a": ' + '[' * 100_000, 'a:=' + '[' * 100_000])
def test_json_too_deep(text: str) -> None:
    assert 'nested too deep' in refusal(f'read echo {text}')


@pytest.mark.parametrize('text', ['{"n": ' + '1' * 5000 + '}', 'n:=' + '1' * 5000])
def test_number_too_long(text: str) -> None:
    """Python refuses to read integers of more than 4300 digits, with a ValueError that is no JSONDecodeError."""
    assert 'bad JSON' in refusal(f'read echo {text}')


@pytest.mark.parametrize('text', ['title="two', 'title="two words', "title='two words", 'a=1 title="'])
def test_quote_left_open(text: str) -> None:
    """Sent as it is it would be a text that begins with a quote."""
    assert 'quote' in refusal(f'read echo {text}')


def test_help_names_everything() -> None:
    assert interpret('help', 'v0', ROUTES) == Show(HELP)
    assert [word for word in {*WORDS} - {'exit'} if word not in HELP] == []


def test_help_forms_work() -> None:
    examples = [line.split('   ')[0] for line in map(str.strip, HELP.splitlines()) if line.startswith('read ')]
    assert len(examples) == 4
    assert all(isinstance(interpret(example, 'v0', ROUTES), Call) for example in examples)


def test_routes_shown() -> None:
    assert interpret('routes', 'v0', ROUTES) == Show('\n'.join(ROUTES))


def test_no_routes_yet() -> None:
    text = interpret('routes', 'v0', []).text
    assert 'no routes yet' in text
    assert 'api/v0/echo.py' in text


def test_use_of_version() -> None:
    assert interpret('use v10', 'v0', ROUTES) == Use('v10')


def test_use_without_routes() -> None:
    with pytest.raises(BadLine, match='there is none yet'):
        interpret('use v0', 'v0', [])


@pytest.mark.parametrize('line', ['quit', 'exit', ' quit \n'])
def test_leaving(line: str) -> None:
    assert interpret(line, 'v0', ROUTES) == Leave()


def test_versions_in_order() -> None:
    assert versions_of(ROUTES) == ['v0', 'v1', 'v2', 'v10']
    assert versions_of([]) == []
