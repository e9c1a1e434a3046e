"""What actions say that they take."""
import random
import warnings
from pathlib import Path

import pytest

from apiphant.dev.source import fields as describe_module
from apiphant.dev.source.field_call import Field, hint
from apiphant.dev.source.fields import Description, describe

IMPORT = 'from apiphant.validation import field\n'
ROOT = Path(__file__).parents[3]


def fields(body: str, top: str = IMPORT) -> tuple[Field, ...]:
    """The fields of a read action with this body."""
    lines = ''.join(f'    {line}\n' for line in body.splitlines())
    return describe(f'{top}def read(request):\n{lines}')['read'].fields


def names(body: str, top: str = IMPORT) -> list[str]:
    return [field.name for field in fields(body, top)]


def test_readme_example():
    found = fields('\n'.join((
        "id = field(request, 'id', is_required=True, valid_type=int)",
        "city = field(request, 'user.address.city', default_value='Berlin', max_length=100)",
        "first = field(request, 'items.0.id', valid_type=(int, str))",
        "item = get_item(id)",
        "raise Invalid('id', -1)",
    )))
    assert found == (
        Field('id', ('int',), is_required=True),
        Field('user.address.city', default="'Berlin'", max_length=100),
        Field('items.0.id', ('int', 'str')),
    )
    assert list(map(hint, found)) == ['int, required', "default 'Berlin', at most 100 long", 'int or str']


def test_sample_product():
    folder = ROOT / 'tests/myproduct/api/v0'
    assert describe((folder / 'echo.py').read_text()) == {'read': Description('The request itself, and who answers.')}
    assert describe((folder / 'self.py').read_text()) == {
        'create': Description('', (Field('test', ('str',)), Field('x')))}


@pytest.mark.parametrize(('call', 'expected'), [
    ("field(request, 'x')", Field('x')),
    ("field(request, 'x', True)", Field('x', is_required=True)),
    ("field(request, 'x', False, 1, None, int, None, 3)", Field('x', ('int',), default='1', max_length=3)),
    ("field(name='x', request=request)", Field('x')),
    ("field(request, name='x', valid_type=int)", Field('x', ('int',))),
    ("field(request, 'x', valid_type=int | str)", Field('x', ('int', 'str'))),
    ("field(request, 'x', valid_type=TYPES)", Field('x')),
    ("field(request, 'x', valid_type=(int, Mapping))", Field('x')),
    ("field(request, 'x', valid_type=None)", Field('x')),
    ("field(request, 'x', valid_value='X')", Field('x', values=('X',))),
    ("field(request, 'x', valid_value=[1, 2])", Field('x', values=([1, 2],))),
    ("field(request, 'x', valid_value=VALUE, max_length=LONG, is_required=STRICT)", Field('x')),
    ("field(request, 'x', max_length=True)", Field('x')),
    ("field(request, 'x', valid_length=2)", Field('x', min_length=2, max_length=2)),
    ("field(request, 'x', min_length=1, max_length=LONG)", Field('x', min_length=1)),
    ("field(request, 'x', min_value=-1, max_value=1.5)", Field('x', min_value=-1, max_value=1.5)),
    ("field(request, 'x', min_value='2026-01-01', max_value=today())", Field('x', min_value='2026-01-01')),
    ("field(request, 'x', min_value=True)", Field('x')),
    ("field(request, 'x', one_of=['new', 'old'])", Field('x', values=('new', 'old'))),
    ("field(request, 'x', one_of=('new', 1))", Field('x', values=('new', 1))),
    ("field(request, 'x', one_of=STATES)", Field('x')),
    ("field(request, 'x', one_of=['new', OLD])", Field('x')),
    (r"field(request, 'x', pattern=r'\d+')", Field('x', pattern=r'\d+')),
    (r"field(request, 'x', pattern=re.compile(r'\d+'))", Field('x', pattern=r'\d+')),
    (r"field(request, 'x', pattern=re.compile('a', re.I))", Field('x')),
    ("field(request, 'x', pattern=PATTERN)", Field('x')),
    ("field(request, 'items.*.id', valid_type=int)", Field('items.*.id', ('int',))),
    ("field(request, 'x', default_value=None)", Field('x')),
    ("field(request, 'x', default_value=-1.5)", Field('x', default='-1.5')),
    ('field(request, "x", default_value={"a":\n[]})', Field('x', default="{'a': []}")),
    ("field(request, 'x', default_value=today())", Field('x', default='today()')),
    ("field(request, 'x', **rules)", Field('x')),
    ("field(request, 'x', *rules, max_length=2)", Field('x', max_length=2)),
    ("field(request.user, 'x', valid_type=int)", Field('user.x', ('int',))),
])
def test_arguments(call, expected):
    assert fields(f'return {call}')[0] == expected


@pytest.mark.parametrize('call', [
    'field()', 'field(request)', 'field(request, name)', 'field(request, 1)', "field(other, 'x')", "field(*both)",
    "field('x')", "field(**both)"])
def test_call_of_other_shape(call):
    assert fields(f'return {call}') == ()


