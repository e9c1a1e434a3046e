"""Requests as they are typed."""
import json
import string
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiphant.dev.line.bad_text import BadText
from apiphant.dev.line.json_with_paths import json_end
from apiphant.dev.line.request import is_unfinished, parse, problem
from apiphant.dev.line.request_keys import DEEPEST
from tests.kit.cpu import assert_linear

LAST = {
    'items': [{'id': 5, 'tags': ['x', 'y']}, {'id': 6}], 'total': 2, 'two words': {'a"b': None}, 'текст': 'да',
    'empty': {}, '_': 1}
FILES = {'note.txt': 'two\nlines\n', 'data.json': '{"a": [1, "b"]}\n', 'two words.txt': 'spaced',
         'bad.json': '{\n  "a": }', 'more.json': '1 2',
         'nan.json': '[NaN]', 'path.json': '{"a": _}'}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
TYPED = st.lists(st.sampled_from(['a', 'a.b', 'a[]', '=', ':=', '"', "'", '{', '}', '[', ']', ',', ':', ' ', '\n', '$',
                                  '_', '.items', '[0]', '["', '\\', '@',
                                  'NaN', '-Infinity', '1', '-', 'e', '.', 'tru', '\ud800', '\0', '\\u12', 'ж', '{"a": ',
                                  '"b"'])).map(''.join)


def read_file(name: str) -> str:
    if name not in FILES:
        raise FileNotFoundError(2, 'No such file or directory', name)
    return FILES[name]


def refusal(text: str, last: Any = LAST) -> BadText:
    with pytest.raises(BadText) as caught:
        parse(text, last, read_file)
    return caught.value


@pytest.mark.parametrize(('text', 'request_json'), [
    ('', {}),
    (' \n ', {}),
    ('{}', {}),
    (' {"hello": "world"}\n', {'hello': 'world'}),
    ('{\n  "a": {"b": [1, 2.5, true, null]},\n  "c": "é"\n}', {'a': {'b': [1, 2.5, True, None]}, 'c': 'é'}),
    ('{"n": 123456789012345678901234567890}', {'n': 123456789012345678901234567890}),
    ('{"a": "\\ud800"}', {'a': '\ud800'}),
    ('{"a": "$.total _ NaN"}', {'a': '$.total _ NaN'}),
    ('hello=world n:=3', {'hello': 'world', 'n': 3}),
    ('hello=world\nn:=3\n', {'hello': 'world', 'n': 3}),
    ('a=', {'a': ''}),
    ('a= b=2', {'a': '', 'b': '2'}),
    ('a=b=c', {'a': 'b=c'}),
    ('a=b:=c', {'a': 'b:=c'}),
    ('url=http://x/?y=1', {'url': 'http://x/?y=1'}),
    ('title="two words"', {'title': 'two words'}),
    ("title='two words'", {'title': 'two words'}),
    ('title="two\nlines"', {'title': 'two\nlines'}),
    ('title="say \\"hi\\" \\\\ now" n:=1', {'title': 'say "hi" \\ now', 'n': 1}),
    ("title='back\\slash'", {'title': 'back\\slash'}),
    ("a=it's", {'a': "it's"}),
    ('a="" b=\'\'', {'a': '', 'b': ''}),
    ('a={', {'a': '{'}),
    ('ok:=true no:=false x:=null n:=-1.5e3', {'ok': True, 'no': False, 'x': None, 'n': -1500.0}),
    ('list:=[1, "two words", {"a": 3}] b=4', {'list': [1, 'two words', {'a': 3}], 'b': '4'}),
    ('o:={\n"a": "b c"\n} s:="text"', {'o': {'a': 'b c'}, 's': 'text'}),
    ('first-name=A last_name=B ключ=значение _id=1 $x=2',
     {'first-name': 'A', 'last_name': 'B', 'ключ': 'значение', '_id': '1', '$x': '2'}),
    ('a=\ud800', {'a': '\ud800'}),
    ('a=1 a=2', {'a': '2'}),
    ('a.b=1 a=2', {'a': '2'}),
])
def test_text_to_request(text: str, request_json: dict[str, object]) -> None:
    got = parse(text)
    assert got == request_json
    assert list(map(type, got.values())) == list(map(type, request_json.values()))
    assert problem(text) is None
    assert not is_unfinished(text)


