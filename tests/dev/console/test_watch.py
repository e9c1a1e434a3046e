"""Reload without the events that it lives on: a real `apiphant dev`."""
from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.cpu import is_quick
from tests.kit.processes import cpu_of, open_files
from tests.kit.running import clean_environment, write_tree
from tests.kit.saves import from_outside, halves, in_place
from tests.kit.shop import PID, Shop, handler, reads, shop_with

pytestmark = pytest.mark.once

LIVE_WITHOUT_EVENTS = 2.0  # seconds


def pids_of(shop: Shop) -> list[int]:
    """The console and the app."""
    return [shop.server.process.pid, shop.answer('pid')]


def is_live_in_time(shop: Shop, target: str, value: int) -> None:
    """An edit, at most 2 s before it is live."""
    started = time.monotonic()
    shop.save(handler(target), reads(value))
    shop.becomes(target, value)
    assert is_quick(time.monotonic() - started, LIVE_WITHOUT_EVENTS)


LIMITS = {'watches': 'max_inotify_watches', 'instances': 'max_inotify_instances'}
LIMITED = '#!/bin/sh\nexec unshare -Ur sh -c \'echo {number} > /proc/sys/user/{limit} && exec "$@"\' sh {python} "$@"\n'


def limited(folder: Path, limit: str, number: int) -> str:
    """A Python that has a limit of inotify to itself."""
    path = write_tree(folder, {
        'limited': LIMITED.format(number=number, limit=limit, python=sys.executable)}) / 'limited'
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def needs_limits(tmp_path):
    if subprocess.run([limited(tmp_path, 'max_inotify_watches', 0), '-V'], capture_output=True, check=False).returncode:
        pytest.skip('no user namespaces')


TROUBLE = r'(?i)no (more )?events from the file system'


@pytest.mark.usefixtures('needs_limits')
@pytest.mark.parametrize('limit', LIMITS)
def test_no_events_at_all(tmp_path, limit):
    with shop_with(tmp_path, {handler('one'): reads(1)}, executable=limited(tmp_path, LIMITS[limit], 0)) as shop:
        shop.becomes('one', 1)
        for value in (2, 3):
            is_live_in_time(shop, 'one', value)
        is_live_in_time(shop, 'deep/er/two', 1)
        assert len(shop.logged(TROUBLE, 0)) == 1, shop.server.lines
        assert shop.logged('Traceback', 0) == []


@pytest.mark.usefixtures('needs_limits')
def test_limit_reached_later(tmp_path):
    with shop_with(
            tmp_path, {handler('one'): reads(1)}, executable=limited(tmp_path, 'max_inotify_watches', 8)) as shop:
        shop.becomes('one', 1)
        for number in range(20):
            shop.save(handler(f'folder{number}/two'), reads(number))
        for number in range(20):
            shop.becomes(f'folder{number}/two', number)
        for target in ('folder19/two', 'one'):
            is_live_in_time(shop, target, 30)
        assert shop.logged('Traceback', 0) == []


def test_overflow(tmp_path):
    """While the console is stopped, more events come than the kernel keeps."""
    kept = int(Path('/proc/sys/fs/inotify/max_queued_events').read_text())
    with shop_with(tmp_path, {handler('one'): reads(1), 'junk/a.txt': '', 'junk/b.txt': ''}) as shop:
        shop.becomes('one', 1)
        since = shop.settle()
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
        assert is_quick(time.monotonic() - started, LIVE_WITHOUT_EVENTS)
        assert shop.settle() and len(shop.reloads(since)) == 1
        assert shop.logged('Traceback|Exception', since) == []
        is_live_in_time(shop, 'one', 3)


def test_poll(tmp_path):
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
        assert is_quick(time.monotonic() - started, 5), 'as long as with a sweep a second'


# A fault from inside, since none from outside ends one thread of a process: the watcher's gets an exception.
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
        if thread.name == 'watcher':
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(RuntimeError))


