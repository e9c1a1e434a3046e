"""Reload under load and for long: a real `apiphant dev`."""
from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.cpu import is_quick
from tests.kit.processes import children, memory_of, open_files
from tests.kit.running import wait_for, write_tree
from tests.kit.shop import Poller, Shop, handler, reads, shop_with

pytestmark = pytest.mark.once

REQUESTS_MAY_WAIT = 0.25  # seconds, longer than they did before


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for tests that do not say that they need their own."""
    with shop_with(tmp_path_factory.mktemp('rest'), {}) as shared:
        yield shared


def pids_of(shop: Shop) -> list[int]:
    """The console and the app."""
    return [shop.server.process.pid, shop.answer('pid')]


def cpu_of(pid: int) -> float:
    """Seconds, finer than ticks."""
    return sum(int(path.read_text().split()[0]) for path in Path(f'/proc/{pid}/task').glob('*/schedstat')) / 1e9


def watches_of(pid: int) -> int:
    """Directories that a process gets events of."""
    total = 0
    for entry in Path(f'/proc/{pid}/fdinfo').iterdir():
        try:
            total += entry.read_text().count('inotify wd:')
        except OSError:
            pass
    return total


# Under load


def test_no_request_waits(tmp_path):
    handlers = {handler(f'h{number}'): reads('VALUE', 'from shop.lib.tax import VALUE') for number in range(300)}
    with shop_with(tmp_path, {'lib/tax.py': 'VALUE = 1\n', **handlers}) as shop:
        shop.becomes('h299', 1)
        with shop.steady('h150') as poller:
            poller.polls(50)
            before = max(poller.waits)
            shop.save('lib/tax.py', 'VALUE = 2\n')
            shop.becomes('h299', 2)
            poller.polls()
    assert is_quick(max(poller.waits), before + REQUESTS_MAY_WAIT)


def slowest(pollers: list[Poller], begun: list[int]) -> float:
    """The 99th percentile of the polls after the first so many."""
    waits = sorted(wait for poller, first in zip(pollers, begun, strict=True) for wait in poller.waits[first:])
    return waits[int(len(waits) * 0.99)]


def test_saves_under_load(shop, name):
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
    assert shop.answer('pid') == pid, shop.told(0)
    assert all(poller.values == sorted(poller.values) for poller in pollers)
    assert is_quick(during, 3 * before + 0.05), (before, during)


BURNS = 'import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end:\n    pass\n'


def test_burning_import_is_logged(shop, name):
    shop.add(name, reads(1), 1)
    with shop.steady(name):
        since = len(shop.server.lines)
        shop.save(handler(name), reads(2, BURNS.format(seconds=0.6)))
        shop.becomes(name, 2)
        shop.server.wait_for_line(rf'WARNING .*{handler(name)}.*held all calls for', since)
    assert len(shop.logged('held all calls for', since)) == 1


@pytest.mark.parametrize('code', (BURNS.format(seconds=0.02), 'import time\ntime.sleep(0.6)\n'), ids=('short', 'yielding'))
def test_harmless_import_is_not_logged(shop, name, code):
    shop.add(name, reads(1), 1)
    with shop.steady(name):
        since = len(shop.server.lines)
        shop.save(handler(name), reads(2, code))
        shop.becomes(name, 2)
    assert shop.logged('held all calls for', since) == []


# For long


IDLE = 3.0  # seconds that are looked at
PASSED_OVER = ('.venv', 'node_modules', '.git', '__pycache__')


def test_idle_tree(tmp_path):
    with shop_with(tmp_path, {f'lib/p{number // 50}/m{number}.py': f'VALUE = {number}\n' for number in range(1000)}) as shop:
        pids = pids_of(shop)
        shop.settle()
        before = [cpu_of(pid) for pid in pids]
        time.sleep(IDLE)
        used = [(cpu_of(pid) - past) / IDLE for pid, past in zip(pids, before, strict=True)]
    assert sum(used) < 0.03, used


def test_folders_passed_over(tmp_path):
    litter = {f'{folder}/a{number}/b/file.txt': '' for folder in PASSED_OVER[:3] for number in range(20)}
    with shop_with(tmp_path, {**litter, 'lib/__init__.py': '', 'lib/.venv/a/b/c.txt': ''}) as shop:
        pids = pids_of(shop)
        shop.settle()
        write_tree(shop.folder, {f'{folder}/more{number}/file.js': '' for folder in PASSED_OVER[:3] for number in range(20)})
        shop.settle()
        assert sum(map(watches_of, pids)) <= 6, 'shop, lib, api and v0; the folder that it is in, and one to spare'


def test_saves_in_folders_passed_over(tmp_path):
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
        self.took: list[float] = []  # CPU time of both
        self._edit(20)
        self.early = self._held()
        self._edit(EDITS - 20)
        self.late = self._held()

    def _edit(self, number: int) -> None:
        for _ in range(number):
            value = len(self.took) + 1
            started = sum(map(cpu_of, self.pids))
            self.shop.save('lib/big.py', BIG.format(value=value))
            wait_for(lambda value=value: self.shop.answer('big') == value, 'the edit')
            self.took.append(sum(map(cpu_of, self.pids)) - started)

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


def test_memory(long_run):
    grown = [late - early for early, late in zip(long_run.early['memory'], long_run.late['memory'], strict=True)]
    assert all(number < 20_000_000 for number in grown), grown


@pytest.mark.parametrize('kind', ('descriptors', 'threads', 'inside'))
def test_nothing_grows(long_run, kind):
    early, late = long_run.early[kind], long_run.late[kind]
    assert all(after <= before + 2 for before, after in zip(early, late, strict=True)), (early, late)


def test_as_fast_as_at_first(long_run):
    first, last = statistics.median(long_run.took[:20]), statistics.median(long_run.took[-20:])
    assert last < 2 * first, (first, last)
