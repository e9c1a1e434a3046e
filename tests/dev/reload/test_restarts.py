"""Reload of other files, by a restart, without events, under load and for long: a real `apiphant dev`. Numbers are those of RELOAD.md."""
from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import apiphant
from tests.kit.processes import children, is_running, memory_of
from tests.kit.running import clean_environment, wait_for, write_tree
from tests.kit.saves import in_place, outside
from tests.kit.shop import Poller, Shop, handler, reads, shop_with

pytestmark = pytest.mark.once

CODE = Path(apiphant.__file__).parent
ENV = ('from pathlib import Path', 'ENV = Path(__file__).parents[2] / ".env"', 'OUTER = Path(__file__).parents[3] / ".env"')
REQUESTS_MAY_WAIT = 0.5  # seconds; 0.25 on a machine that has nothing else to do
LIVE_WITHOUT_EVENTS = 2.0  # seconds
SUFFIX = sysconfig.get_config_var('EXT_SUFFIX')


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for tests that do not say that they need their own; its app process is replaced by some."""
    files = {'.env': 'A=1\n', '../.env': 'B=1\n', handler('env'): reads('[ENV.read_text(), OUTER.read_text()]', *ENV)}
    with shop_with(tmp_path_factory.mktemp('rest'), files) as shared:
        yield shared


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A target's name that no other test has."""
    return re.sub(r'\W+', '_', request.node.name).rstrip('_')


def pids_of(shop: Shop) -> list[int]:
    """The console and the app."""
    return [shop.server.process.pid, shop.answer('pid')]


def open_files(pid: int) -> list[str]:
    found = []
    for entry in Path(f'/proc/{pid}/fd').iterdir():
        try:
            found.append(os.readlink(entry))
        except OSError:  # closed meanwhile
            pass
    return found


def watches_of(pid: int) -> int:
    """Directories that a process gets events of."""
    total = 0
    for entry in Path(f'/proc/{pid}/fdinfo').iterdir():
        try:
            total += entry.read_text().count('inotify wd:')
        except OSError:
            pass
    return total


def cpu_of(pid: int) -> float:
    """Seconds, finer than ticks."""
    return sum(int(path.read_text().split()[0]) for path in Path(f'/proc/{pid}/task').glob('*/schedstat')) / 1e9


def is_live_in_time(shop: Shop, target: str, value: int) -> None:
    """An edit, at most 2 s before it is live."""
    started = time.monotonic()
    shop.save(handler(target), reads(value))
    shop.becomes(target, value)
    assert time.monotonic() - started < LIVE_WITHOUT_EVENTS


# Load


def test_23_no_request_waits(tmp_path):
    handlers = {handler(f'h{number}'): reads('VALUE', 'from shop.lib.tax import VALUE') for number in range(300)}
    with shop_with(tmp_path, {'lib/tax.py': 'VALUE = 1\n', **handlers}) as shop:
        shop.becomes('h299', 1)
        with shop.steady('h150') as poller:
            started = time.monotonic()
            shop.save('lib/tax.py', 'VALUE = 2\n')
            shop.becomes('h299', 2)
            assert time.monotonic() - started < 1
            poller.polls()
    assert max(poller.waits) < REQUESTS_MAY_WAIT


def slowest(pollers: list[Poller], begun: list[int]) -> float:
    """The 99th percentile of the polls after the first so many."""
    waits = sorted(wait for poller, first in zip(pollers, begun, strict=True) for wait in poller.waits[first:])
    return waits[int(len(waits) * 0.99)]