@pytest.mark.parametrize(('top', 'name'), [
    ('from apiphant.validation import field', 'field'),
    ('from apiphant.validation import ApiError, field as f', 'f'),
    ('from apiphant.validation import *', 'field'),
    ('import apiphant.validation', 'apiphant.validation.field'),
    ('import os, apiphant.validation as v', 'v.field'),
    ('from apiphant import validation', 'validation.field'),
    ('from apiphant import validation as checks', 'checks.field'),
])
def test_import_of_any_kind(top, name):
    assert fields(f"return {name}(request, 'x', valid_type=int)", f'{top}\n') == (Field('x', ('int',)),)
    assert fields(f"{top}\nreturn {name}(request, 'x', valid_type=int)", '') == (Field('x', ('int',)),)


@pytest.mark.parametrize('top', [
    'from dataclasses import field', 'def field(*args): pass', 'from .apiphant import field', ''])
def test_field_of_others(top):
    assert fields("return field(request, 'x', valid_type=int)", f'{top}\n') == ()


@pytest.mark.parametrize(('body', 'expected'), [
    ('return request.x', ['x']),
    ("return request['x']", ['x']),
    ("return request.get('x')", ['x']),
    ("return request.get('x', request.y)", ['x', 'y']),
    ("return request.pop('x', None)", ['x']),
    ('return request.user.name', ['user.name']),
    ("return request['items'][0]['id']", ['items.0.id']),
    ("return request.get('user', {}).get('name')", ['user.name']),
    ('return request.name.strip().lower()', ['name']),
    ('return request.copy()', []),
    ('return request.items', []),
    ("return list(request.user.items())", ['user']),
    ('return [request.a, *request.b]', ['a', 'b']),
    ('return request[request.key]', ['key']),
    ("return request['a.b']", []),
    ('return request[key]', []),
    ('request.x = 1\nrequest["y"] = 2\ndel request.z', []),
    ('request.user.name = request.name', ['user', 'name']),
    ('response = request.copy()\nresponse.server = 1', []),
    ('if request.a:\n    return request.b\nreturn {"c": request.c}', ['a', 'b', 'c']),
    ('return f"{request.x!r:>{request.width}}"', ['x', 'width']),
    ('return [lambda: request.x, lambda request: request.y]', ['x']),
    ('def inner(): return request.x\ndef other(request): return request.y', ['x']),
    ('return other.x', []),
    ('return request', []),
    ('return request()', []),
])
def test_names_read(body, expected):
    assert names(body) == expected


def test_named_once_in_order():
    lines = ('request.b', 'request.a', "field(request, 'c')", "field(request, 'a', valid_type=int)",
             "field(request, 'a', valid_type=str)", 'request.c')
    assert fields('\n'.join(lines)) == (Field('b'), Field('a', ('int',)), Field('c'))


def test_other_name_of_request():
    source = f"{IMPORT}def create(what, /, more=None):\n    return field(what, 'x', True), what.y, request.z, more.z"
    assert describe(source)['create'].fields == (Field('x', is_required=True), Field('y'))


@pytest.mark.parametrize('source', [
    '@decorated\n@decorated(1)\ndef read(request):\n    return request.x',
    'def _impl(request):\n    return request.x\nread = _impl',
    'def _impl(request):\n    return request.x\nread: Handler = _impl',
    'def _impl(request):\n    return request.x\nother = _impl\nread = other',
    'def _impl(request):\n    return request.x\nread = decorated(limit=1)(_impl)',
    'def _impl(r):\n    return r.x\nread = cached(logged(_impl), 1) if 0 else None\nread = cached(logged(_impl))',
    'read = lambda request: request.x',
    'def read(request): return request.old\ndef read(request): return request.x',
    'if FAST:\n    def read(request): return request.x',
    'try:\n    import fast\nexcept ImportError:\n    def read(request): return request.x',
])
def test_action_of_any_kind(source):
    assert describe(source) == {'read': Description('', (Field('x'),))}


def test_action_of_two_names():
    save = Description('Keeps it.', (Field('x'),))
    assert describe(
        'def _save(request):\n    """Keeps it."""\n    return request.x\ncreate = update = _save') == {'create': save,
        'update': save}


@pytest.mark.parametrize('source', [
    '', 'def other(request): pass', 'def read(request): pass\nread = None', 'def read(request): pass\ndel read',
    'def read(request): pass\nfrom .other import read',
    'class Handler:\n    def read(self): pass', 'read = missing', 'read = 1', 'async def read(request): pass',
    'read: Handler', 'read = 1, 2', 'from .other import read',
])
def test_no_action(source):
    assert describe(source) == {}


def test_docstring_cleaned():
    source = 'def read(request):\n    """Reads.\n\n    More,\n      indented.\n    """'
    assert describe(source) == {'read': Description('Reads.\n\nMore,\n  indented.')}


@pytest.mark.parametrize('source', [
    'from apiphant.server import raw_environ\n@raw_environ\ndef read(environ): return environ["PATH_INFO"]',
    'from apiphant.server import raw_environ as raw\n@raw(max_body=1)\ndef read(environ): return environ["PATH_INFO"]',
    ('import apiphant.server\n'
     'def _read(environ): return environ["PATH_INFO"]\nread = apiphant.server.raw_environ(_read)'),
    'def read(): return 1',
    'def read(*args): return args.x',
    'def read(*, request): return request.x',
])
def test_no_request(source):
    assert describe(source) == {'read': Description()}