@pytest.mark.parametrize(('text', 'request_json'), [
    ('a.b=1 a.c:=2', {'a': {'b': '1', 'c': 2}}),
    ('a.b.c.d=1 a.b.x=2', {'a': {'b': {'c': {'d': '1'}, 'x': '2'}}}),
    ('a[]=1 a[]:=2 a[]:=[3]', {'a': ['1', 2, [3]]}),
    ('a.b[]=1 a.b[]=2', {'a': {'b': ['1', '2']}}),
    ('a[].b=1 a[].b=2', {'a': [{'b': '1'}, {'b': '2'}]}),
    ('a[][]=1 a[][]=2', {'a': [['1'], ['2']]}),
    ('a.0=x', {'a': {'0': 'x'}}),
    ('a[]=x a.0=y', {'a': ['y']}),
    ('a:=[1, {"b": 2}] a.1.b=3 a.-2=4', {'a': ['4', {'b': '3'}]}),
    ('{"a": {"b": 1}, "c": [1]} a.d=2 c[]:=2 e=3', {'a': {'b': 1, 'd': '2'}, 'c': [1, 2], 'e': '3'}),
    ('{"a": 1} a=2', {'a': '2'}),
    ('{\n"a": 1\n}\nb=2', {'a': 1, 'b': '2'}),
    ('{"a.b": 1}', {'a.b': 1}),
])
def test_nested_keys(text: str, request_json: dict[str, object]) -> None:
    assert parse(text) == request_json


@pytest.mark.parametrize(('text', 'request_json'), [
    ('a=@note.txt b=1', {'a': 'two\nlines\n', 'b': '1'}),
    ('a:=@data.json b=1', {'a': {'a': [1, 'b']}, 'b': '1'}),
    ('a:=@data.json a.a[]=2', {'a': {'a': [1, 'b', '2']}}),
    ('a=@"two words.txt" b=@\'two words.txt\'', {'a': 'spaced', 'b': 'spaced'}),
    ('a="@note.txt" b=\'@x\' c=me@x.org', {'a': '@note.txt', 'b': '@x', 'c': 'me@x.org'}),
])
def test_files(text: str, request_json: dict[str, object]) -> None:
    assert parse(text, None, read_file) == request_json


def test_files_on_disk(tmp_path: Path) -> None:
    (tmp_path / 'a.txt').write_bytes('ж\r\n'.encode())
    (tmp_path / 'b.txt').write_bytes(b'\xff')
    assert parse(f'a=@{tmp_path}/a.txt') == {'a': 'ж\r\n'}
    for name in ['b.txt', 'c.txt', '', 'nul\0', 'x\ud800']:
        with pytest.raises(BadText, match='cannot read'):
            parse(f'a=@"{tmp_path}/{name}"')


@pytest.mark.parametrize(('text', 'request_json'), [
    ('id=$.items[0].id', {'id': 5}),
    ('id:=_.items[0].id', {'id': 5}),
    ('id="$.items[0].id" x=\'_\'', {'id': '$.items[0].id', 'x': '_'}),
    ('id=$.items[-1].id b=2', {'id': 6, 'b': '2'}),
    ('id=$.items.1.id', {'id': 6}),
    ('tags=$.items[0].tags', {'tags': ['x', 'y']}),
    ('a:=$ b=_', {'a': LAST, 'b': LAST}),
    ('a=$["two words"]["a\\"b"] b=$._', {'a': None, 'b': 1}),
    ('a=$.текст', {'a': 'да'}),
    ('price=$5 a=_x b="$x.y" c=a$.total', {'price': '$5', 'a': '_x', 'b': '$x.y', 'c': 'a$.total'}),
    ('{"id": $.items[0].id, "all": _}', {'id': 5, 'all': LAST}),
    ('{"id":$.items[0].id,"t":[_.total,_.total],"s":"$.total"} b=$.total',
     {'id': 5, 't': [2, 2], 's': '$.total', 'b': 2}),
    ('a:=[_["two words"]] b:=[$.total] c=1', {'a': [{'a"b': None}], 'b': [2], 'c': '1'}),
    ('$.items[1] name=new', {'id': 6, 'name': 'new'}),
    ('_', LAST),
])
def test_last_reply(text: str, request_json: dict[str, object]) -> None:
    assert parse(text, LAST) == request_json
    assert problem(text, LAST) is None
    assert not is_unfinished(text)


@pytest.mark.parametrize('text', [
    '_ items[]=1 items.0.id=9 items.0.tags[]=z items.0.tags.0=w new=1', 'a:=_ a.items.0.tags[]=z a.total=9',
    '{"a": _, "b": _} a.total=1 b.items[]=1'])