if 'apiphant.cli' in sys.orig_argv:
    threading.Thread(target=kill, daemon=True).start()
"""


def test_watcher_dies(tmp_path):
    inject, gate = tmp_path / 'inject', tmp_path / 'gate'
    write_tree(inject, {'sitecustomize.py': SABOTAGE.format(gate=str(gate))})
    with shop_with(tmp_path, {handler('one'): reads(1)}, env=clean_environment(PYTHONPATH=str(inject))) as shop:
        shop.becomes('one', 1)
        since = shop.fence()
        gate.touch()
        for value in range(2, 6):
            is_live_in_time(shop, 'one', value)
        shop.server.wait_for_line(TROUBLE, since)


def test_folder_replaced(tmp_path):
    """All that is watched is gone, and something else is in its place."""
    with shop_with(tmp_path, {handler('one'): reads(1)}) as shop:
        shop.becomes('one', 1)
        shop.fence()
        shop.folder.rename(tmp_path / 'before')
        shutil.copytree(tmp_path / 'before', shop.folder)
        for value in range(2, 5):
            is_live_in_time(shop, 'one', value)
        is_live_in_time(shop, 'deep/er/two', 1)


# Who writes


def test_half_of_new_file(tmp_path):
    """In a new folder, held open for longer than anybody guesses."""
    with shop_with(tmp_path, {handler('one'): reads(1)}) as shop:
        shop.becomes('one', 1)
        target = shop.folder / handler('deep/er/two')
        with shop.steady('deep/er/two', allowed=(200, 404)):
            target.parent.mkdir(parents=True)
            with open(target, 'w') as file:
                file.write('import os\n')
                file.flush()
                looks(shop, 1.5)
                file.write(reads(2))
            shop.becomes('deep/er/two', 2)


def looks(shop: Shop, seconds: float) -> None:
    """Other saves are seen for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shop.fence()


def test_writer_never_ends(tmp_path):
    with shop_with(tmp_path, {handler('one'): reads(1)}) as shop:
        shop.becomes('one', 1)
        with open(shop.folder / handler('two'), 'w') as file:
            file.write(reads(2))
            file.flush()
            shop.becomes('two', 2)