def test_raw_response_has_request():
    handler = '@raw_response\ndef read(request, start_response): return [request.x]'
    source = f'from apiphant.server import raw_response\n{handler}'
    assert describe(source)['read'].fields == (Field('x'),)


HELPERS = IMPORT + '''
def _user(db, request, *, strict=False):
    return field(request, 'user', valid_type=dict), _name(asked=request), db.x

def _name(asked):
    return asked.name, _user(None, asked)

def _other(request):
    return request.other
'''


@pytest.mark.parametrize(('body', 'expected'), [
    ('request.a\n_user(db, request)\nrequest.b', ['a', 'user', 'name', 'b']),
    ('_user(request=request, db=db)', ['user', 'name']),
    ('_user(request, None)', ['x']),
    ('_user(*request)\n_user(**request)\n_user()\n_user(1, 2, 3, 4)', []),
    ('_other(request.copy())', []),
    ('return helper(request)', []),
    ('read(request)\nrequest.x', ['x']),
])
def test_helpers(body, expected):
    assert names(body, HELPERS) == expected


def test_helper_searched_for_each_action():
    source = f'{HELPERS}\ndef read(r): return _other(r)\ndef delete(r): return _other(r)'
    assert describe(source) == {
        'read': Description('', (Field('other'),)), 'delete': Description('', (Field('other'),))}


@pytest.mark.parametrize(('field', 'expected'), [
    (Field('x'), ''),
    (Field('x', ('int',), is_required=True), 'int, required'),
    (Field('x', ('str',), default="'Berlin'"), "str, default 'Berlin'"),
    (Field('x', ('str',), is_required=True, default='1'), 'str, required'),
    (Field('x', values=('X',)), "only 'X'"),
    (Field('x', ('int', 'str'), max_length=0), 'int or str, at most 0 long'),
    (Field('x', min_length=1), 'at least 1 long'),
    (Field('x', min_length=1, max_length=3), '1 to 3 long'),
    (Field('x', min_length=3, max_length=3), '3 long'),
    (Field('x', ('int',), min_value=0), 'int, from 0'),
    (Field('x', ('int',), max_value=9), 'int, to 9'),
    (Field('x', ('int',), min_value=1, max_value=9), 'int, from 1 to 9'),
    (Field('x', values=('new', 'old')), "only 'new' or 'old'"),
    (Field('x', ('str',), pattern='[a-z]+'), 'str, like [a-z]+'),
])
def test_hint(field, expected):
    assert hint(field) == expected


@pytest.mark.parametrize('source', [
    'def read(request:', 'def read(request):\n\treturn 1\n        return 2', '\0', 'def read(request): pass\0',
    '"\ud800"', '(' * 100_000, '-' * 100_000 + '1',
    'x = ' + '[' * 90 + ']' * 90 + ' )', '\ufeffdef', 'x' + '.x' * 100_000,
    f'{IMPORT}def read(r): return r' + '.x' * 50_000, 'return = 1', '1' * 5000,
])
def test_unreadable(source):
    assert describe(source) == {}


def test_default_too_long():
    assert fields(f"field(request, 'x', default_value=0x{'f' * 5000})") == (Field('x'),)


def test_unhashable_literal():
    assert fields("field(request, 'x', valid_value={[]: 1}, default_value={[]: 1})")[0].values == ()


def test_no_warnings_shown():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert fields(r"request.x == '\d' is 1") == (Field('x'),)


def test_never_raises():
    """Texts with parts cut out of the middle, some of which still parse."""
    chance = random.Random(1)
    texts = [
        path.read_text()
        for path in (Path(describe_module.__file__), *ROOT.glob('tests/myproduct/api/v0/*.py'))] + [HELPERS]
    for text in texts * 25:
        start, size = chance.randrange(len(text)), chance.randrange(1, 60)
        assert isinstance(describe(text[:start] + text[start + size:]), dict)


@pytest.mark.parametrize(('after', 'expected'), [
    ('read: object', ['a']),  # says a type and binds nothing
    ('read: object = None', None),
    ('os.read: object = None', ['a']),
    ('os.read = read.x = None', ['a']),
    ('del read', None),
    ('del os.read', ['a']),
])
def test_bound_again(after, expected):
    described = describe(f'import os\ndef read(request): return request.a\n{after}\n').get('read')
    assert (described and [field.name for field in described.fields]) == expected


def test_arguments_after_a_star():
    assert fields("field(request, 'id', *rest, 'Berlin', valid_type=int)") == (Field('id', ('int',)),)
    assert fields("field(request, *rest, 'id')") == ()


@pytest.mark.parametrize('kind', [
    'int & str', 'int + str', 'unknown', '(int, unknown)', 'int | unknown', 'print', '[int]', '7'])
def test_kinds_that_are_none(kind):
    assert fields(f"field(request, 'id', valid_type={kind})") == (Field('id'),)