def test_49_saves_under_load(shop, name):
    shop.add(name, reads(0), 0)
    pid = shop.answer('pid')
    pollers = [Poller(shop.server, f'/api/v0/{name}/read', (200,)) for _ in range(50)]
    with ExitStack() as stack:
        for poller in pollers:
            stack.enter_context(poller)
        pollers[0].polls(50)
        before, begun = slowest(pollers, [0] * 50), [len(poller.waits) for poller in pollers]
        for value in range(1, 7):
            shop.save(handler(name), reads(value))
            shop.becomes(name, value)
            pollers[value].polls(15)
        during = slowest(pollers, begun)
    assert [failure for poller in pollers for failure in poller.failures] == []
    assert shop.answer('pid') == pid
    assert all(poller.values == sorted(poller.values) for poller in pollers)
    assert during < 3 * before + 0.05, (before, during)


BURNS = 'import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end:\n    pass\n'


def test_50_burning_import_is_logged(shop, name):
    shop.add(name, reads(1), 1)
    with shop.steady(name):
        since = len(shop.server.lines)
        shop.save(handler(name), reads(2, BURNS.format(seconds=0.6)))
        shop.becomes(name, 2)
        shop.server.wait_for_line(rf'WARNING .*{handler(name)}.*held all calls for', since)
    assert len(shop.logged('held all calls for', since)) == 1


@pytest.mark.parametrize('code', (BURNS.format(seconds=0.02), 'import time\ntime.sleep(0.6)\n'), ids=('short', 'yielding'))
def test_50_harmless_import_is_not_logged(shop, name, code):
    shop.add(name, reads(1), 1)
    with shop.steady(name):
        since = len(shop.server.lines)
        shop.save(handler(name), reads(2, code))
        shop.becomes(name, 2)
    assert shop.logged('held all calls for', since) == []


# Other files


DATA = 'DATA = Path(__file__).parents[PARENTS] / "NAME.json"'
READERS = {
    'open': 'VALUE = json.load(open(DATA))',
    'with_open': 'with open(DATA, "rb") as file:\n    VALUE = json.load(file)',
    'read_text': 'VALUE = json.loads(DATA.read_text())',
    'os_open': 'VALUE = json.loads(os.read(os.open(DATA, os.O_RDONLY), 100))',
    'relative': 'VALUE = json.load(open(os.path.relpath(DATA)))',
}


def reading(name, reader='open', parents=0):
    """Lines of a module that read a JSON file so many folders above it."""
    return ('import json, os', 'from pathlib import Path', DATA.replace('PARENTS', str(parents)).replace('NAME', name), READERS[reader])


@pytest.mark.parametrize('reader', READERS)
def test_87_data_read_at_import(shop, name, reader):
    shop.save(f'{name}.json', '1')
    shop.add(name, reads('VALUE', *reading(name, reader, 2)), 1)
    with shop.steady(name):
        since = len(shop.server.lines)
        shop.save(f'{name}.json', '2')
        shop.becomes(name, 2)
        shop.server.wait_for_line(rf'Reloaded 1 module in \d+ ms: {name}\.json -> {handler(name)}$', since)


def test_87_data_of_a_helper(shop, name):
    shop.save(f'lib/{name}.json', '1')
    shop.save(f'lib/{name}.py', '\n'.join(reading(name)) + '\n')
    shop.add(name, reads('VALUE', f'from shop.lib.{name} import VALUE'), 1)
    with shop.steady(name, (2,)):
        for value, save in ((2, None), (3, in_place)):
            since = len(shop.server.lines)
            shop.save(f'lib/{name}.json', str(value), *filter(None, (save,)))
            shop.becomes(name, value)
            shop.server.wait_for_line(rf'Reloaded 2 modules in \d+ ms: lib/{name}\.json -> .*lib/{name}\.py', since)


def test_87_data_unchanged(shop, name):
    shop.save(f'{name}.json', '1')
    shop.add(name, reads('VALUE', *reading(name, parents=2)), 1)
    with shop.steady(name, (0,)):
        shop.save(f'{name}.json', '1')
        (shop.folder / f'{name}.json').touch()
        shop.save(f'{name}.json', '1', in_place)


