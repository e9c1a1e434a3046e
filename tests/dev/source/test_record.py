"""Calls kept as lines of test.py."""
from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from apiphant.dev.source.literals import CannotRecord
from apiphant.dev.source.record import record, recorded
from apiphant.dev.source.tested import Answered
from tests.kit.running import DEADLINE, SAMPLE, clean_environment, production

ECHO = 'test(\'echo\', \'read\', {"hello": "world"}, 200, {"hello": "world", "server": "myproduct"})\n'
IMPORT = 'from apiphant.test import test\n'
LONG = {
    'items': [{'id': number, 'title': 'A title that is "quoted"', 'tags': None} for number in range(3)], 'next': True}


def kept(text, *call):
    return recorded(text, Answered(*call))[0]



def with_echo(text: str) -> str:
    return kept(text, 'echo', 'read', {'hello': 'world'}, 200, {'hello': 'world', 'server': 'myproduct'})


def refusal(text: str, request: object = None, answer: object = None, version: str = 'v0') -> str:
    with pytest.raises(CannotRecord) as caught:
        kept(text, 'echo', 'read', request or {}, 200, answer, version)
    return str(caught.value)


@pytest.mark.parametrize(('text', 'expected'), [
    ('', f'{IMPORT}\n{ECHO}'),
    ('\n', f'{IMPORT}\n\n{ECHO}'),
    (IMPORT, f'{IMPORT}\n{ECHO}'),
    (f'{IMPORT}\n', f'{IMPORT}\n{ECHO}'),
    (IMPORT.rstrip(), f'{IMPORT}\n{ECHO}'),
    ('"""Tests."""\n', f'"""Tests."""\n{IMPORT}\n{ECHO}'),
    ('"""Tests."""', f'"""Tests."""\n{IMPORT}\n{ECHO}'),
    ('#!/usr/bin/python\n# -*- coding: utf-8 -*-\n', f'#!/usr/bin/python\n# -*- coding: utf-8 -*-\n{IMPORT}\n{ECHO}'),
    ('# Tests', f'# Tests\n{IMPORT}\n{ECHO}'),
    ('# Tests\nx = 1\n', f'# Tests\n{IMPORT}\nx = 1\n{ECHO}'),
    ('x = 1', f'{IMPORT}\nx = 1\n{ECHO}'),
    ('"""Tests.\n\nMore.\n"""\nimport os\nimport sys\n\nx = 1\n',
     f'"""Tests.\n\nMore.\n"""\nimport os\nimport sys\n{IMPORT}\nx = 1\n{ECHO}'),
    ('from __future__ import annotations\nprint(1)\n',
     f'from __future__ import annotations\n{IMPORT}\nprint(1)\n{ECHO}'),
    ('import os; x = [\n1]\nprint(x)\n', f'import os; x = [\n1]\n{IMPORT}\nprint(x)\n{ECHO}'),
    (f'{IMPORT}\ndef f():\n    pass\n', f'{IMPORT}\ndef f():\n    pass\n\n{ECHO}'),
    (f'{IMPORT}\nx = 1  # no newline', f'{IMPORT}\nx = 1  # no newline\n{ECHO}'),
    ('from apiphant.test import config, test\nconfig.update(port=9000)\n',
     f'from apiphant.test import config, test\nconfig.update(port=9000)\n{ECHO}'),
    ('from apiphant.test import test as check\nx = 1\n',
     f'from apiphant.test import test as check\nx = 1\n{ECHO.replace("test(", "check(")}'),
    ('import apiphant.test as t\nx = 1\n', f'import apiphant.test as t\nx = 1\nt.{ECHO}'),
    ('from apiphant import test\nx = 1\n', f'from apiphant import test\nx = 1\ntest.{ECHO}'),
    ('from apiphant.test import *\nx = 1\n', f'from apiphant.test import *\nx = 1\n{ECHO}'),
    ('import apiphant.test\nx = 1\n', f'import apiphant.test\n{IMPORT}\nx = 1\n{ECHO}'),
    ('from apiphant.test import config\nx = 1\n', f'from apiphant.test import config\n{IMPORT}\nx = 1\n{ECHO}'),
    ('# X', f'# X\n{IMPORT}\n{ECHO}'),
    (f'{IMPORT}\nX = 1\nX', f'{IMPORT}\nX = 1\nX\n{ECHO}'),
    (f'{IMPORT}x = 1\nimport os\n', f'{IMPORT}x = 1\nimport os\n\n{ECHO}'),
    (f'{IMPORT}\nrest = [200]\ntest("echo", "read", {{"hello": "world"}}, *rest, {{}})\n',
     f'{IMPORT}\nrest = [200]\ntest("echo", "read", {{"hello": "world"}}, *rest, {{}})\n{ECHO}'),
    ('import os\r\nx = 1\r\n', f'import os\n{IMPORT}\nx = 1\n{ECHO}'.replace('\n', '\r\n')),
])
def test_appended(text, expected):
    assert with_echo(text) == expected
    assert with_echo(expected) == expected


