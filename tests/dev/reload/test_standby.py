"""A fresh process takes over: who is refused, who is cut, what is kept, and what goes on if it is broken."""
from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.processes import children, is_running
from tests.kit.running import wait_for
from tests.kit.shop import Poller, Shop, handler, reads, shop_with

ENV = '''import os

os.environ.setdefault("APIPHANT_TEST_VALUE", "1")


def read(request):
    return {"value": os.environ["APIPHANT_TEST_VALUE"]}
'''


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all tests."""
    with shop_with(tmp_path_factory.mktemp('standby'), {handler('env'): ENV}) as shared:
        shared.becomes('env', '1')
        yield shared


def has_standby(shop: Shop) -> bool:
    return len(children(shop.server.process.pid)) == 2


def set_value(shop: Shop, value: int) -> None:
    shop.save(handler('env'), ENV.replace('"1"', f'"{value}"'))
    shop.becomes('env', str(value))


def test_many_restarts_refuse_nobody(shop: Shop) -> None:
    """With a standby and without one: each edit changes the environment, of which a swap would know the old."""
    since = len(shop.server.lines)
    with Poller(shop.server, '/api/v0/env/read', (200,)) as poller:
        for value in range(2, 10):
            if value % 2:
                wait_for(lambda: has_standby(shop), 'the standby')
            set_value(shop, value)
        poller.polls()
    assert poller.failures == []
    assert [int(value) for value in poller.values] == sorted(map(int, poller.values)), 'never the old after the new'
    line = r'^Restarted in \d+ ms: api/v0/env\.py changes the environment$'
    shop.wait_for(lambda: len(shop.logged(line, since)) == 8, 'a line for each')
    assert shop.logged('Restarting|Reloaded', since) == []


def test_call_under_way_ends_in_its_process(shop: Shop) -> None:
    gate = shop.folder.parent / 'gate'
    text = f"""
import os
from pathlib import Path
from time import sleep

def read(request):
    print('begun waiting')
    while not Path({str(gate)!r}).exists():
        sleep(0.01)
    return {{'value': os.getpid()}}

def create(request):
    return {{'value': 1}}
"""
    shop.save(handler('waiting'), text)
    shop.becomes('waiting', 1, 'create')
    pid, since, found = shop.answer('pid'), len(shop.server.lines), []
    thread = threading.Thread(target=lambda: found.append(shop.answer('waiting')))
    thread.start()
    try:
        shop.server.wait_for_line('begun waiting', since)
        for value in (20, 21, 22):
            set_value(shop, value)
        assert shop.answer('pid') != pid and is_running(pid)
    finally:
        gate.touch()
        thread.join()
    assert found == [pid]
    wait_for(lambda: not is_running(pid), 'the process before to leave')


BROKEN = ENV.replace('\n\n\ndef', '\nraise ValueError("half way")\n\n\ndef')


def test_broken_in_the_fresh_process(shop: Shop) -> None:
    pid, value, since = shop.answer('pid'), shop.answer('env'), shop.fence()
    with Poller(shop.server, '/api/v0/env/read', (200,)) as poller:
        shop.save(handler('env'), BROKEN)
        shop.server.wait_for_line(r'Broken: api/v0/env\.py; the code before this goes on', since)
        shop.server.wait_for_line('^ValueError: half way$', since)
        shop.fence()
        poller.polls()
    assert poller.failures == [] and set(poller.values) == {value}
    assert shop.answer('pid') == pid, shop.told(0)
    assert len(shop.logged('ValueError: half way', since)) == 1
    set_value(shop, 30)


def test_good_code_is_not_given_up(shop: Shop) -> None:
    """A restart waits until what is broken is mended: its callers would be refused by the fresh process."""
    shop.add('good', reads(1), 1)
    since = shop.fence()
    with Poller(shop.server, '/api/v0/good/read', (200,)) as poller:
        shop.save(handler('good'), 'def read(:\n')
        shop.server.wait_for_line(r'Broken: api/v0/good\.py; the code before this goes on', since)
        value = shop.answer('env')
        shop.save(handler('env'), ENV.replace('"1"', '"50"'))
        shop.server.wait_for_line(
            r'^Not restarted yet \(api/v0/env\.py changes the environment\): shop\.api\.v0\.good cannot be imported',
            since)
        shop.add('other', reads(1), 1)
        assert shop.answer('env') == value
        shop.save(handler('good'), reads(2))
        shop.becomes('good', 2)
        shop.becomes('env', '50')
        poller.polls()
    assert poller.failures == []


def test_fails_only_when_imported_again(shop: Shop) -> None:
    """A library that is outside of the product takes each name once."""
    library = shop.folder.parent / 'once_only.py'
    library.write_text('NAMES = set()\n\ndef register(name):\n    if name in NAMES:\n'
                       '        raise ValueError(f"{name} is there already")\n    NAMES.add(name)\n')
    text = 'import once_only\n\nonce_only.register("it")\n' + reads(1).lstrip()
    shop.add('once', text, 1)
    since = len(shop.server.lines)
    for value in (2, 3):
        shop.save(handler('once'), text.replace('1', str(value)))
        shop.becomes('once', value)
    shop.server.wait_for_line(
        r'^Restarted in \d+ ms: api/v0/once\.py cannot be imported again \(ValueError: it is there', since)
    assert shop.logged('Broken', since) == []


def test_error_that_a_fresh_process_has_too(tmp_path: Path) -> None:
    """Told once, by one traceback; the next good save is live at once."""
    with shop_with(tmp_path, {}) as shop:
        shop.add('late', reads(1), 1)
        pid, since = shop.answer('pid'), shop.fence()
        shop.save(handler('late'), 'missing_name\n' + reads(2))
        shop.server.wait_for_line(r'^NameError', since)
        assert shop.answer('late') == 1
        shop.save(handler('late'), reads(3))
        shop.becomes('late', 3)
        shop.settle()
        assert len(shop.logged('^NameError', since)) == 1
        assert shop.answer('pid') == pid, shop.told(0)


def test_port_that_the_process_before_holds(tmp_path: Path) -> None:
    """It has to end first; who calls meanwhile waits."""
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    text = f"""
import socket