def test_last_reply_kept(text: str) -> None:
    before = json.dumps(LAST)
    got = parse(text, LAST)
    assert json.dumps(LAST) == before
    assert json.dumps(got) != before


def test_copied_apart() -> None:
    assert parse('a:=$.empty b:=$.empty a.x=1', LAST) == {'a': {'x': '1'}, 'b': {}}


@pytest.mark.parametrize(('text', 'column', 'named'), [
    ('{"a": }', 7, ['bad JSON', 'Expecting value', '\n  {"a": }\n        ^']),
    ("{'a': 1}", 2, ['bad JSON', 'double quotes']),
    ('{"a": NaN}', 7, ['bad JSON', 'NaN']),
    ('{"a": _, "b": [1, -Infinity]}', 19, ['bad JSON', 'Infinity']),
    ('n:=Infinity', 4, ['bad JSON', 'Infinity']),
    ('{"a": _, "b": $.total oops}', 23, ['bad JSON', "','"]),
    ('{"a": $.items[0].id 1}', 21, ['bad JSON', "','"]),
    ('a=1 n:=oops', 8, ['bad JSON', 'Expecting value', '\n  a=1 n:=oops\n         ^']),
    ('n:=', 4, ['bad JSON', 'Expecting value']),
    ('n:=3x', 5, ["a space should follow 'n:=3'"]),
    ('a=1 n:=3x', 9, ["a space should follow 'n:=3'"]),
    ('{"a": _, "b" 1, "c": $.total}', 14, ['bad JSON', "':'"]),
    ('a="b"c', 6, ['a space should follow']),
    ('{"a": 1}b=2', 9, ['a space should follow']),
    ('{"a": 1} b', 10, ['JSON object or items', "'b'"]),
    ('a=1 word b=2', 5, ['JSON object or items', 'key=text', 'key:=JSON', "'word'"]),
    ('[1]', 1, ['JSON object', "'[1]'"]),
    ('"a"=1', 1, ["'\"a\"=1'"]),
    ('=1', 1, ["'=1'"]),
    ('a="two words', 3, ['quote is not closed']),
    ("a=1 b='x", 7, ["quote is not closed: 'x (column"]),
    ('a=1 b="' + 'x' * 300, 7, ['quote is not closed: "xx', 'xx... (column']),
    ('a=1 a.b=2', 5, ['no place for a.b: a is "1"']),
    ('a=1 a[]=2', 5, ['no place for a[]: a is "1"']),
    ('a.b=1 a[]=2', 7, ['no place for a[]: a is an object']),
    ('a[]=1 a.1=2', 7, ['no place for a.1: a is a list of 1']),
    ('a[]=1 a.-2=2', 7, ['no place for a.-2: a is a list of 1']),
    ('a[]=1 a.b=2', 7, ['no place for a.b: a is a list of 1']),
    ('{"a": null} a.b.c=1', 13, ['no place for a.b: a is null']),
    ('a[]:=5 a.0.x=2', 8, ['no place for a.0.x: a.0 is 5']),
    ('a..b=1', 1, ["'a..b' is no key"]),
    ('.a=1', 1, ['is no key']),
    ('a.=1', 1, ['is no key']),
    ('[]=1', 1, ['is no key']),
    ('a[0]=1', 1, ["'a[0]' is no key", 'a.0.b']),
    ('id=$.items[3]', 4, ['the last answer has no items[3]: items has 2']),
    ('{"id": $.items[3].id}', 8, ['the last answer has no items[3]: items has 2']),
    ('id=$.items[-3]', 4, ['no items[-3]: items has 2']),
    ('id=$.nope', 4, ['the last answer has no nope: it has items, total']),
    ('id=$[0]', 4, ['no [0]: it has items']),
    ('id=$.items.id', 4, ['no items.id: items is a list of 2']),
    ('id=$.total.x', 4, ['no total.x: total is 2']),
    ('id=$.empty.x', 4, ['no empty.x: empty is an empty object']),
    ('id=$.items[', 4, ["'$.items['", 'no path', 'quotes make it text']),
    ('id:=$x', 5, ['there is no value $x']),
    ('id=$x.y', 4, ['there is no value $x', 'quotes make it text']),
    ('id:=$-x', 5, ['no path']),
    ('{"a": _b}', 7, ['no path']),
    ('$.items', 1, ['should be a JSON object, not a list of 2']),
    ('a=@nope.txt', 3, ['cannot read nope.txt: no such file']),
    ('a=@', 4, ['a file name comes after @']),
    ('a:=@bad.json', 4, ['bad.json, line 2, column 8: bad JSON: Expecting value']),
    ('a:=@more.json', 4, ['more.json, line 1, column 3: bad JSON: Extra data']),
    ('a:=@nan.json', 4, ['nan.json, line 1, column 2: bad JSON: NaN']),
    ('a:=@path.json', 4, ['path.json, line 1, column 7: bad JSON: _ is not part of it']),
])
def test_bad_text_named(text: str, column: int, named: list[str]) -> None:
    error = refusal(text)
    shown = str(error)
    assert [part for part in [*named, f'(column {column})'] if part not in shown] == [], shown
    assert error.position == column - 1
    assert shown.splitlines()[-1] == ' ' * (column + 1) + '^'