def test_sample_product_kept():
    text = (SAMPLE / 'api/test.py').read_text()
    assert with_echo(text) == text
    text = (SAMPLE / 'api/test_self.py').read_text()
    changed = kept(text, 'self', 'create', {'x': 42, 'test': 'valid_type'}, 201, {'ok': None})
    assert changed == text.replace('"x": 42}, 200, {"ok": True, "x": 42})', '"x": 42}, 201, {"ok": None})')
    added = '''test('self', 'create', {"test": "new"}, 200, {})\n'''
    assert kept(text, 'self', 'create', {'test': 'new'}, 200, {}) == text + added


BEFORE = "def f():\n\tid = test('echo', 'read', dict_of, 1, 2)\n"
AFTER = '\t).json.id\n\treturn id\n'


@pytest.mark.parametrize(('old', 'new'), [
    ("test('echo', 'read', {'a': 1}, 404, {'error': 1})  # why\n",
     "test('echo', 'read', {'a': 1}, 200, {\"b\": None})  # why\n"),
    ("test('echo', 'read', {'a': 1}, 200, {'b': 1})", "test('echo', 'read', {'a': 1}, 200, {\"b\": None})"),
    ("test('echo', 'read', {'a': 1}, 404, {'b': None})", "test('echo', 'read', {'a': 1}, 200, {'b': None})"),
    ("x = 'é'; test('echo','read',{'a':1},404,EXPECTED); y = 'é'",
     "x = 'é'; test('echo','read',{'a':1},200,{\"b\": None}); y = 'é'"),
    ("test(action='read', target='echo', status_code=(404), response_json=({}), request_json={'a': 1}, method='POST')",
     ("test(action='read', target='echo', status_code=(200), response_json=({\"b\": None}), "
      "request_json={'a': 1}, method='POST')")),
    (f"{BEFORE}\tid = test(\n\t\t'echo',  # é\n\t\t'read', {{'a':\n1}}, 404,\n\t\t{{'old':\n1}},\n{AFTER}",
     f"{BEFORE}\tid = test(\n\t\t'echo',  # é\n\t\t'read', {{'a':\n1}}, 200,\n\t\t{{\"b\": None}},\n{AFTER}"),
    ("test('echo', 'read', {'a': 1}, 1, 1)\ntest('echo', 'read', {'a': 1}, 2, 2)\n",
     "test('echo', 'read', {'a': 1}, 1, 1)\ntest('echo', 'read', {'a': 1}, 200, {\"b\": None})\n"),
    ("'''\r\n\u2028\x0c'''\r\ntest('echo', 'read', {'a': 1}, 1, 1)\r\n",
     "'''\r\n\u2028\x0c'''\r\ntest('echo', 'read', {'a': 1}, 200, {\"b\": None})\r\n"),
])
def test_replaced_in_place(old, new):
    assert kept(IMPORT + old, 'echo', 'read', {'a': 1}, 200, {'b': None}) == IMPORT + new


