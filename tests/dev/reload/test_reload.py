"""Hot reload from outside: a real `apiphant dev`, files on disk, HTTP, log lines."""
from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.saves import SAVES, in_place
from tests.kit.shop import FENCE, Shop, handler, reads, shop_with

NOT_A_CALL = r'^(?!INFO \S+ (POST /|and \d+ calls more))'
six_saves = pytest.mark.parametrize('save', SAVES.values(), ids=list(SAVES))


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all tests that do not say that they need their own."""
    with shop_with(tmp_path_factory.mktemp('reload'), {}) as shared:
        yield shared


# Plain edits


@six_saves
def test_handler_edit(shop, name, save):
    shop.add(name, reads(1), 1)
    with shop.steady(name):
        shop.save(handler(name), reads(2), save)
        shop.becomes(name, 2)


def test_ten_edits(shop, name):
    shop.add(name, reads(0), 0)
    with shop.steady(name, range(1, 11)) as poller:
        for value in range(1, 11):
            shop.save(handler(name), reads(value))
            time.sleep(0.1)
        shop.becomes(name, 10)
    assert poller.values == sorted(poller.values)
    assert len(set(poller.values)) > 5


@six_saves
def test_two_saves(shop, name, save):
    shop.add(name, reads(1), 1)
    with shop.steady(name, (1, 2)):
        shop.save(handler(name), reads(2), save)
        time.sleep(0.003)
        shop.save(handler(name), reads(3), save)
        shop.becomes(name, 3)
    assert shop.answer(name) == 3


@pytest.mark.parametrize('is_in_place', (True, False), ids=('in_place', 'moved'))
def test_same_stat(shop, name, is_in_place):
    shop.add(name, reads(1), 1)
    path = shop.folder / handler(name)
    status = path.stat()
    changed = path if is_in_place else shop.folder.parent / name
    with shop.steady(name):
        changed.write_text(reads(2))
        os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
        changed.rename(path)
        shop.becomes(name, 2)
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (status.st_mtime_ns, status.st_size)


def rewriting(save):
    return lambda path: save(path, path.read_text())


SAME = {'touch': Path.touch, 'chmod': lambda path: path.chmod(0o755),
        **{kind: rewriting(save) for kind, save in SAVES.items()}}


@pytest.mark.parametrize('act', SAME.values(), ids=list(SAME))
def test_nothing_changed(shop, name, act):
    shop.save(handler(name), reads('[id(globals()), next(COUNTER)]', 'import itertools', 'COUNTER = itertools.count()'))
    shop.wait_for(lambda: shop.answer(name) != 'status 404', name)
    identity, number = shop.answer(name)
    with shop.steady(name, (0,)) as poller:
        act(shop.folder / handler(name))
    assert poller.values == [[identity, number + 1 + index] for index in range(len(poller.values))]


def test_action_added(shop, name):
    shop.add(name, reads(1), 1)
    assert shop.answer(name, 'create') == 'status 404'
    with shop.steady(name, (2,)):
        shop.save(handler(name), reads(1) + '\n\ncreate = read\n')
        shop.becomes(name, 1, 'create')
        shop.save(handler(name), reads(1))
        shop.becomes(name, 'status 404', 'create')


def test_traceback_lines(shop, name):
    text = 'def read(request):\n    return {"value": [1][request.get("index", 0)]}  # VERSION\n'
    shop.add(name, text, 1)
    path = shop.folder / handler(name)
    modified = path.stat().st_mtime_ns
    for version, before in enumerate(('', '# comment\n', '# notes\n\n\n', '')):
        source = before + text.replace('VERSION', f'version {version}')
        since = save_at(shop, path, source, modified)
        assert shop.server.post(f'/api/v0/{name}/read', {'index': 5})[0] == 500
        number = next(number for number, line in enumerate(source.splitlines(), 1) if 'return' in line)
        shop.server.wait_for_line(rf'{name}\.py", line {number}, in read', since)
        shop.server.wait_for_line(rf'return .* # version {version}$', since)


def save_at(shop, path, text, modified):
    """Save with this time of modification, which must not matter. Returns the number of log lines before it."""
    since = shop.fence()
    new = shop.folder.parent / path.name
    new.write_text(text)
    os.utime(new, ns=(modified, modified))
    new.rename(path)
    shop.server.wait_for_line(rf'Reloaded .*{path.name}', since)
    return since


def test_traceback_of_old_code(shop, name):
    text = 'def read(request):\n    return {"value": [1][request.get("index", 0)]}  # good\n'
    shop.add(name, text, 1)
    since = shop.fence()
    shop.save(handler(name), text.replace('return', 'retrun'))
    shop.server.wait_for_line('Broken: ', since)
    assert shop.server.post(f'/api/v0/{name}/read', {'index': 5})[0] == 500
    shop.server.wait_for_line(r'return .* # good$', since)


VALUES = """
CONSTANT = CONSTANT_IS