@pytest.mark.parametrize('text', ['a=$', 'a:=_.x', '{"a": $.x}', '_'])
def test_no_last_reply(text: str) -> None:
    assert 'there is no last answer yet' in str(refusal(text, None))


def test_line_and_column() -> None:
    error = refusal('{"a": 1,\n "b": oops}')
    assert error.line_and_column == (2, 7)
    assert str(error) == 'bad JSON: Expecting value (line 2, column 7)'


def test_mistake_in_longer_text() -> None:
    error = refusal('{"a": }').within('read echo {"a": }', 10)
    assert str(error) == 'bad JSON: Expecting value (column 17)\n  read echo {"a": }\n                  ^'


def test_shown_safely() -> None:
    shown = str(refusal('名前="\ud800\x1b[31m" oops'))
    assert shown.encode()
    assert shown.splitlines()[1:] == ['  名前="??[31m" oops', '  ' + ' ' * 14 + '^']
    assert str(refusal('a=\ud800 a.\ud800=1')).encode()
    assert str(refusal('id=$["\ud800"]')).encode()


def test_long_text_clipped() -> None:
    *_, line, caret = str(refusal(f'{{"a": "{"x" * 1000}", oops, "b": "{"y" * 1000}"}}')).splitlines()
    assert line[len(caret) - 1:].startswith('oops')
    assert len(line) < 100


@pytest.mark.parametrize('text', [
    '{"a": ' + '[' * 100_000, 'a:=' + '[' * 100_000, '{"x": _, "a": ' + '[' * 100_000, 'a' + '.a' * 100_000 + '=1'])
def test_too_deep(text: str) -> None:
    assert 'nested too deep' in str(refusal(text))
    assert not is_unfinished(text)