@pytest.mark.parametrize('request_text', ['{"a": 1, "b": [1, {"c": None}]}', '{"b": (1, {"c": None}), "a": 1}'])
def test_same_request(request_text):
    text = f"{IMPORT}test('echo', 'read', {request_text}, 500, 1)\n"
    assert kept(text, 'echo', 'read', {'b': [1, {'c': None}], 'a': 1}, 200, 2) == text.replace('500, 1', '200, 2')


@pytest.mark.parametrize('line', [
    "test('echo', 'read', {'a': True}, 1, 1)", "test('echo', 'read', {'a': 1.0}, 1, 1)",
    "test('echo', 'read', {'a': '1'}, 1, 1)", "test('echo', 'read', None, 1, 1)",
    "test('echo', 'create', {'a': 1}, 1, 1)", "test('other', 'read', {'a': 1}, 1, 1)",
    "test('echo', 'read', {'a': 1}, 1, 1, method='GET')",
    "test('echo', 'read', {'a': 1}, 1, 1, 'GET')", "test('echo', 'read', {'a': one}, 1, 1)", "test(*arguments)",
    "test('echo', 'read', {'a': 1})", "test(**named)", "test()",
    "other('echo', 'read', {'a': 1}, 1, 1)", "t.test('echo', 'read', {'a': 1}, 1, 1)",
    "'''test('echo', 'read', {'a': 1}, 1, 1)'''", "test('echo', 'read', {{}: 1}, 1, 1)",
])
def test_other_calls_kept(line):
    text = f'{IMPORT}x = 1\n{line}\n'
    assert kept(text, 'echo', 'read', {'a': 1}, 200, {}) == text + 'test(\'echo\', \'read\', {"a": 1}, 200, {})\n'


def test_long_line_wrapped():
    text = kept('', 'shop/items', 'read', {'ids': [1, 2]}, 200, LONG)
    assert text == IMPORT + '''
test(
    'shop/items',
    'read',
    {"ids": [1, 2]},
    200,
    {
        "items": [
            {"id": 0, "title": "A title that is \\"quoted\\"", "tags": None},
            {"id": 1, "title": "A title that is \\"quoted\\"", "tags": None},
            {"id": 2, "title": "A title that is \\"quoted\\"", "tags": None},
        ],
        "next": True,
    },
)
'''
    assert kept(text, 'shop/items', 'read', {'ids': [1, 2]}, 200, {}) == text[:text.index('    {\n')] + '    {},\n)\n'


def test_long_answer_in_place():
    old = f"{IMPORT}if True:\n    test('echo', 'read', {{}}, 200, {{}})  # why\n"
    new = f'''200, {{
        "items": ["{'x' * 40}", "{'y' * 40}"],
        "n": [],
    }})'''
    answer = {'items': ['x' * 40, 'y' * 40], 'n': []}
    assert kept(old, 'echo', 'read', {}, 200, answer) == old.replace('200, {})', new)


@pytest.mark.parametrize('length', range(20, 60))
def test_width(length):
    request = {'a': 'x' * length, 'b': {'c': ['y' * length, {'d': 'z' * length}]}}
    assert max(map(len, kept('', 'echo', 'read', request, 200, request).splitlines())) <= 120


VALUES = [
    None, True, False, 0, -1, 1.0, -0.0, 1e300, 12345678901234567890123, '', 'wörld', 'a\nb\t\r\x00\x7f\u2028\ud800',
    '"', "'", '\'"', '\\', '\\"', "\\'", '{}', "it's \"so\"\\n",
    [], {}, [[]], {'': {'"': [None, {"'": 'x'}]}}, 'plain text', ['x' * 150], {'k' * 150: {'k': ['v' * 150]}},
    list(range(100)), '🐘',
]


@pytest.mark.parametrize('value', VALUES, ids=lambda value: ascii(value)[:20])
def test_value_of_any_kind(value):
    text = kept('', 'echo', 'read', {'x': value}, 500, value)
    call = ast.parse(text).body[-1].value
    found = list(map(ast.literal_eval, call.args))
    assert list(map(json.dumps, found)) == list(map(json.dumps, ['echo', 'read', {'x': value}, 500, value]))
    assert text.replace('\n', '').isprintable()
    assert kept(text, 'echo', 'read', {'x': value}, 500, value) == text


