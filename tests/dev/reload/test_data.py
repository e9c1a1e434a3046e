"""Reload of what is no module, or is named by no import statement: a real `apiphant dev`."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.saves import in_place
from tests.kit.shop import Shop, handler, reads, shop_with

pytestmark = pytest.mark.once


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for tests that do not say that they need their own."""
    with shop_with(tmp_path_factory.mktemp('rest'), {}) as shared:
        yield shared


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
    return ('import json, os', 'from pathlib import Path', DATA.replace('PARENTS', str(parents)).replace('NAME', name),
            READERS[reader])


@pytest.mark.parametrize('reader', READERS)
def test_data_read_at_import(shop, name, reader):
    shop.save(f'{name}.json', '1')
    shop.add(name, reads('VALUE', *reading(name, reader, 2)), 1)
    with shop.steady(name):
        since = len(shop.server.lines)
        shop.save(f'{name}.json', '2')
        shop.becomes(name, 2)
        shop.server.wait_for_line(rf'Reloaded 1 module in \d+ ms: {name}\.json -> {handler(name)}$', since)


def test_data_of_a_helper(shop, name):
    shop.save(f'lib/{name}.json', '1')
    shop.save(f'lib/{name}.py', '\n'.join(reading(name)) + '\n')
    shop.add(name, reads('VALUE', f'from shop.lib.{name} import VALUE'), 1)
    with shop.steady(name, (2,)):
        for value, save in ((2, None), (3, in_place)):
            since = len(shop.server.lines)
            shop.save(f'lib/{name}.json', str(value), *filter(None, (save,)))
            shop.becomes(name, value)
            shop.server.wait_for_line(rf'Reloaded 2 modules in \d+ ms: lib/{name}\.json -> .*lib/{name}\.py', since)


def test_data_unchanged(shop, name):
    shop.save(f'{name}.json', '1')
    shop.add(name, reads('VALUE', *reading(name, parents=2)), 1)
    with shop.steady(name, (0,)):
        shop.save(f'{name}.json', '1')
        (shop.folder / f'{name}.json').touch()
        shop.save(f'{name}.json', '1', in_place)


def test_data_broken_for_a_while(shop, name):
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


def test_data_appears(shop, name):
    since = shop.fence()
    shop.save(handler(name), reads('VALUE', *reading(name, parents=2)))
    shop.server.wait_for_line(f'Broken: {handler(name)}', since)
    shop.save(f'{name}.json', '1')
    shop.becomes(name, 1)


def test_data_deleted(shop, name):
    shop.save(f'{name}.json', '1')
    shop.add(name, reads('VALUE', 'import os', *reading(name, parents=2)[:-1],
                         'VALUE = int(DATA.read_text()) if os.path.exists(DATA) else 0'), 1)
    (shop.folder / f'{name}.json').unlink()
    shop.becomes(name, 0)


LISTINGS = {
    'listdir': 'os.listdir(FOLDER)', 'scandir': '[entry.name for entry in os.scandir(FOLDER)]',
    'iterdir': '[path.name for path in FOLDER.iterdir()]',
    'path_glob': '[path.name for path in FOLDER.glob("*.txt")]',
    'glob': '[os.path.basename(path) for path in glob.glob(f"{FOLDER}/*.txt")]',
    'walk': '[name for _, _, names in os.walk(FOLDER) for name in names]'}


@pytest.mark.parametrize('listing', LISTINGS)
def test_folder_listed_at_import(shop, name, listing):
    shop.save(f'{name}/one.txt', '')
    lines = ('import glob, os', 'from pathlib import Path', f'FOLDER = Path(__file__).parents[2] / "{name}"',
             f'NAMES = sorted({LISTINGS[listing]})')
    shop.add(name, reads('NAMES', *lines), ['one.txt'])
    with shop.steady(name, (2,)):
        shop.save(f'{name}/two.txt', '')
        shop.becomes(name, ['one.txt', 'two.txt'])
        (shop.folder / f'{name}/one.txt').unlink()
        shop.becomes(name, ['two.txt'])


DYNAMIC = {
    'import_module': 'importlib.import_module("shop.lib." + NAME)',
    'relative': 'importlib.import_module("." + NAME, "shop.lib")'}


@pytest.mark.parametrize('way', DYNAMIC)
def test_dynamic_import(shop, name, way):
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.add(name, reads('MODULE.VALUE', 'import importlib', f'NAME = "{name}"', f'MODULE = {DYNAMIC[way]}'), 1)
    with shop.steady(name):
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
        shop.becomes(name, 2)


def test_dynamic_import_by_a_helper(shop, name):
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    shop.save(f'lib/{name}_load.py',
              'import importlib\n\ndef load(name):\n    return importlib.import_module("shop.lib." + name)\n')
    shop.add(name, reads('MODULE.VALUE', f'from shop.lib.{name}_load import load', f'MODULE = load("{name}")'), 1)
    with shop.steady(name):
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
        shop.becomes(name, 2)


def test_plugins(shop, name):
    """What is in a folder is imported: one more."""
    lines = ('import importlib, pkgutil', f'import shop.{name} as plugins',
             (f'FOUND = [importlib.import_module(f"shop.{name}.{{found.name}}").VALUE'
              ' for found in pkgutil.iter_modules(plugins.__path__)]'))
    shop.save(f'{name}/one.py', 'VALUE = 1\n')
    shop.add(name, reads('FOUND', *lines), [1])
    with shop.steady(name, (2,)):
        shop.save(f'{name}/two.py', 'VALUE = 2\n')
        shop.becomes(name, [1, 2])
        shop.save(f'{name}/two.py', 'VALUE = 3\n')
        shop.becomes(name, [1, 3])


def test_data_read_by_requests(shop, name):
    shop.save(f'{name}.json', '1')
    shop.add(name, 'import json\nfrom pathlib import Path\n' + reads(
        f'json.loads((Path(__file__).parents[2] / "{name}.json").read_text())'), 1)
    with shop.steady(name, (0,)):
        for value in range(2, 5):
            shop.save(f'{name}.json', str(value))
            shop.becomes(name, value)