def test_saved_without_end(tmp_path):
    """Each 100 ms, beside a file that a program saves all the time: both are live again and again."""
    with shop_with(tmp_path, {handler('one'): reads(0), handler('two'): reads(0)}) as shop:
        shop.becomes('one', 0)
        with saving(shop.folder / handler('two')):
            for value in range(1, 11):
                shop.save(handler('one'), reads(value), in_place)
                shop.becomes('one', value)
                time.sleep(0.1)
            seen = shop.answer('two')
            shop.wait_for(lambda: shop.answer('two') > seen, 'the other file')


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Meanwhile it is saved each 2 ms, with greater numbers."""
    is_over = threading.Event()

    def save() -> None:
        for number in itertools.count(1):
            if is_over.wait(0.002):
                return
            from_outside(path, reads(number))
    thread = threading.Thread(target=save)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


# Tools


MANY = 1000


def tree_of(number: int) -> dict[str, str]:
    """Each of a thousand modules, and a target that says whether all have the same number."""
    targets = {handler(f'h{part}'): reads(number) for part in range(3)}
    modules = {f'lib/part{part % 20}/m{part}.py': f'VALUE = {number}\n' for part in range(MANY)}
    imports = '\n'.join(f'from shop.lib.part{part % 20} import m{part}' for part in range(0, MANY, 37))
    values = ', '.join(f'm{part}.VALUE' for part in range(0, MANY, 37))
    return {**targets, **modules, handler('all'): reads(f'[{values}]', imports)}


def is_one_state(values: list[list[int]]) -> bool:
    return all(len(set(value)) == 1 for value in values)


def git(folder: Path, *words: str) -> None:
    given = ('-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'init.defaultBranch=main')
    environment = clean_environment(GIT_EDITOR='true')
    subprocess.run(['git', *given, *words], cwd=folder, check=True, capture_output=True, env=environment)


def repository(folder: Path) -> Path:
    """Two branches that differ in all files, `other` by three commits."""
    shop = write_tree(folder / 'shop', {'__init__.py': '', handler('pid'): PID, **tree_of(1)})
    git(shop, 'init')
    for number in (1, 2, 3, 4):
        write_tree(shop, tree_of(number))
        git(shop, 'add', '.')
        git(shop, 'commit', '-m', str(number))
        if number == 1:
            git(shop, 'checkout', '-b', 'other')
    git(shop, 'checkout', 'main')
    return shop


def is_one_reload(shop: Shop, act: Callable[[], object], number: int) -> None:
    """Nobody is shown a state between, one line is logged, and it ends right."""
    with shop.steady('all') as poller:
        act()
        shop.wait_for(lambda: set(shop.answer('all')) == {number}, f'all of {number}')
    assert is_one_state(poller.values), [value for value in poller.values if len(set(value)) > 1][:3]
    for part in range(3):
        shop.becomes(f'h{part}', number)


def test_checkout(tmp_path):
    folder = repository(tmp_path)
    with shop_with(tmp_path, {}) as shop:
        is_one_reload(shop, lambda: git(folder, 'checkout', 'other'), 4)
        is_one_reload(shop, lambda: git(folder, 'checkout', 'main'), 1)
        is_one_reload(shop, lambda: git(folder, 'checkout', '-b', 'mine', 'other'), 4)
        is_one_reload(shop, lambda: git(folder, 'reset', '--hard', 'main'), 1)
        is_one_reload(shop, lambda: git(folder, 'merge', 'other'), 4)


def test_stash(tmp_path):
    folder = repository(tmp_path)
    with shop_with(tmp_path, {}) as shop:
        is_one_reload(shop, lambda: write_tree(folder, tree_of(5)), 5)
        is_one_reload(shop, lambda: git(folder, 'stash'), 1)
        is_one_reload(shop, lambda: git(folder, 'stash', 'pop'), 5)


def test_rebase(tmp_path):
    """Of a commit of one's own: the tree goes to the other branch, and then commit by commit to the end."""
    folder = repository(tmp_path)
    for number in range(5):
        (folder / f'lib/mine{number}.py').write_text('VALUE = 1\n')
        git(folder, 'add', '.')
        git(folder, 'commit', '-m', f'mine {number}')
    with shop_with(tmp_path, {}) as shop:
        is_one_reload(shop, lambda: git(folder, 'rebase', 'other'), 4)


def test_linked_tree(tmp_path):
    """Its lock is in the repository that it belongs to."""
    main = repository(tmp_path / 'main')
    git(main, 'worktree', 'add', str(tmp_path / 'shop'), '-b', 'linked')
    with shop_with(tmp_path, {}) as shop:
        is_one_reload(shop, lambda: git(shop.folder, 'checkout', '-B', 'linked', 'other'), 4)
        is_one_reload(shop, lambda: git(shop.folder, 'reset', '--hard', 'main'), 1)


@pytest.mark.parametrize('where', ('.git', 'linked'))
@pytest.mark.parametrize('age', (0, 3600, -3600), ids=('new', 'old', 'future'))
def test_lock_left_behind(tmp_path, where, age):
    """A save waits for it once, at most."""
    folder = tmp_path / 'shop/.git'
    with shop_with(tmp_path, {handler('one'): reads(1)}) as shop:
        if where == 'linked':
            folder.write_text('gitdir: ../elsewhere\n')
            folder = tmp_path / 'elsewhere'
        folder.mkdir()
        (folder / 'index.lock').touch()
        os.utime(folder / 'index.lock', (time.time() - age,) * 2)
        shop.save(handler('one'), reads(2))
        shop.becomes('one', 2)
        started = time.monotonic()
        for value in range(3, 13):
            shop.save(handler('one'), reads(value))
            shop.becomes('one', value)
        assert is_quick(time.monotonic() - started, 5)


