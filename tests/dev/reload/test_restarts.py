"""Changes that take a new app process, and how it ends: a real `apiphant dev`."""
from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import apiphant
from tests.kit.cpu import is_quick
from tests.kit.processes import children, is_running
from tests.kit.running import clean_environment, wait_for
from tests.kit.saves import in_place, outside
from tests.kit.shop import Poller, Shop, handler, reads, shop_with

pytestmark = pytest.mark.once

CODE = Path(apiphant.__file__).parent
ENV = ('from pathlib import Path', 'ENV = Path(__file__).parents[2] / ".env"',
       'OUTER = Path(__file__).parents[3] / ".env"')
RESTART = re.compile('^Restart(ing: |ed in )|^The new app process|^Not restarted')
SUFFIX = sysconfig.get_config_var('EXT_SUFFIX')


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for tests that do not say that they need their own; its app process is replaced by some."""
    files = {'.env': 'A=1\n', '../.env': 'B=1\n', handler('env'): reads('[ENV.read_text(), OUTER.read_text()]', *ENV)}
    with shop_with(tmp_path_factory.mktemp('rest'), files) as shared:
        yield shared


def wait_for_rest(shop: Shop) -> None:
    """Until what earlier tests had restarted has been: one restart may be due behind another."""
    while (asked := [line for line in shop.server.lines if RESTART.search(line)]) and 'Restarting' in asked[-1]:
        shop.wait_for(lambda asked=asked: [line for line in shop.server.lines if RESTART.search(line)] != asked,
                      'the restart')
    before = set()
    while before != (before := children(shop.server.process.pid)):
        time.sleep(1)


@contextmanager
def restarted(shop: Shop, reason: str) -> Iterator[Poller]:
    """In this block the app process is replaced once, for this reason, and nobody notices."""
    wait_for_rest(shop)
    pid, since = shop.answer('pid'), shop.settle()
    with Poller(shop.server, '/api/v0/pid/read', (200,)) as poller:
        poller.polls()
        yield poller
        shop.server.wait_for_line(f'Restarting: {reason}', since)
        shop.wait_for(lambda: not is_running(pid), 'the app before to leave')
        poller.polls()
    assert poller.failures == [], shop.told(since)
    assert len(set(poller.values)) == 2 and poller.values[0] == pid != poller.values[-1], shop.told(0)
    assert len(shop.logged('Restarting: ', since)) == 1, shop.server.lines[since:]


@pytest.mark.parametrize(('place', 'text', 'number'), (('.env', 'A=2\n', 0), ('../.env', 'B=2\n', 1)),
                         ids=('inside', 'beside'))
def test_env(shop, place, text, number):
    with restarted(shop, r'(\S*/)?\.env changed$'):
        shop.save(place, text, in_place)
        shop.wait_for(lambda: shop.answer('env')[number] == text, 'the new .env')


@pytest.mark.parametrize('place', ('.env', '../.env'), ids=('inside', 'beside'))
def test_env_unchanged(shop, place):
    path = shop.folder / place
    pid, since = shop.answer('pid'), shop.settle()
    shop.save(place, path.read_text(), in_place)
    path.touch()
    shop.settle()
    assert shop.answer('pid') == pid, shop.told(0)
    assert shop.logged('Restarting', since) == []


def test_restarts_one_after_the_other(tmp_path, name):
    """Each takes 0.3 s or longer, so that one is asked for before, while and after another is done."""
    reading = reads('ENV', 'from pathlib import Path', 'ENV = (Path(__file__).parents[2] / ".env").read_text()')
    with shop_with(tmp_path, {'.env': 'A=1\n', handler(name): reading}) as shop:
        path = shop.folder / '.env'
        with Poller(shop.server, '/api/v0/pid/read', (200,)) as poller:
            for number, pause in enumerate((0, 0.05, 0.15, 0.3, 0.6)):
                time.sleep(pause)
                path.write_text(f'A={name}{number}\n')
            shop.becomes(name, f'A={name}4\n')
            shop.wait_for(lambda: shop.answer('pid') in children(shop.server.process.pid), 'it to serve')
            shop.wait_for(lambda: len(children(shop.server.process.pid)) == 2, 'one app process, and its standby')
            poller.polls()
        assert poller.failures == []


def test_request_under_way(shop, name):
    gate = shop.folder.parent / name
    text = f"""