@pytest.mark.parametrize('text', ['{"n": ' + '1' * 5000 + '}', 'n:=' + '1' * 5000, 'a[]=1 a.' + '1' * 5000 + '=1'])
def test_number_too_long(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize('text', [
    '{', '{"a": 1', '{"a": 1,\n', '{"a": "two', '{"a": "x\\', '{"a": "\\u12', '{"a": tru', '{"a": 1.', '{"a": -',
    '{"a": $.items[0].id, ', '{"a": _', 'n:=[1, 2', 'n:={', 'n:=[_, ',
    's:="two', 'title="two', "a=1 title='two\nmore", 'a=@"two', '{"a": 1} b:=[', 'a:=_ a.b:={', '_ a.b.c:={',
    'a=@x b:=['])
def test_unfinished(text: str) -> None:
    assert is_unfinished(text)
    assert problem(text, LAST) is None


@pytest.mark.parametrize('text', ['{"a": ]', '{"a": oops', '{"a": 1}}', '{a', "{'", '{"a": "two\nlines', '{"a": "\\x',
                                  'a=1 word', 'n:=', 'a=$.items[', '{"a": NaN,', 'a=1 a.b:={', '[', '{"a": _x,',
                                  '{"a": 01', '{"a": "b".'])
def test_wrong_is_finished(text: str) -> None:
    assert not is_unfinished(text)


@pytest.mark.parametrize('text', [
    'titl', 'a=1 titl', 'n:', 'n:=', 'n:=tr', 'n:=-', 'n:=1.', 'n:=1e', 'a=@', 'a=@nope', 'a=$.items[', 'a=$.it',
    'a:=$.items[0', '{"a": $.it'])
def test_no_problem_while_typing(text: str) -> None:
    assert problem(text, LAST) is None
    assert not is_unfinished(text) or text.startswith('{')


@pytest.mark.parametrize(('text', 'position'), [
    ('{"a": oops', 6), ('{"a": "b",}', 9 if sys.version_info >= (3, 13) else 10), ('titl ', 0), ('n:=trx', 3),
    ('a="b"c', 5), ('a=$.it ', 2), ('{"a": $.it,', 6), ('a=1 a.b=', 4)])
def test_problem_while_typing(text: str, position: int) -> None:
    error = problem(text, LAST)
    assert error is not None
    assert error.position == position


@given(OBJECTS, st.sampled_from([None, 2]), st.booleans())
@settings(deadline=None, max_examples=100)
def test_dumped_object_parses(content: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=ascii_only)
    assert parse(text) == content
    assert json_end(text + ' | {', 0) == len(text)


@given(OBJECTS, st.sampled_from([None, 2]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_prefixes_unfinished(content: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=ascii_only)
    assert [end for end in range(1, len(text)) if not is_unfinished(text[:end]) or problem(text[:end])] == []


@given(OBJECTS)
@settings(deadline=None, max_examples=60)
def test_paths_among_json(content: dict[str, Any]) -> None:
    """The same with a path before and after, which takes the slow way."""
    text = f'{{"first": [_.total], "inner": {json.dumps(content)}, "last":$.items[-1].id}}'
    assert parse(text, LAST) == {'first': [2], 'inner': content, 'last': 6}
    assert is_unfinished(text[:-1])
    assert refusal(text[:-1] + ' oops}').position == len(text)


@given(TYPED | st.text() | st.text(string.punctuation + 'ab1 \n'))
@settings(deadline=None, max_examples=500)
def test_nothing_but_bad_text(text: str) -> None:
    for last in (None, LAST):
        try:
            request = parse(text, last, read_file)
        except BadText as error:
            assert 0 <= error.position <= len(text)
            assert str(error).encode()
        else:
            assert json.dumps(request)
            assert not is_unfinished(text)
            assert problem(text, last) is None
    is_unfinished(text)
    problem(text, LAST)


@pytest.mark.parametrize('text', [
    json.dumps({'items': [{'id': number, 'name': f'name {number}', 'tags': ['a', 'b']} for number in range(1800)]}),
    '{"a": [' + '_.total, ' * 11_000,
    'a="' + '\\"' * 50_000, 'a=' + '"' * 100_000, '"' * 100_000, 'a' * 100_000, 'a.' * 50_000, '{"a": ' + '_' * 100_000,
    'a=$' + '.a' * 50_000, 'a=$' + '[0]' * 33_000, 'a=$["' + '\\"' * 50_000,
    'a=1 ' * 25_000, 'a:=[_] ' * 14_000, 'a:="x" ' * 14_000, 'a[]=1 ' * 16_000, 'a.b.c=1 ' * 12_000,
    ' ' * 100_000 + 'x', '{"a": ' + '[{' * 50_000, '{' * 100_000])
def test_linear_time(text: str) -> None:
    """Of 100 kB; a quadratic way would take minutes."""
    assert_linear(lambda part: problem(part, LAST), text)
    assert_linear(is_unfinished, text)


def test_deepest_key() -> None:
    value = parse('.'.join('a' * DEEPEST) + '=1')
    for _ in range(DEEPEST):
        value = value['a']
    assert value == '1'
    assert 'nested too deep' in str(refusal('.'.join('a' * (DEEPEST + 1)) + '=1'))


@pytest.mark.parametrize(('text', 'column'), [
    ('a:=1e999', 3), ('a:=[1, -1e400]', 3), ('{"a": {"b": 1e999}}', 0), ('a:=[$.total, 1e999]', 3)])
def test_number_too_large(text: str, column: int) -> None:
    """JSON has no Infinity, which is what Python makes of it."""
    error = refusal(text)
    assert 'too large' in str(error)
    assert error.position == column


def test_endless_file(tmp_path: Path) -> None:
    for text in ('a=@/dev/zero', 'a:=@/dev/zero'):
        with pytest.raises(BadText, match='/dev/zero has more than 64 MB'):
            parse(text)


@pytest.mark.parametrize('text', ['a=1|wc', 'a=x|y b=2', 'b=2 a=|'])
def test_bar_in_text(text: str) -> None:
    """It may have been meant as a pipe; both ways of saying it are told."""
    assert 'a space before | makes it a pipe, quotes make it text' in str(refusal(text))
    assert parse('a="1|wc" b=\'|\'') == {'a': '1|wc', 'b': '|'}