@pytest.mark.skipif(not shutil.which('rsync'), reason='no rsync')
def test_rsync(tmp_path):
    write_tree(tmp_path / 'new', tree_of(2))
    with shop_with(tmp_path, tree_of(1)) as shop:
        is_one_reload(shop, lambda: run('rsync', '-r', '--checksum', f'{tmp_path}/new/', shop.folder), 2)


def test_tar(tmp_path):
    write_tree(tmp_path / 'new', tree_of(2))
    run('tar', '-C', tmp_path / 'new', '-cf', tmp_path / 'new.tar', '.')
    with shop_with(tmp_path, tree_of(1)) as shop:
        is_one_reload(shop, lambda: run('tar', '-C', shop.folder, '-xf', tmp_path / 'new.tar'), 2)


def run(*words: object) -> None:
    subprocess.run(list(map(str, words)), check=True, capture_output=True)


def test_formatter_writes_twice(tmp_path):
    with shop_with(tmp_path, {handler('one'): reads(1)}) as shop, shop.steady('one', (1, 2)) as poller:
        path = shop.folder / handler('one')
        for value in (2, 3):
            halves(path, reads(value))
        shop.becomes('one', 3)
        assert set(poller.values) <= {1, 2, 3}


# Folders


def test_folder_made_again(tmp_path):
    with shop_with(tmp_path, {handler('one'): reads(1), handler('deep/two'): reads(1)}) as shop:
        for value in range(2, 5):
            shutil.rmtree(shop.folder / 'api/v0/deep')
            shop.becomes('deep/two', 'status 404')
            shop.save(handler('deep/two'), reads(value), in_place)
            shop.becomes('deep/two', value)
            is_live_in_time(shop, 'deep/two', value + 10)


def test_folder_becomes_link(tmp_path):
    write_tree(tmp_path / 'elsewhere', {'two.py': reads(2)})
    with shop_with(tmp_path, {handler('deep/two'): reads(1)}) as shop:
        shop.becomes('deep/two', 1)
        folder = shop.folder / 'api/v0/deep'
        folder.rename(tmp_path / 'before')
        folder.symlink_to(tmp_path / 'elsewhere')
        shop.becomes('deep/two', 2)
        in_place(tmp_path / 'elsewhere/two.py', reads(3))
        shop.becomes('deep/two', 3)
        folder.unlink()
        (tmp_path / 'before').rename(folder)
        shop.becomes('deep/two', 1)
        is_live_in_time(shop, 'deep/two', 4)


def test_folder_moved(tmp_path):
    with shop_with(tmp_path, {handler('a/b/two'): reads(1)}) as shop:
        shop.becomes('a/b/two', 1)
        (shop.folder / 'api/v0/a').rename(shop.folder / 'api/v0/c')
        shop.becomes('c/b/two', 1)
        shop.becomes('a/b/two', 'status 404')
        shop.save(handler('c/b/two'), reads(2), in_place)
        shop.becomes('c/b/two', 2)
        shop.save(handler('a/b/two'), reads(3), in_place)
        shop.becomes('a/b/two', 3)


def watches_of(shop: Shop) -> int:
    """Of the console."""
    found = Path(f'/proc/{shop.server.process.pid}/fdinfo').iterdir()
    return sum(path.read_text().count('inotify wd:') for path in found)


HEAVY = {'node_modules': 'package.json', '.venv': 'pyvenv.cfg', 'env': 'pyvenv.cfg', '__pycache__': 'x.pyc'}


def heavy(folder: Path, mark: str) -> None:
    """Many folders with files of Python."""
    write_tree(folder, {f'lib/p{part}/q{part}/m.py': 'this is no Python' for part in range(300)} | {mark: ''})