def times(factor):
    def wrap(function):
        return lambda request: {'value': [factor, *function(request)]}
    return wrap

def close():
    value = CLOSURE_IS
    return lambda: value

closed = close()

@times(FACTOR_IS)
def read(request, default=DEFAULT_IS):
    return [CONSTANT, default, closed()]
"""


@pytest.mark.parametrize(('word', 'expected'), (
    ('FACTOR_IS', [2, 1, 1, 1]), ('CONSTANT_IS', [1, 2, 1, 1]), ('DEFAULT_IS', [1, 1, 2, 1]),
    ('CLOSURE_IS', [1, 1, 1, 2])))
def test_new_values(shop, name, word, expected):
    shop.add(name, re.sub(r'\w+_IS', '1', VALUES), [1, 1, 1, 1])
    with shop.steady(name):
        shop.save(handler(name), re.sub(r'\w+_IS', '1', VALUES.replace(word, '2')))
        shop.becomes(name, expected)


def test_action_alias(shop, name):
    text = 'def _impl(request):\n    return {"value": 1}\n\n\nread = _impl\n'
    shop.add(name, text, 1)
    with shop.steady(name):
        shop.save(handler(name), text.replace('1', '2'))
        shop.becomes(name, 2)


# The graph


@six_saves
def test_chain_of_imports(shop, name, save):
    tax = 'RATE = 1\n\n\ndef rate():\n    return 1\n'
    shop.save(f'lib/{name}_tax.py', tax)
    shop.save(f'lib/{name}_mid.py', f'from shop.lib.{name}_tax import rate, RATE\n')
    shop.add(name, reads('[RATE, rate()]', f'from shop.lib.{name}_mid import rate, RATE'), [1, 1])
    with shop.steady(name) as poller:
        shop.save(f'lib/{name}_tax.py', tax.replace('1', '2'), save)
        shop.becomes(name, [2, 2])
    assert all(value in ([1, 1], [2, 2]) for value in poller.values)


FORMS = {
    'module_here': ('from . import _near', '_near.VALUE', 'api/v0/NAME/_near.py'),
    'name_here': ('from ._near import VALUE', 'VALUE', 'api/v0/NAME/_near.py'),
    'alias_here': ('from . import _near as other', 'other.VALUE', 'api/v0/NAME/_near.py'),
    'star': ('from ._near import *', 'VALUE', 'api/v0/NAME/_near.py'),
    'deeper': ('from ._more.near import VALUE', 'VALUE', 'api/v0/NAME/_more/near.py'),
    'module_above': ('from .. import _NAME_up', '_NAME_up.VALUE', 'api/v0/_NAME_up.py'),
    'name_above': ('from .._NAME_up import VALUE as other', 'other', 'api/v0/_NAME_up.py'),
    'module_at_top': ('from ....lib import NAME', 'NAME.VALUE', 'lib/NAME.py'),
    'name_at_top': ('from ....lib.NAME import VALUE', 'VALUE', 'lib/NAME.py'),
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('module', ('target', '__init__'))
def test_relative_imports(shop, name, form, module):
    statement, expression, path = (text.replace('NAME', name) for text in FORMS[form])
    shop.save(path, 'VALUE = 1\n')
    target = name if module == '__init__' else f'{name}/{module}'
    shop.save(f'api/v0/{name}/{module}.py', reads(expression, statement))
    shop.becomes(target, 1)
    with shop.steady(target):
        shop.save(path, 'VALUE = 2\n')
        shop.becomes(target, 2)


@pytest.mark.parametrize('is_called', (True, False), ids=('called', 'not_called'))
def test_lazy_import(shop, name, is_called):
    text = (
        f'def read(request):\n    from shop.lib.{name} import VALUE\n    return {{"value": VALUE}}\n\n\n'
        'def create(request):\n    pass\n')
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.save(handler(name), text)
    shop.becomes(name, None, 'create')
    if is_called:
        assert shop.answer(name) == 1
    since = shop.settle()
    shop.save(f'lib/{name}.py', 'VALUE = 2\n')
    shop.becomes(name, 2)
    shop.settle()
    assert len(shop.reloads(since)) <= 1


def test_fallback_import(shop, name):
    shop.save(f'lib/{name}_slow.py', 'def f():\n    return 1\n')
    shop.add(name, reads('f()', 'try:', f'    from shop.lib.{name}_fast import f', 'except ImportError:',
                         f'    from shop.lib.{name}_slow import f'), 1)
    with shop.steady(name, (2,)):
        shop.save(f'lib/{name}_fast.py', 'def f():\n    return 2\n')
        shop.becomes(name, 2)
        (shop.folder / f'lib/{name}_fast.py').unlink()
        shop.becomes(name, 1)


def test_fast_one_fails(shop, name):
    shop.save(f'lib/{name}_slow.py', 'def f():\n    return 1\n')
    shop.save(f'lib/{name}_fast.py', 'def f():\n    return 2\n')
    shop.add(name, reads('f()', 'try:', f'    from shop.lib.{name}_fast import f', 'except ImportError:',
                         f'    from shop.lib.{name}_slow import f'), 2)
    with shop.steady(name):
        shop.save(f'lib/{name}_fast.py', 'raise ImportError("not on this machine")\n')
        shop.becomes(name, 1)


def test_type_checking(shop, name):
    before = ('from typing import TYPE_CHECKING', 'if TYPE_CHECKING:', f'    from shop.lib.{name} import Nothing',
              f'    import shop.lib.{name}_absent')
    shop.save(f'lib/{name}.py', 'raise ValueError("only for type checkers")\n')
    shop.add(name, reads(1, *before), 1)
    with shop.steady(name, (1, 2)):
        shop.save(f'lib/{name}.py', 'this is no Python\n')
        shop.save(handler(name), reads(2, *before))
        shop.becomes(name, 2)


def test_broken_for_others(shop, name):
    before = ('from typing import TYPE_CHECKING', 'if TYPE_CHECKING:', f'    from shop.lib.{name} import VALUE')
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.add(f'{name}_user', reads('VALUE', f'from shop.lib.{name} import VALUE'), 1)
    shop.add(name, reads(1, *before), 1)
    with shop.steady(name):
        for path, text in ((f'lib/{name}.py', 'this is no Python\n'), (handler(name), reads(2, *before))):
            shop.save(path, text)
        shop.becomes(name, 2)
    assert shop.answer(f'{name}_user') == 1


def test_top_package(shop, name):
    shop.save(f'lib/{name}.py', 'RATE = 7\n')
    shop.save('__init__.py', f'{name} = 1\n')
    shop.add(name, reads(f'[shop.{name}, {name}, shop.lib.{name}.RATE]', 'import shop', f'import shop.lib.{name}',
                         f'from shop import {name}'), [1, 1, 7])
    with shop.steady(name):
        shop.save('__init__.py', f'{name} = 2\n')
        shop.becomes(name, [2, 2, 7])


def test_package_constant(shop):
    shop.save('api/v22/__init__.py', 'LIMIT = 1\n')
    shop.save('api/v22/one.py', reads('LIMIT', 'from . import LIMIT'))
    shop.save('api/v22/two.py', reads('LIMIT', 'from . import LIMIT'))
    for target in ('one', 'two'):
        shop.becomes(target, 1, version='v22')
    since = shop.settle()
    shop.save('api/v22/__init__.py', 'LIMIT = 2\n')
    for target in ('one', 'two'):
        shop.becomes(target, 2, version='v22')
    shop.settle()
    assert len(shop.reloads(since)) == 1


def test_many_importers(tmp_path):
    handlers = {handler(f'h{number}'): reads('VALUE', 'from shop.lib.tax import VALUE') for number in range(300)}
    with shop_with(tmp_path, {'lib/tax.py': 'VALUE = 1\n', **handlers}) as shop:
        assert shop.answer('h299') == 1
        with shop.steady('h150'):
            shop.save('lib/tax.py', 'VALUE = 2\n')
            shop.becomes('h299', 2)
            assert all(shop.answer(f'h{number}') == 2 for number in range(300))


def test_helper_nobody_imports(shop, name):
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.save(handler(name), reads('[id(globals()), next(COUNTER)]', 'import itertools', 'COUNTER = itertools.count()'))
    shop.wait_for(lambda: shop.answer(name) != 'status 404', name)
    identity, number = shop.answer(name)
    with shop.steady(name, (0,)) as poller:
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
    assert poller.values == [[identity, number + 1 + index] for index in range(len(poller.values))]


# State


def test_state_goes_on(shop, name):
    shop.save(f'lib/{name}_state.py', 'import itertools\nCOUNTER = itertools.count()\n')
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    text = reads('[VALUE, next(COUNTER)]', f'from shop.lib.{name}_state import COUNTER',
                 f'from shop.lib.{name} import VALUE')
    shop.save(handler(name), text)
    shop.wait_for(lambda: shop.answer(name) != 'status 404', name)
    _, number = shop.answer(name)
    with shop.steady(name, (2,)) as poller:
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
        shop.wait_for(lambda: poller.values[-1:] and poller.values[-1][0] == 2, 'the new value')
        shop.save(handler(name), text.replace('[VALUE', '[VALUE + 1'))
        shop.wait_for(lambda: poller.values[-1][0] == 3, 'the new handler')
    assert [value for _, value in poller.values] == [number + 1 + index for index in range(len(poller.values))]


# In flight


def test_running_handler(shop, name):
    gate = shop.folder.parent / name
    text = f"""