def test_87_data_broken_for_a_while(shop, name):
    shop.save(f'{name}.json', '1')
    shop.add(name, reads('VALUE', *reading(name, parents=2)), 1)
    with shop.steady(name) as poller:
        since = len(shop.server.lines)
        shop.save(f'{name}.json', 'no JSON')
        shop.server.wait_for_line(f'Broken: {handler(name)}', since)
        poller.polls()
        assert shop.answer(name) == 1
        shop.save(f'{name}.json', '2')
        shop.becomes(name, 2)


def test_87_data_appears(shop, name):
    since = shop.fence()
    shop.save(handler(name), reads('VALUE', *reading(name, parents=2)))
    shop.server.wait_for_line(f'Broken: {handler(name)}', since)
    shop.save(f'{name}.json', '1')
    shop.becomes(name, 1)


def test_87_data_deleted(shop, name):
    shop.save(f'{name}.json', '1')
    shop.add(name, reads('VALUE', 'import os', *reading(name, parents=2)[:-1], 'VALUE = int(DATA.read_text()) if os.path.exists(DATA) else 0'), 1)
    (shop.folder / f'{name}.json').unlink()
    shop.becomes(name, 0)


LISTINGS = {
    'listdir': 'os.listdir(FOLDER)', 'scandir': '[entry.name for entry in os.scandir(FOLDER)]', 'iterdir': '[path.name for path in FOLDER.iterdir()]',
    'path_glob': '[path.name for path in FOLDER.glob("*.txt")]', 'glob': '[os.path.basename(path) for path in glob.glob(f"{FOLDER}/*.txt")]',
    'walk': '[name for _, _, names in os.walk(FOLDER) for name in names]'}


@pytest.mark.parametrize('listing', LISTINGS)
def test_87_folder_listed_at_import(shop, name, listing):
    shop.save(f'{name}/one.txt', '')
    lines = ('import glob, os', 'from pathlib import Path', f'FOLDER = Path(__file__).parents[2] / "{name}"', f'NAMES = sorted({LISTINGS[listing]})')
    shop.add(name, reads('NAMES', *lines), ['one.txt'])
    with shop.steady(name, (2,)):
        shop.save(f'{name}/two.txt', '')
        shop.becomes(name, ['one.txt', 'two.txt'])
        (shop.folder / f'{name}/one.txt').unlink()
        shop.becomes(name, ['two.txt'])


DYNAMIC = {
    'import_module': 'importlib.import_module("shop.lib." + NAME)', 'relative': 'importlib.import_module("." + NAME, "shop.lib")'}


@pytest.mark.parametrize('way', DYNAMIC)
def test_26_dynamic_import(shop, name, way):
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.add(name, reads('MODULE.VALUE', 'import importlib', f'NAME = "{name}"', f'MODULE = {DYNAMIC[way]}'), 1)
    with shop.steady(name):
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
        shop.becomes(name, 2)


def test_26_dynamic_import_by_a_helper(shop, name):
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.save(f'lib/{name}_load.py', 'import importlib\n\ndef load(name):\n    return importlib.import_module("shop.lib." + name)\n')
    shop.add(name, reads('MODULE.VALUE', f'from shop.lib.{name}_load import load', f'MODULE = load("{name}")'), 1)
    with shop.steady(name):
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
        shop.becomes(name, 2)


def test_26_plugins(shop, name):
    """What is in a folder is imported: one more."""
    lines = ('import importlib, pkgutil', f'import shop.{name} as plugins',
             f'FOUND = [importlib.import_module(f"shop.{name}.{{found.name}}").VALUE for found in pkgutil.iter_modules(plugins.__path__)]')
    shop.save(f'{name}/one.py', 'VALUE = 1\n')
    shop.add(name, reads('FOUND', *lines), [1])
    with shop.steady(name, (2,)):
        shop.save(f'{name}/two.py', 'VALUE = 2\n')
        shop.becomes(name, [1, 2])
        shop.save(f'{name}/two.py', 'VALUE = 3\n')
        shop.becomes(name, [1, 3])