import os
from pathlib import Path
from time import sleep


def read(request):
    print('begun {name}')
    while not Path({str(gate)!r}).exists():
        sleep(0.01)
    return {{'value': os.getpid()}}


def create(request):
    return {{'value': 1}}
"""
    shop.save(handler(name), text)
    shop.becomes(name, 1, 'create')
    pid, since, answers = shop.answer('pid'), len(shop.server.lines), []
    thread = threading.Thread(target=lambda: answers.append(shop.answer(name)))
    thread.start()
    try:
        shop.server.wait_for_line(f'begun {name}', since)
        (shop.folder / '.env').write_text(f'A={name}\n')
        shop.server.wait_for_line('Restarting: ', since)
        shop.wait_for(lambda: shop.answer('pid') != pid, 'another app process')
    finally:
        gate.touch()
        thread.join()
    assert answers == [pid]
    shop.wait_for(lambda: not is_running(pid), 'the app before to leave')


def replace_bytes(path: Path, content: bytes) -> None:
    new = outside(path) / path.name
    new.write_bytes(content)
    os.replace(new, path)


def compiled(folder: Path, value: int) -> bytes:
    """An extension module `fast`."""
    (folder / 'fast.c').write_text(f"""
#include <Python.h>
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "fast", NULL, -1, NULL}};
PyMODINIT_FUNC PyInit_fast(void) {{
    PyObject *created = PyModule_Create(&module);
    PyModule_AddIntConstant(created, "VALUE", {value});
    return created;
}}
""")
    subprocess.run(['gcc', '-shared', '-fPIC', '-I', sysconfig.get_path('include'), '-o', folder / 'fast.so',
                    folder / 'fast.c'], check=True)
    return (folder / 'fast.so').read_bytes()


@pytest.mark.skipif(not (shutil.which('gcc') and Path(sysconfig.get_path('include'), 'Python.h').exists()),
                    reason='no C compiler')
def test_c_extension_compiled(shop, name, tmp_path):
    path = shop.folder / f'lib/{name}/fast{SUFFIX}'
    path.parent.mkdir(parents=True)
    replace_bytes(path, compiled(tmp_path, 1))
    shop.add(name, reads('VALUE', f'from shop.lib.{name}.fast import VALUE'), 1)
    second = compiled(tmp_path, 2)
    with restarted(shop, f'{re.escape(str(path.relative_to(shop.folder)))} changed$'):
        replace_bytes(path, second)
        shop.becomes(name, 2)


def test_c_extension_copied(shop, name):
    found = importlib.util.find_spec('_bisect')
    if not (found and found.origin and found.origin.endswith(SUFFIX)):
        pytest.skip('_bisect is part of this Python')
    content = Path(found.origin).read_bytes()
    path = shop.folder / f'lib/{name}/_bisect{SUFFIX}'
    path.parent.mkdir(parents=True)
    replace_bytes(path, content)
    shop.add(name, reads('bisect_right([1, 2], 1)', f'from shop.lib.{name}._bisect import bisect_right'), 1)
    with restarted(shop, f'{re.escape(str(path.relative_to(shop.folder)))} changed$'):
        replace_bytes(path, content + b'\0')
        shop.server.wait_for_line(r'Restarting: lib/.*_bisect')
    shop.becomes(name, 1)


MARKED = 'RESTART = True\nVALUE = 1\n'


def test_restart_is_asked_for(shop, name):
    shop.save(f'lib/{name}.py', MARKED)
    shop.add(name, reads('VALUE', f'from shop.lib.{name} import VALUE'), 1)
    since = shop.fence()
    with restarted(shop, rf'lib/{name}\.py changed$'):
        shop.save(f'lib/{name}.py', MARKED.replace('1', '2'))
        shop.becomes(name, 2)
    assert shop.logged(rf'Reloaded .*{name}', since) == []


def test_restart_of_an_importer(shop, name):
    """What it imports is edited, so it would have to be executed again."""
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.save(f'lib/{name}_marked.py', f'from shop.lib.{name} import VALUE\n\nRESTART = True\n')
    shop.add(name, reads('VALUE', f'from shop.lib.{name}_marked import VALUE'), 1)
    with restarted(shop, f'lib/{name}'):
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
        shop.becomes(name, 2)


def test_restart_would_be_broken(shop, name):
    shop.save(f'lib/{name}.py', MARKED)
    shop.add(name, reads('VALUE', f'from shop.lib.{name} import VALUE'), 1)
    since = shop.fence()
    with Poller(shop.server, f'/api/v0/{name}/read', (200,)) as poller:
        shop.save(f'lib/{name}.py', MARKED + 'this is no Python\n')
        shop.server.wait_for_line(r'^SyntaxError', since)
        shop.settle()
        poller.polls()
        shop.save(f'lib/{name}.py', MARKED.replace('1', '2'))
        shop.becomes(name, 2)
        poller.polls()
    assert poller.failures == []


@contextmanager
def copy_shop(folder: Path) -> Iterator[tuple[Shop, Path]]:
    """A shop that a copy of apiphant serves, and that copy."""
    copy = folder / 'lib/apiphant'
    shutil.copytree(CODE, copy, ignore=shutil.ignore_patterns('__pycache__'))
    version = reads('[apiphant.__file__, apiphant.__version__]', 'import apiphant')
    with shop_with(folder, {handler('version'): version}, env=clean_environment(PYTHONPATH=str(folder / 'lib')),
                   cwd=folder) as shop:
        assert shop.answer('version') == [str(copy / '__init__.py'), apiphant.__version__]
        yield shop, copy


def test_apiphant_is_edited(tmp_path):
    with copy_shop(tmp_path) as (shop, copy):
        text = (copy / '__init__.py').read_text()
        with restarted(shop, r'(\S*/)?apiphant/__init__\.py changed$'):
            (copy / '__init__.py').write_text(text + '__version__ = "edited"\n')
            shop.becomes('version', [str(copy / '__init__.py'), 'edited'])
        since, pid = shop.fence(), shop.answer('pid')
        with Poller(shop.server, '/api/v0/pid/read', (200,)) as poller:
            in_place(copy / '__init__.py', text + 'raise ValueError("cannot start")\n')
            shop.server.wait_for_line('ValueError: cannot start', since)
            poller.polls()
            shop.add('later', reads(1), 1)
        assert poller.failures == [] and set(poller.values) == {pid}
        with restarted(shop, r'(\S*/)?apiphant/__init__\.py changed$'):
            (copy / '__init__.py').write_text(text + '__version__ = "mended"\n')
            shop.becomes('version', [str(copy / '__init__.py'), 'mended'])


# Leaving


BUSY = {
    'importing': 'import time\nprint("busy")\ntime.sleep(600)\n',
    'importing_burning': 'print("busy")\nwhile True:\n    pass\n',
    'handling': 'import time\n\ndef read(request):\n    print("busy")\n    time.sleep(600)\n',
    'handling_burning': 'def read(request):\n    print("busy")\n    while True:\n        pass\n',
}


def ask_in_vain(server):
    try:
        server.post('/api/v0/busy/read')
    except OSError:
        pass


@pytest.mark.parametrize(('busy', 'number'),
                         [*((busy, signal.SIGINT) for busy in BUSY),
                          ('importing', signal.SIGTERM), ('handling', signal.SIGTERM)],
                         ids=[*BUSY, 'importing_terminated', 'handling_terminated'])
def test_leaves_when_busy(tmp_path, busy, number):
    """Ctrl-C reaches all processes of the terminal, SIGTERM the one that it is sent to."""
    with shop_with(tmp_path, {}, start_new_session=True) as shop:
        group = [shop.server.process.pid, *children(shop.server.process.pid)]
        shop.answer('pid')
        shop.save(handler('busy'), BUSY[busy])
        thread = threading.Thread(target=ask_in_vain, args=(shop.server,))
        if 'handling' in busy:
            shop.server.wait_for_line('Reloaded .*busy')
            thread.start()
        shop.server.wait_for_line('^busy$')
        started = time.monotonic()
        send = os.killpg if number == signal.SIGINT else os.kill
        send(shop.server.process.pid, number)
        assert shop.server.wait() in (0, 130)
        assert is_quick(time.monotonic() - started, 2)
        socket.create_server((shop.server.host, shop.server.port)).close()
        wait_for(lambda: not any(map(is_running, group)), 'all processes to leave')
        assert shop.logged('Traceback', 0) == []
        if 'handling' in busy:
            thread.join()