from pathlib import Path
from time import sleep

from shop.lib import {name} as helper
from shop.lib.{name} import look

CODE = 1


def create(request):
    first = [CODE, helper.VALUE, look()]
    print('begun {name}')
    while not Path({str(gate)!r}).exists():
        sleep(0.01)
    return {{'value': [first, [CODE, helper.VALUE, look()]]}}


def read(request):
    return {{'value': [CODE, helper.VALUE, look()]}}
"""
    helper = 'VALUE = 1\n\n\ndef look():\n    return VALUE\n'
    shop.save(f'lib/{name}.py', helper)
    shop.add(name, text, [1, 1, 1])
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(shop.answer(name, 'create')))
    with shop.steady(name, (2,)):
        since = len(shop.server.lines)
        thread.start()
        shop.server.wait_for_line(f'begun {name}', since)
        shop.save(f'lib/{name}.py', helper.replace('1', '2'))
        shop.becomes(name, [1, 2, 2])
        shop.save(handler(name), text.replace('CODE = 1', 'CODE = 2'))
        shop.becomes(name, [2, 2, 2])
        assert thread.is_alive()
        gate.touch()
        thread.join()
    assert answers == [[[1, 1, 1], [1, 1, 1]]]
    assert shop.answer(name, 'create') == [[2, 2, 2], [2, 2, 2]]


def test_streamed_answer(shop, name):
    gate = shop.folder.parent / name
    text = reads(0) + f"""