def test_88_data_read_by_requests(shop, name):
    shop.save(f'{name}.json', '1')
    shop.add(name, 'import json\nfrom pathlib import Path\n' + reads(f'json.loads((Path(__file__).parents[2] / "{name}.json").read_text())'), 1)
    with shop.steady(name, (0,)):
        for value in range(2, 5):
            shop.save(f'{name}.json', str(value))
            shop.becomes(name, value)


# Restarts


@contextmanager
def restarted(shop: Shop, reason: str) -> Iterator[Poller]:
    """In this block the app process is replaced once, for this reason, and nobody notices."""
    pid, since = shop.answer('pid'), shop.fence()
    with Poller(shop.server, '/api/v0/pid/read', (200,)) as poller:
        poller.polls()
        yield poller
        shop.server.wait_for_line(f'Restarting: {reason}', since)
        shop.wait_for(lambda: not is_running(pid), 'the app before to leave')
        poller.polls()
    assert poller.failures == [], shop.server.lines[since:]
    assert len(set(poller.values)) == 2 and poller.values[0] == pid != poller.values[-1], set(poller.values)
    assert len(shop.logged('Restarting: ', since)) == 1, shop.server.lines[since:]


@pytest.mark.parametrize(('place', 'text', 'number'), (('.env', 'A=2\n', 0), ('../.env', 'B=2\n', 1)), ids=('inside', 'beside'))
def test_89_env(shop, place, text, number):
    with restarted(shop, r'(\S*/)?\.env changed$'):
        shop.save(place, text, in_place)
        shop.wait_for(lambda: shop.answer('env')[number] == text, 'the new .env')


@pytest.mark.parametrize('place', ('.env', '../.env'), ids=('inside', 'beside'))
def test_89_env_unchanged(shop, place):
    path = shop.folder / place
    pid, since = shop.answer('pid'), shop.fence()
    shop.save(place, path.read_text(), in_place)
    path.touch()
    shop.settle()
    assert shop.answer('pid') == pid
    assert shop.logged('Restarting', since) == []


def test_89_restarts_one_after_the_other(shop, name):
    """Each takes some 0.3 s, or longer on a busy machine, so that one is asked for before, while and after another is done."""
    path = shop.folder / '.env'
    shop.add(name, reads('ENV', 'from pathlib import Path', 'ENV = (Path(__file__).parents[2] / ".env").read_text()'), path.read_text())
    with Poller(shop.server, '/api/v0/pid/read', (200,)) as poller:
        for number, pause in enumerate((0, 0.05, 0.15, 0.3, 0.6)):
            time.sleep(pause)
            path.write_text(f'A={name}{number}\n')
        shop.becomes(name, f'A={name}4\n')
        shop.wait_for(lambda: shop.answer('pid') in children(shop.server.process.pid), 'it to serve')
        shop.wait_for(lambda: len(children(shop.server.process.pid)) == 2, 'one app process, and its standby')
        poller.polls()
    assert poller.failures == []


def test_89_request_under_way(shop, name):
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
    subprocess.run(['gcc', '-shared', '-fPIC', '-I', sysconfig.get_path('include'), '-o', folder / 'fast.so', folder / 'fast.c'], check=True)
    return (folder / 'fast.so').read_bytes()


@pytest.mark.skipif(not (shutil.which('gcc') and Path(sysconfig.get_path('include'), 'Python.h').exists()), reason='no C compiler')
def test_90_c_extension_compiled(shop, name, tmp_path):
    path = shop.folder / f'lib/{name}/fast{SUFFIX}'
    path.parent.mkdir(parents=True)
    replace_bytes(path, compiled(tmp_path, 1))
    shop.add(name, reads('VALUE', f'from shop.lib.{name}.fast import VALUE'), 1)
    second = compiled(tmp_path, 2)
    with restarted(shop, f'{re.escape(str(path.relative_to(shop.folder)))} changed$'):
        replace_bytes(path, second)
        shop.becomes(name, 2)