@pytest.mark.parametrize('name', HEAVY)
def test_what_is_ignored(tmp_path, name):
    """It costs no watches, whether it is there or comes."""
    heavy(tmp_path / 'shop' / name, HEAVY[name])
    with shop_with(tmp_path, {handler('one'): reads(1)}) as shop:
        shop.becomes('one', 1)
        since = shop.settle()
        shop.wait_for(lambda: watches_of(shop) >= 3, 'watches')
        few = watches_of(shop)
        assert few < 10
        heavy(shop.folder / 'lib' / name, HEAVY[name])
        shop.save(handler('one'), reads(2))
        shop.becomes('one', 2)
        shop.wait_for(lambda: watches_of(shop) <= few + 2, 'watches to be given back')
        (shop.folder / name / 'lib/p1/q1/m.py').write_text('neither is this')
        shop.settle()
        assert not shop.logged('Broken|Traceback', since)


# Odd files


def test_odd_files(tmp_path):
    """None of them is waited for, and nobody falls over them."""
    with shop_with(tmp_path, {handler('one'): reads(1), 'lib/__init__.py': ''}) as shop:
        shop.becomes('one', 1)
        folder = shop.folder / 'lib'
        os.mkfifo(folder / 'pipe.py')
        with socket.socket(socket.AF_UNIX) as odd:
            odd.bind(str(folder / 'odd.py'))
        (folder / 'dangling.py').symlink_to('nowhere.py')
        (folder / 'itself.py').symlink_to('itself.py')
        (folder / 'up').symlink_to('..')
        (folder / 'folder.py').mkdir()
        (folder / os.fsdecode(b'n\xe9e.py')).write_text('VALUE = 1\n')
        (folder / os.fsdecode(b'd\xe9j\xe0')).mkdir()
        (folder / os.fsdecode(b'd\xe9j\xe0/m.py')).write_text('VALUE = 1\n')
        with open(folder / 'large.py', 'w') as large:
            large.write('VALUE = 1\n' + '#' * 100_000_000)
        for value in range(2, 6):
            is_live_in_time(shop, 'one', value)
        assert shop.logged('Broken|Traceback', 0) == []


def test_odd_targets(tmp_path):
    with shop_with(tmp_path, {handler('one'): reads(1)}) as shop:
        shop.becomes('one', 1)
        os.mkfifo(shop.folder / handler('pipe'))
        (shop.folder / handler('dangling')).symlink_to('nowhere.py')
        (shop.folder / 'api/v0' / os.fsdecode(b'n\xe9e.py')).write_text(reads(1))
        for value in range(2, 5):
            is_live_in_time(shop, 'one', value)
        assert shop.answer('pipe') in ('status 404', 'status 503')
        assert shop.answer('dangling') in ('status 404', 'status 503')


def test_fifo_is_replaced(tmp_path):
    """By a file, and that by a FIFO: the code before goes on or is gone, and all others live."""
    with shop_with(tmp_path, {handler('one'): reads(1), handler('two'): reads(1)}) as shop:
        shop.becomes('two', 1)
        (shop.folder / handler('two')).unlink()
        os.mkfifo(shop.folder / handler('two'))
        is_live_in_time(shop, 'one', 2)
        shop.save(handler('two'), reads(2))
        shop.becomes('two', 2)


# Without events


def test_many_files_are_polled(tmp_path):
    """What is written in place changes no folder, so its turn has to come."""
    files = {f'lib/part{number // 100}/m{number}.py': f'VALUE = {number}\n' for number in range(10_000)}
    imports = 'from shop.lib.part77 import m7777'
    with shop_with(tmp_path, {**files, handler('one'): reads('m7777.VALUE', imports)}, '--poll', '0.3') as shop:
        shop.becomes('one', 7777)
        for value in range(5):
            shop.save('lib/part77/m7777.py', f'VALUE = {value}\n', in_place)
            shop.becomes('one', value)
        pid = shop.server.process.pid
        used, began = cpu_of(pid), time.monotonic()
        time.sleep(IDLE)
        assert (cpu_of(pid) - used) / (time.monotonic() - began) < 0.03


IDLE = 10.0  # seconds