@pytest.mark.parametrize(('text', 'named'), [
    (f'{IMPORT}test(\n\nx = 1', ['line 2', 'never closed']),
    ('x = 1\ny = = 2\n', ['line 2', 'invalid syntax']),
    ('x = 1\n  y = 2\n', ['line 2', 'indent']),
    ('\0', ['null']),
    ('def test(): pass\n', ["'test' is something else"]),
    (f'{IMPORT}test = 1\n', ["'test' is something else"]),
    ('from pytest import test\n', ["'test' is something else"]),
])
def test_text_refused(text, named):
    message = refusal(text)
    assert [part for part in named if part not in message] == [], message


@pytest.mark.parametrize('value', [float('nan'), float('inf'), b'bytes', {1, 2}])
def test_no_json(value):
    assert 'is not JSON' in refusal('', answer=[value])
    assert 'is not JSON' in refusal(f"{IMPORT}test('echo', 'read', {{'x': x}}, 200, x)", {'x': value})


def test_too_deep():
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    assert 'nested too deep' in refusal('', answer=deep)
    for _ in range(100_000):
        deep = [deep]
    assert 'nested too deep' in refusal('', {'x': deep})


def test_number_too_long():
    assert 'too long' in refusal('', answer=10 ** 5000)


CONFIG = 'from apiphant.test import config, test\n'


def test_version_of_config():
    config = "config.update(version='v1', port=9000)\n"
    text = f"{CONFIG}test('echo', 'read', {{}}, 500, 0)\n{config}test('echo', 'read', {{}}, 500, 1)\n"
    assert kept(text, 'echo', 'read', {}, 200, {}, 'v1') == text.replace('500, 1', '200, {}')
    assert kept(text, 'echo', 'read', {}, 200, {}, 'v0') == text.replace('500, 0', '200, {}')
    assert kept(text, 'echo', 'read', {'a': 1}, 200, {}, 'v1') == text + 'test(\'echo\', \'read\', {"a": 1}, 200, {})\n'
    assert refusal(text, {'a': 1}) == "test.py calls v1; for this call add: config.update(version='v0')"
    assert refusal('', version='v1') == "test.py calls v0; for this call add: config.update(version='v1')"


@pytest.mark.parametrize('setting', [
    "config.version = 'v1'", "config['version'] = 'v1'", "if True:\n    config.update(version='v1')",
    "config.update(version='v2')\nconfig.version = 'v1'"])
def test_version_set(setting):
    assert kept(f'{CONFIG}{setting}\nx = 1\n', 'echo', 'read', {}, 200, {}, 'v1').endswith(
        "x = 1\ntest('echo', 'read', {}, 200, {})\n")


@pytest.mark.parametrize('setting', [
    'config.update(version=VERSION)', 'config.update(options)', 'config.update(**options)', 'config.version = VERSION'])
def test_version_not_told(setting):
    assert 'a version that cannot be told' in refusal(f'{CONFIG}{setting}\n')


@pytest.mark.parametrize('setting', [
    "other.update(version='v1')", "version = 'v1'", 'config.update(port=1)', "config.host = 'v1'"])
def test_version_not_set(setting):
    assert kept(f'{CONFIG}{setting}\n', 'echo', 'read', {}, 200, {}).startswith(f'{CONFIG}{setting}\n')


def keep(path: Path, answer: object, request: dict[str, object] | None = None) -> bool:
    return record(path, Answered('echo', 'read', request or {}, 200, answer))


def test_file_made_and_changed(tmp_path):
    path = tmp_path / 'test.py'
    assert keep(path, {'a': 1}) is False
    assert keep(path, {'a': 2}) is True
    assert keep(path, 'é', {'b': 1}) is False
    assert path.read_text().splitlines() == [
        *IMPORT.splitlines(), '', '''test('echo', 'read', {}, 200, {"a": 2})''',
        '''test('echo', 'read', {"b": 1}, 200, "é")''']
    assert os.listdir(tmp_path) == ['test.py']