def test_90_c_extension_copied(shop, name):
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
    with shop_with(folder, {handler('version'): version}, env=clean_environment(PYTHONPATH=str(folder / 'lib')), cwd=folder) as shop:
        assert shop.answer('version') == [str(copy / '__init__.py'), apiphant.__version__]
        yield shop, copy


def test_92_apiphant_is_edited(tmp_path):
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


# Watcher trouble


LIMITS = {'watches': 'max_inotify_watches', 'instances': 'max_inotify_instances'}
LIMITED = '#!/bin/sh\nexec unshare -Ur sh -c \'echo {number} > /proc/sys/user/{limit} && exec "$@"\' sh {python} "$@"\n'


def limited(folder: Path, limit: str, number: int) -> str:
    """A Python that has a limit of inotify to itself."""
    path = write_tree(folder, {'limited': LIMITED.format(number=number, limit=limit, python=sys.executable)}) / 'limited'
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def needs_limits(tmp_path):
    if subprocess.run([limited(tmp_path, 'max_inotify_watches', 0), '-V'], capture_output=True, check=False).returncode:
        pytest.skip('no user namespaces')


TROUBLE = r'(?i)no (more )?events from the file system'


@pytest.mark.usefixtures('needs_limits')
@pytest.mark.parametrize('limit', LIMITS)
def test_93_no_events_at_all(tmp_path, limit):
    with shop_with(tmp_path, {handler('one'): reads(1)}, executable=limited(tmp_path, LIMITS[limit], 0)) as shop:
        shop.becomes('one', 1)
        for value in (2, 3):
            is_live_in_time(shop, 'one', value)
        is_live_in_time(shop, 'deep/er/two', 1)
        assert len(shop.logged(TROUBLE, 0)) == 1, shop.server.lines
        assert shop.logged('Traceback', 0) == []


@pytest.mark.usefixtures('needs_limits')
def test_93_limit_reached_later(tmp_path):
    with shop_with(tmp_path, {handler('one'): reads(1)}, executable=limited(tmp_path, 'max_inotify_watches', 8)) as shop:
        shop.becomes('one', 1)
        for number in range(20):
            shop.save(handler(f'folder{number}/two'), reads(number))
        for number in range(20):
            shop.becomes(f'folder{number}/two', number)
        for target in ('folder19/two', 'one'):
            is_live_in_time(shop, target, 30)
        assert shop.logged('Traceback', 0) == []


