"""Reload without the events that it lives on: a real `apiphant dev`."""
from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kit.cpu import is_quick
from tests.kit.processes import open_files
from tests.kit.running import clean_environment, write_tree
from tests.kit.shop import Shop, handler, reads, shop_with

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