def test_mode_and_link_kept(tmp_path):
    plain, real, link = tmp_path / 'plain', tmp_path / 'real.py', tmp_path / 'test.py'
    plain.touch()
    real.touch()
    real.chmod(0o750)
    link.symlink_to(real)
    keep(link, 1)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o750
    keep(tmp_path / 'new.py', 1)
    assert (tmp_path / 'new.py').stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(('encoding', 'head'), [
    ('utf-8', ''), ('utf-8-sig', ''), ('latin-1', '# coding: latin-1\n'), ('utf-8', '\r\n')])
def test_encoding_kept(tmp_path, encoding, head):
    path, text = tmp_path / 'test.py', f'{head}"""Tést."""\n{IMPORT}x = 1\n'
    path.write_bytes(text.encode(encoding))
    keep(path, 'ü')
    added = '''test('echo', 'read', {}, 200, "ü")\n'''
    assert path.read_bytes().decode(encoding).replace('\r\n', '\n') == text.replace('\r\n', '\n') + added
    assert path.read_bytes().startswith(text.encode(encoding))


@pytest.mark.parametrize('content', [
    b'# coding: latin-1\nx = 1\n', b'# coding: nonsense\n', b'"\xff"\n', b'x = (\n', b'\xff\xfe'])
def test_file_refused(tmp_path, content):
    path = tmp_path / 'test.py'
    path.write_bytes(content)
    with pytest.raises(CannotRecord):
        keep(path, 'ж')
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ['test.py']


def test_place_refused(tmp_path):
    with pytest.raises(CannotRecord, match='no such file'):
        keep(tmp_path / 'missing/test.py', 1)
    with pytest.raises(CannotRecord, match='is a directory'):
        keep(tmp_path, 1)


def run(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words, str(path)], capture_output=True, text=True, timeout=DEADLINE, check=False,
        env=clean_environment())


def test_runs_as_it_is(tmp_path):
    """Whatever was asked and answered, the file says the same of the same server, and fails when it is another."""
    path = tmp_path / 'test.py'
    with production(SAMPLE) as server:
        path.write_text(f'from apiphant.test import config\nconfig.update(port={server.port})')
        for value in (value for value in VALUES if value != 'a\nb\t\r\x00\x7f\u2028\ud800'):
            status, answer = server.post('/api/v0/echo/read', {'x': value})
            assert record(path, Answered('echo', 'read', {'x': value}, status, answer)) is False
        for target, action, request in (
                ('self', 'create', {'test': '1/0'}), ('self', 'delete', {}), ('self', 'create', {'test': 'required'})):
            record(path, Answered(target, action, request, *server.post(f'/api/v0/{target}/{action}', request)))
        result = run(path)
        assert (result.returncode, result.stderr) == (0, '')
        assert result.stdout.count(' --> ') == len(VALUES) + 2
        assert record(path, Answered('echo', 'read', {'x': True}, 200, {'x': 1, 'server': 'myproduct'})) is True
        assert 'AssertionError' in run(path).stderr


def test_new_file_runs(tmp_path):
    path = tmp_path / 'test.py'
    with production(SAMPLE) as server:
        record(path, Answered('echo', 'read', LONG, *server.post('/api/v0/echo/read', LONG)))
        config = f'from apiphant.test import config; config.update(port={server.port})'
        runner = f'import runpy, sys; {config}; runpy.run_path(sys.argv[1])'
        assert run(path, '-c', runner).returncode == 0


def test_same_again_is_not_written(tmp_path):
    path = tmp_path / 'test.py'
    for is_replaced in (False, True):
        assert record(path, Answered('echo', 'read', {}, 200, {})) is is_replaced
        status = path.stat()
    os.link(path, tmp_path / 'same')
    assert record(path, Answered('echo', 'read', {}, 200, {}))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