def test_94_overflow(tmp_path):
    """While the console is stopped, more events come than the kernel keeps."""
    kept = int(Path('/proc/sys/fs/inotify/max_queued_events').read_text())
    with shop_with(tmp_path, {handler('one'): reads(1), 'junk/a.txt': '', 'junk/b.txt': ''}) as shop:
        shop.becomes('one', 1)
        since = shop.fence()
        shop.server.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(kept // 5):  # 3 events each
                for name in 'ab':
                    (shop.folder / f'junk/{name}.txt').write_text('junk')
            shop.save(handler('one'), reads(2))
        finally:
            shop.server.process.send_signal(signal.SIGCONT)
        started = time.monotonic()
        shop.becomes('one', 2)
        assert time.monotonic() - started < LIVE_WITHOUT_EVENTS
        assert shop.settle() and len(shop.reloads(since)) == 1
        assert shop.logged('Traceback|Exception', since) == []
        is_live_in_time(shop, 'one', 3)


def test_95_poll(tmp_path):
    with shop_with(tmp_path, {handler('one'): reads(1)}, '--poll', '0.3') as shop:
        shop.becomes('one', 1)
        assert [sum('inotify' in name for name in open_files(pid)) for pid in pids_of(shop)] == [0, 0]
        for value in range(2, 6):
            is_live_in_time(shop, 'one', value)
        assert shop.logged(TROUBLE, 0) == []
        started = time.monotonic()
        with shop.steady('one', (5,)):
            for value in range(6, 11):
                shop.save(handler('one'), reads(value))
                shop.becomes('one', value)
        assert time.monotonic() - started < 5, 'as long as with a sweep a second'


# A fault from inside, since none from outside ends one thread of a process: each thread of watchdog gets an exception.
SABOTAGE = """
import ctypes
import os
import sys
import threading
import time


def kill():
    while not os.path.exists({gate!r}):
        time.sleep(0.01)
    for thread in threading.enumerate():
        if type(thread).__module__.startswith('watchdog'):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(RuntimeError))


if 'apiphant.cli' in sys.orig_argv:
    threading.Thread(target=kill, daemon=True).start()
"""


def test_96_watcher_dies(tmp_path):
    inject, gate = tmp_path / 'inject', tmp_path / 'gate'
    write_tree(inject, {'sitecustomize.py': SABOTAGE.format(gate=str(gate))})
    with shop_with(tmp_path, {handler('one'): reads(1)}, env=clean_environment(PYTHONPATH=str(inject))) as shop:
        shop.becomes('one', 1)
        since = shop.fence()
        gate.touch()
        for value in range(2, 6):
            is_live_in_time(shop, 'one', value)
        shop.server.wait_for_line(TROUBLE, since)


def test_96_folder_replaced(tmp_path):
    """All that is watched is gone, and something else is in its place."""
    with shop_with(tmp_path, {handler('one'): reads(1)}) as shop:
        shop.becomes('one', 1)
        shop.fence()
        shop.folder.rename(tmp_path / 'before')
        shutil.copytree(tmp_path / 'before', shop.folder)
        for value in range(2, 5):
            is_live_in_time(shop, 'one', value)
        is_live_in_time(shop, 'deep/er/two', 1)


# Long runs


IDLE = 3.0  # seconds that are looked at
PASSED_OVER = ('.venv', 'node_modules', '.git', '__pycache__')


def test_97_idle_tree(tmp_path):
    with shop_with(tmp_path, {f'lib/p{number // 50}/m{number}.py': f'VALUE = {number}\n' for number in range(1000)}) as shop:
        pids = pids_of(shop)
        shop.settle()
        before = [cpu_of(pid) for pid in pids]
        time.sleep(IDLE)
        used = [(cpu_of(pid) - past) / IDLE for pid, past in zip(pids, before, strict=True)]
    assert sum(used) < 0.01, used


def test_97_folders_passed_over(tmp_path):
    litter = {f'{folder}/a{number}/b/file.txt': '' for folder in PASSED_OVER[:3] for number in range(20)}
    with shop_with(tmp_path, {**litter, 'lib/__init__.py': '', 'lib/.venv/a/b/c.txt': ''}) as shop:
        pids = pids_of(shop)
        shop.settle()
        write_tree(shop.folder, {f'{folder}/more{number}/file.js': '' for folder in PASSED_OVER[:3] for number in range(20)})
        shop.settle()
        assert sum(map(watches_of, pids)) <= 6, 'shop, lib, api and v0; the folder that it is in, and one to spare'


def test_97_saves_in_folders_passed_over(tmp_path):
    litter = {f'{folder}/file.py': reads(1) for folder in PASSED_OVER}
    with shop_with(tmp_path, {**litter, handler('one'): reads(1)}) as shop:
        shop.becomes('one', 1)
        with shop.steady('one', (0,)):
            for number in range(20):
                for folder in PASSED_OVER:
                    (shop.folder / f'{folder}/file{number}.py').write_text(reads(number))


BIG = 'import threading\n\nBIG = bytearray(10**6)\nVALUE = {value}\n\n\nclass Thing:\n    big = BIG\n\n\nTHING = Thing()\n'
USES_BIG = reads('VALUE', 'from shop.lib.big import BIG, THING, VALUE')
COUNTS = reads('[greenlets(), threading.active_count(), len(names())]', 'import gc, sys, threading', 'import greenlet', '', '''
def greenlets():
    gc.collect()
    return sum(isinstance(item, greenlet.greenlet) and not item.dead for item in gc.get_objects())


def names():
    return [name for name in sys.modules if name.split('.')[0] == 'shop']''')
EDITS = 500


class LongRun:
    """So many edits of a helper: how long each took, and what the processes held after 20 of them and after the last."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        wait_for(lambda: len(children(shop.server.process.pid)) == 2, 'the standby')
        self.pids = pids_of(shop)
        self.took: list[float] = []
        self._edit(20)
        self.early = self._held()
        self._edit(EDITS - 20)
        self.late = self._held()

    def _edit(self, number: int) -> None:
        for _ in range(number):
            value = len(self.took) + 1
            started = time.perf_counter()
            self.shop.save('lib/big.py', BIG.format(value=value))
            wait_for(lambda value=value: self.shop.answer('big') == value, 'the edit')
            self.took.append(time.perf_counter() - started)

    def _held(self) -> dict[str, list[int]]:
        self.shop.settle()
        return {
            'memory': [memory_of(pid) for pid in self.pids],
            'descriptors': [len(open_files(pid)) for pid in self.pids],
            'threads': [len(list(Path(f'/proc/{pid}/task').iterdir())) for pid in self.pids],
            'inside': self.shop.answer('counts'),
        }


@pytest.fixture(scope='module')
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LongRun]:
    files = {'lib/big.py': BIG.format(value=0), handler('big'): USES_BIG, handler('counts'): COUNTS}
    with shop_with(tmp_path_factory.mktemp('long'), files) as shop:
        shop.becomes('big', 0)
        shop.answer('counts')
        yield LongRun(shop)


def test_99_memory(long_run):
    grown = [late - early for early, late in zip(long_run.early['memory'], long_run.late['memory'], strict=True)]
    assert all(number < 20_000_000 for number in grown), grown


@pytest.mark.parametrize('kind', ('descriptors', 'threads', 'inside'))
def test_99_nothing_grows(long_run, kind):
    early, late = long_run.early[kind], long_run.late[kind]
    assert all(after <= before + 2 for before, after in zip(early, late, strict=True)), (early, late)


def test_100_as_fast_as_at_first(long_run):
    first, last = statistics.median(long_run.took[:20]), statistics.median(long_run.took[-20:])
    assert last < 1.5 * first + 0.002, (first, last)


# Leaving


BUSY = {
    'importing': 'import time\nprint("busy")\ntime.sleep(100)\n',
    'importing_burning': 'print("busy")\nwhile True:\n    pass\n',
    'handling': 'import time\n\ndef read(request):\n    print("busy")\n    time.sleep(100)\n',
    'handling_burning': 'def read(request):\n    print("busy")\n    while True:\n        pass\n',
}


def ask_in_vain(server):
    try:
        server.post('/api/v0/busy/read')
    except OSError:
        pass


@pytest.mark.parametrize(('busy', 'number'), [*((busy, signal.SIGINT) for busy in BUSY), ('importing', signal.SIGTERM), ('handling', signal.SIGTERM)],
                         ids=[*BUSY, 'importing_terminated', 'handling_terminated'])
def test_102_leaves_when_busy(tmp_path, busy, number):
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
        assert shop.server.wait(5) in (0, 130)
        assert time.monotonic() - started < 2, 'a second, and one more for a busy machine'
        socket.create_server((shop.server.host, shop.server.port)).close()
        wait_for(lambda: not any(map(is_running, group)), 'all processes to leave')
        assert shop.logged('Traceback', 0) == []
        if 'handling' in busy:
            thread.join()