from pathlib import Path
from time import sleep

from apiphant.server import raw_response


@raw_response
def create(request, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    for number in range(6):
        while number and not Path({str(gate)!r} + str(number)).exists():
            sleep(0.01)
        yield b'%d of code {{code}}\\n' % number
"""
    shop.add(name, text.replace('{code}', '0'), 0)
    connection = http.client.HTTPConnection(shop.server.host, shop.server.port, timeout=20)
    with shop.steady(name, (5,)):
        connection.request('POST', f'/api/v0/{name}/create')
        response = connection.getresponse()
        lines = [response.readline()]
        for number in range(1, 6):
            shop.save(handler(name), text.replace('{code}', str(number)).replace('"value": 0', f'"value": {number}'))
            shop.becomes(name, number)
            Path(f'{gate}{number}').touch()
            lines.append(response.readline())
        assert response.read() == b''
    connection.close()
    assert lines == [b'%d of code 0\n' % number for number in range(6)]


def test_kept_alive_connection(shop, name):
    shop.add(name, reads(0), 0)
    connection = http.client.HTTPConnection(shop.server.host, shop.server.port, timeout=20)
    connection.connect()
    socket = connection.sock
    values = []
    with shop.steady(name, (10,)):
        for value in range(1, 11):
            shop.save(handler(name), reads(value))
            for _ in range(10):
                connection.request('POST', f'/api/v0/{name}/read')
                values.append(json.load(connection.getresponse())['value'])
                assert connection.sock is socket
            shop.becomes(name, value)
    connection.close()
    assert len(values) == 100 and values == sorted(values)


def test_slow_import(shop, name):
    shop.add(name, reads(1), 1)
    with shop.steady(name) as poller:
        since = len(shop.server.lines)
        shop.save(handler(name), reads(2, 'import time', f'print("importing {name}")', 'time.sleep(1)'))
        shop.server.wait_for_line(f'importing {name}', since)
        assert [shop.answer(name) for _ in range(5)] == [1] * 5
        poller.polls()
        assert poller.values[-1] == 1
        shop.becomes(name, 2)


def test_lazy_import_meanwhile(shop, name):
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.add(name, f'def read(request):\n    from shop.lib.{name} import VALUE\n    return {{"value": VALUE}}\n', 1)
    with shop.steady(name):
        since = len(shop.server.lines)
        shop.save(f'lib/{name}.py', f'import time\nprint("importing {name}")\ntime.sleep(1)\nVALUE = 2\n')
        shop.server.wait_for_line(f'importing {name}', since)
        assert [shop.answer(name) for _ in range(5)] == [1] * 5
        shop.becomes(name, 2)


def test_three_files(shop, name):
    files = [shop.folder / f'lib/{name}_{letter}.py' for letter in 'abc']
    ready = [shop.folder.parent / file.name for file in files]

    def replace_all(value: int) -> float:
        for file in ready:
            file.write_text(f'VALUE = {value}\n')
        started = time.monotonic()
        for new, file in zip(ready, files, strict=True):
            os.replace(new, file)
        return time.monotonic() - started

    (shop.folder / 'lib').mkdir(exist_ok=True)
    replace_all(0)
    shop.add(name, reads('[a, b, c]', *(f'from shop.lib.{name}_{letter} import VALUE as {letter}' for letter in 'abc')),
             [0, 0, 0])
    for value in itertools.count(1):
        since = shop.fence()
        with shop.steady(name, range(1, 4)) as poller:
            took = replace_all(value)
            shop.server.wait_for_line(rf'Reloaded .*{name}', since)
            answer = shop.answer(name)
            shop.becomes(name, [value] * 3)
        if took < 0.003:
            break
    assert answer == [value] * 3
    assert all(answer in ([value - 1] * 3, [value] * 3) for answer in poller.values)


# Broken saves


@six_saves
def test_syntax_error(shop, name, save):
    shop.add(name, reads(1), 1)
    with shop.steady(name) as poller:
        since = len(shop.server.lines)
        shop.save(handler(name), reads('2 +* 2'), save)
        shop.server.wait_for_line(rf'Broken: {handler(name)}', since)
        poller.polls()
        shop.settle()
        assert set(poller.values) == {1}
        assert len(shop.logged(f'Broken: .*{name}', since)) == 1
        assert shop.logged(rf'{name}\.py", line 4$', since)
        assert shop.logged(r'^ *return .*2 \+\* 2', since)
        assert shop.logged(r'^ *\^+$', since)
        shop.save(handler(name), reads(3), save)
        shop.becomes(name, 3)


def test_half_imported(shop, name):
    shop.save(f'lib/{name}.py', 'A = 1\nB = 1\n')
    shop.add(name, reads(f'[{name}.A, {name}.B, A]', f'from shop.lib import {name}', f'from shop.lib.{name} import A'),
             [1, 1, 1])
    with shop.steady(name) as poller:
        since = len(shop.server.lines)
        shop.save(f'lib/{name}.py', 'A = 2\nraise ValueError("half way")\nB = 2\n')
        shop.server.wait_for_line('ValueError: half way', since)
        poller.polls()
        assert shop.answer(name) == [1, 1, 1]
        shop.save(f'lib/{name}.py', 'A = 3\nB = 3\n')
        shop.becomes(name, [3, 3, 3])


ERRORS = {
    'NameError': 'undefined_name',
    'ImportError': 'import no_such_module',
    'SystemExit': 'raise SystemExit(3)',
    'KeyboardInterrupt': 'raise KeyboardInterrupt',
    'GreenletExit': 'import gevent; raise gevent.GreenletExit',
    'RecursionError': 'def again(): again()\nagain()',
}


@pytest.mark.parametrize('error', ERRORS)
def test_error_at_import(shop, name, error):
    shop.add(name, reads(1), 1)
    with shop.steady(name) as poller:
        since = len(shop.server.lines)
        shop.save(handler(name), reads(2, ERRORS[error]))
        shop.server.wait_for_line(rf'Broken: {handler(name)}', since)
        poller.polls()
        assert shop.answer(name) == 1
        shop.save(handler(name), reads(3))
        shop.becomes(name, 3)


def test_one_stays_broken(shop, name):
    shop.add(f'{name}_old', reads(1), 1)
    shop.add(name, reads(1), 1)
    shop.save(handler(f'{name}_old'), reads(2, 'undefined_name'))
    shop.save(handler(f'{name}_new'), reads(2, 'undefined_name'))
    with shop.steady(name):
        shop.save(handler(name), reads(2))
        shop.becomes(name, 2)
    assert shop.answer(f'{name}_old') == 1
    assert shop.answer(f'{name}_new') in ('status 503', 'status 404')
    for target in (f'{name}_old', f'{name}_new'):
        shop.add(target, reads(3), 3)


def test_missing_module_appears(shop, name):
    since = shop.fence()
    shop.save(handler(name), reads('VALUE', f'from shop.lib.{name} import VALUE'))
    shop.server.wait_for_line(f'Broken: {handler(name)}', since)
    assert shop.answer(name) in ('status 503', 'status 404')
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.becomes(name, 1)


def test_all_broken_at_start(tmp_path):
    broken = {'__init__.py': 'this is no Python\n', handler('echo'): 'def read(:\n',
              'api/__init__.py': 'undefined_name\n', 'api/v0/__init__.py': '1 / 0\n'}
    with shop_with(tmp_path, {**broken, handler('pid'): 'def read(:\n'}) as shop:
        assert shop.answer('echo') in ('status 503', 'status 404')
        for package in ('', 'api/', 'api/v0/'):
            shop.save(f'{package}__init__.py', '')
        shop.save(handler('echo'), reads(1))
        shop.becomes('echo', 1)
        assert shop.answer('pid') == 'status 503'
        assert shop.server.process.poll() is None


def save_in_two(shop, target, first, rest, pause):
    """Another file is saved between the two, so that the first is looked at."""
    with open(shop.folder / handler(target), 'w') as file:
        file.write(first)
        file.flush()
        shop.save(FENCE, reads(f'"{target}"'))
        time.sleep(pause)
        file.write(rest)


def test_valid_half(shop, name):
    before = 'CONSTANT = 2\n\n'
    shop.add(name, reads(1, before), 1)
    with shop.steady(name):
        save_in_two(shop, name, before, reads(2), 0.02)
        shop.becomes(name, 2)


def test_empty_for_a_while(shop, name):
    shop.add(name, reads(1), 1)
    with shop.steady(name):
        save_in_two(shop, name, '', reads(2), 0.03)
        shop.becomes(name, 2)


def test_merge_conflict(shop, name):
    shop.add(name, reads(1), 1)
    with shop.steady(name) as poller:
        since = len(shop.server.lines)
        shop.save(handler(name), f'<<<<<<< HEAD\n{reads(2)}=======\n{reads(3)}>>>>>>> theirs\n', in_place)
        shop.server.wait_for_line(f'Broken: {handler(name)}', since)
        poller.polls()
        assert shop.answer(name) == 1
        shop.save(handler(name), reads(3), in_place)
        shop.becomes(name, 3)


TEXT = 'def read(request):\n    return {"value": "é2"}\n'
ENCODED = {
    'latin_1': (TEXT.encode('latin-1'), None),
    'nul': (TEXT.encode() + b'\0\n', None),
    'utf_16': (TEXT.encode('utf-16'), None),
    'unknown_cookie': (b'# coding: no-such\n' + TEXT.encode(), None),
    'bom': (TEXT.encode('utf-8-sig'), 'é2'),
    'crlf': (TEXT.replace('\n', '\r\n').encode(), 'é2'),
    'form_feed': (b'\f\n' + TEXT.encode(), 'é2'),
    'latin_1_cookie': (b'# -*- coding: latin-1 -*-\n' + TEXT.encode('latin-1'), 'é2'),
}


@pytest.mark.parametrize('encoding', ENCODED)
def test_encodings(shop, name, encoding):
    content, value = ENCODED[encoding]
    shop.add(name, reads('"é1"'), 'é1')
    with shop.steady(name) as poller:
        since = len(shop.server.lines)
        (shop.folder / handler(name)).write_bytes(content)
        if value:
            shop.becomes(name, value)
        else:
            shop.server.wait_for_line(f'Broken: {handler(name)}', since)
            poller.polls()
            assert shop.answer(name) == 'é1'
            shop.save(handler(name), reads(3))
            shop.becomes(name, 3)


def frames(lines: list[str]) -> list[str]:
    return [Path(found[1]).name for line in lines if (found := re.match(r' *File "(.*)", line \d+', line))]


def test_only_user_frames(shop, name):
    shop.save(f'lib/{name}.py', 'def fail():\n    raise ValueError("handled here")\n')
    shop.add(name, reads(1, f'from shop.lib.{name} import fail') + '\n\ndef create(request):\n    fail()\n', 1)
    since = shop.fence()
    assert shop.answer(name, 'create') == 'status 500'
    shop.server.wait_for_line('ValueError: handled here', since)
    assert frames(shop.server.lines[since:]) == [f'{name}.py'] * 2
    since = shop.fence()
    shop.save(f'lib/{name}.py', 'raise ValueError("at import")\n')
    shop.server.wait_for_line('ValueError: at import', since)
    shop.save(handler(f'{name}_new'), f'import shop.lib.{name}\n')
    shop.settle()
    assert set(frames(shop.server.lines[since:])) == {f'{name}.py'}
    assert len(shop.logged('ValueError: at import', since)) == 1


# The tree


@six_saves
@pytest.mark.parametrize('place', ('', '/deep/er'), ids=('beside', 'nested'))
def test_new_target(shop, name, save, place):
    target = f'{name}{place}'
    with shop.steady(target, allowed=(200, 404)):
        shop.save(handler(target), reads(1), save)
        shop.becomes(target, 1)


def test_target_deleted(shop, name):
    shop.add(name, reads(1), 1)
    with shop.steady(name, allowed=(200, 404)) as poller:
        (shop.folder / handler(name)).unlink()
        shop.becomes(name, 'status 404')
        poller.polls()
        assert poller.values[-1] == 1
    assert shop.answer(name) == 'status 404'


def test_written_anew(shop, name):
    shop.add(name, reads(1), 1)
    with shop.steady(name, (1, 2), allowed=(200, 404)):
        (shop.folder / handler(name)).unlink()
        time.sleep(0.005)
        shop.save(handler(name), reads(2))
        shop.becomes(name, 2)
    assert shop.answer(name) == 2


def test_folder_renamed(shop, name):
    shop.add(f'{name}_a/one', reads(1), 1)
    with shop.steady('pid', (1, 2, 3)):
        os.rename(shop.folder / f'api/v0/{name}_a', shop.folder / f'api/v0/{name}_b')
        shop.becomes(f'{name}_b/one', 1)
        shop.becomes(f'{name}_a/one', 'status 404')
        shop.save(handler(f'{name}_b/one'), reads(2))
        shop.becomes(f'{name}_b/one', 2)


def test_folder_moved_in(shop, name):
    outside = shop.folder.parent / name
    outside.mkdir()
    for number in range(20):
        (outside / f'h{number}.py').write_text(reads(number))
    with shop.steady('pid', (2, 3)):
        os.rename(outside, shop.folder / f'api/v0/{name}')
        for number in range(20):
            shop.becomes(f'{name}/h{number}', number)
        shop.save(handler(f'{name}/h7'), reads(70))
        shop.becomes(f'{name}/h7', 70)


def test_module_to_package(shop, name):
    module, package = (shop.folder / f'lib/{name}{suffix}' for suffix in ('.py', ''))
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.add(name, reads('VALUE', f'from shop.lib.{name} import VALUE'), 1)
    with shop.steady(name, range(1, 5)) as poller:
        module.unlink()
        shop.save(f'lib/{name}/__init__.py', 'from .rates import VALUE\n')
        shop.save(f'lib/{name}/rates.py', 'VALUE = 2\n')
        shop.becomes(name, 2)
        shop.settle()
        shop.save(f'lib/{name}/rates.py', 'VALUE = 3\n')
        shop.becomes(name, 3)
        shutil.rmtree(package)
        shop.save(f'lib/{name}.py', 'VALUE = 4\n')
        shop.becomes(name, 4)
    assert poller.values == sorted(poller.values)
    assert shop.answer(name) == 4


def test_helper_deleted(shop, name):
    path = shop.folder / f'lib/{name}.py'
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.add(name, reads(f'[VALUE, {name}.VALUE]', f'from shop.lib.{name} import VALUE',
                         f'from shop.lib import {name}'), [1, 1])
    with shop.steady(name, (1, 2)) as poller:
        since = len(shop.server.lines)
        path.unlink()
        shop.server.wait_for_line(rf'(ModuleNotFoundError|ImportError): .*{name}', since)
        poller.polls()
        assert shop.answer(name) == [1, 1]
        shop.save(f'lib/{name}.py', 'VALUE = 1\n')
        shop.server.wait_for_line(f'Mended: {handler(name)}', since)
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
        shop.becomes(name, [2, 2])


def test_version_copied(tmp_path):
    handlers = {handler(f'h{number}'): reads(number, 'from . import LIMIT',
                                             'from .h0 import read as other' if number else '') for number in range(40)}
    with shop_with(tmp_path, {'api/v0/__init__.py': 'LIMIT = 1\n', **handlers}) as shop, shop.steady('h1', (1, 2)):
        subprocess.run(['cp', '-r', shop.folder / 'api/v0', shop.folder / 'api/v1'], check=True)
        for number in range(40):
            shop.becomes(f'h{number}', number, version='v1')


def git(folder: Path, *words: str) -> None:
    subprocess.run(['git', '-c', 'user.name=test', '-c', 'user.email=test@localhost', *words], cwd=folder, check=True,
                   capture_output=True)


def test_checkout(tmp_path):
    names = [f'h{number}' for number in range(200)]
    files = {handler(name): reads('VALUE', 'from . import VALUE') for name in names}
    with shop_with(tmp_path, files | {'api/v0/__init__.py': 'VALUE = 0\n'}) as shop:
        shop.becomes('h199', 0)
        since = shop.settle()
        git(shop.folder, 'init')
        git(shop.folder, 'add', '.')
        git(shop.folder, 'commit', '-m', 'one')
        shop.settle()
        assert shop.reloads(since) == []
        for name in names:
            shop.save(handler(name), reads('VALUE + 1', 'from . import VALUE'))
        for name in names:
            shop.becomes(name, 1)
        git(shop.folder, 'commit', '-a', '-m', 'two')
        for commit, value in (('HEAD~1', 0), ('master', 1)):
            with shop.steady('pid', (1, 2, 3)):
                git(shop.folder, 'checkout', commit)
                for name in names:
                    shop.becomes(name, value)


LITTER = ('.echo.py.swp', 'echo.py~', '#echo.py#', '.#echo.py', '4913', 'echo.py___jb_tmp___', '.goutputstream-X',
          'echo.py.orig', '._echo.py')


def test_editor_litter(shop, name):
    shop.add(f'{name}/echo', reads(1), 1)
    with shop.steady(f'{name}/echo', (0,)):
        since = len(shop.server.lines)
        for litter in LITTER:
            (shop.folder / f'api/v0/{name}' / litter).write_text(reads(2))
        shop.settle()
        for litter in LITTER:
            assert shop.answer(f'{name}/{litter.removesuffix(".py")}'.replace('#', '%23')) == 'status 404'
            (shop.folder / f'api/v0/{name}' / litter).unlink()
        (shop.folder / f'api/v0/{name}/.#other.py').symlink_to('somebody@host.1')  # emacs' lock
        shop.settle()
        assert shop.logged(NOT_A_CALL, since) == shop.logged(r'Reloaded .*a_fence', since)


def test_compiled_files(shop, name):
    shop.add(f'{name}/echo', reads(1), 1)
    folder = shop.folder / f'api/v0/{name}'
    (folder / '__pycache__').mkdir(exist_ok=True)
    with shop.steady(f'{name}/echo', (0,)):
        since = len(shop.server.lines)
        for path in ('__pycache__/echo.cpython-311.pyc', '__pycache__/other.py', 'other.pyc', 'echo.pyc'):
            (folder / path).write_bytes(b'nothing that could be loaded')
        shop.settle()
        assert shop.answer(f'{name}/other') == 'status 404'
        assert shop.answer(f'{name}/__pycache__/other') == 'status 404'
        shutil.rmtree(folder / '__pycache__')
        shop.settle()
        assert shop.logged(NOT_A_CALL, since) == shop.logged(r'Reloaded .*a_fence', since)


def test_handler_writes(shop, name):
    create = f'''

def create(request):
    Path(__file__).with_name('_{name}.py').write_text(f'VALUE = {{request.number}}\\n')
'''
    shop.save(f'api/v0/_{name}.py', 'VALUE = 0\n')
    shop.add(name, reads('VALUE', 'from pathlib import Path', f'from ._{name} import VALUE') + create, 0)
    with shop.steady(name, (3,)):
        for number in range(1, 4):
            assert shop.server.post(f'/api/v0/{name}/create', {'number': number})[0] == 200
            shop.becomes(name, number)


def test_handler_writes_data(shop, name):
    text = reads('path.write_text("some data")', 'from pathlib import Path',
                 f'path = Path(__file__).with_name("{name}.json")')
    shop.save(handler(name), text)
    shop.becomes(name, 9)
    with shop.steady(name, (0,)) as poller:
        poller.polls(20)


def test_file_is_read(shop, name):
    shop.save(handler(name), reads('Path(__file__).read_text()[:5]', 'from pathlib import Path'))
    shop.wait_for(lambda: shop.answer(name) not in ('status 404', 'status 503'), name)
    with shop.steady(name, (0,)) as poller:
        poller.polls(20)