HELD = socket.create_server(('127.0.0.1', {port}))
VALUE = 1
"""
    files = {'lib/port.py': text, handler('one'): reads('VALUE', 'from shop.lib.port import VALUE')}
    with shop_with(tmp_path, files) as shop, Poller(shop.server, '/api/v0/one/read', (200,)) as poller:
        shop.becomes('one', 1)
        for value in (2, 3):
            shop.save('lib/port.py', text.replace('VALUE = 1', f'VALUE = {value}'))
            shop.becomes('one', value)
        poller.polls()
        line = r'^Restarted in \d+ ms: lib/port\.py binds a port$'
        shop.wait_for(lambda: len(shop.logged(line, 0)) == 2, 'a line for each')
    assert poller.failures == []
    assert poller.values == sorted(poller.values)


def test_package_that_was_edited_while_a_standby_had_it(tmp_path: Path) -> None:
    """What it has imported is compared with the disk before it begins."""
    site = tmp_path / 'venv/lib/site-packages'
    (site / 'wares').mkdir(parents=True)
    (site / 'wares/__init__.py').write_text('VALUE = 1\n')
    path = f'import sys\n\nsys.path.append({str(site)!r}) if {str(site)!r} not in sys.path else None\n'
    with shop_with(tmp_path, {'__init__.py': path, handler('ware'): reads('wares.VALUE', 'import wares'),
                              handler('env'): ENV}) as shop:
        wait_for(lambda: has_standby(shop), 'the standby')
        assert shop.answer('ware') == 1
        (site / 'wares/__init__.py').write_text('VALUE = 22\n')
        shop.save(handler('env'), ENV.replace('"1"', '"2"'))
        shop.becomes('env', '2')
        shop.becomes('ware', 22)


def test_import_that_does_not_end(tmp_path: Path) -> None:
    """Calls go on, it is said, and what is saved next is live."""
    with shop_with(tmp_path, {handler('one'): reads(1), handler('two'): reads(1)}) as shop:
        shop.becomes('one', 1)
        shop.becomes('two', 1)
        shop.save(handler('one'), 'while True:\n    pass\n' + reads(2))
        shop.server.wait_for_line(r'api/v0/one\.py did not end its import in 2 s, and was interrupted', 0)
        assert shop.answer('one') == 1
        shop.save(handler('two'), reads(3))
        shop.becomes('two', 3)
        shop.save(handler('one'), reads(4))
        shop.becomes('one', 4)
        wait_for(lambda: shop.answer('pid') in children(shop.server.process.pid), 'the app')
        wait_for(lambda: len(children(shop.server.process.pid)) == 2, 'the endless one to be given up')
        shop.becomes('one', 4)


def test_import_that_waits(tmp_path: Path) -> None:
    """For a server that is away, for instance: other files are live all the same."""
    wait = 'import time\n\nwhile True:\n    time.sleep(0.1)\n'
    with shop_with(tmp_path, {handler('one'): reads(1), handler('two'): reads(1)}) as shop:
        shop.becomes('one', 1)
        with Poller(shop.server, '/api/v0/one/read', (200,)) as poller:
            shop.save(handler('one'), wait + reads(2))
            shop.server.wait_for_line(r'api/v0/one\.py did not end its import', 0)
            shop.save(handler('two'), reads(3))
            shop.becomes('two', 3)
            poller.polls()
        assert poller.failures == [] and set(poller.values) == {1}


def test_start_that_does_not_end(tmp_path: Path) -> None:
    with shop_with(tmp_path, {'__init__.py': 'while True:\n    pass\n'}) as shop:
        shop.server.wait_for_line(r'^__init__\.py is still being imported after 5 s$', 0)


def test_what_a_library_does_when_it_is_imported(tmp_path: Path) -> None:
    """It does that once, so the module that imports it first is swapped as any other."""
    (tmp_path / 'starter.py').write_text(
        'import atexit, logging, os\n\nos.environ["APIPHANT_TEST_STARTER"] = "1"\natexit.register(print)\n'
        'logging.getLogger("starter").addHandler(logging.NullHandler())\n')
    with shop_with(tmp_path, {handler('one'): reads(1, 'import starter')}) as shop:
        shop.becomes('one', 1)
        pid = shop.answer('pid')
        for value in (2, 3):
            shop.add('one', reads(value, 'import starter'), value)
        shop.settle()
        assert shop.answer('pid') == pid and shop.logged('Restart', 0) == []


def test_slow_start_is_not_taken_for_endless(tmp_path: Path) -> None:
    """A product that takes long to import, or a busy machine: the save of another file meanwhile stops no restart."""
    files = {'slow.py': 'from time import sleep\n\nsleep(4)\n', handler('env'): f'import shop.slow\n{ENV}'}
    with shop_with(tmp_path, files) as shop:
        shop.becomes('env', '1')
        wait_for(lambda: has_standby(shop), 'the standby')
        since = len(shop.server.lines)
        shop.save(handler('env'), files[handler('env')].replace('"1"', '"2"'))
        shop.add('other', reads(2), 2)
        shop.becomes('env', '2')
        shop.server.wait_for_line('^Restarted in', since)
        assert shop.logged('did not end before the next save', since) == [], shop.told(since)
        assert shop.answer('other') == 2
