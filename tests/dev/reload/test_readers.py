"""Who reads and imports: each module of the product whose code is at work, whoever is being imported, or called."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.saves import in_place
from tests.kit.shop import Shop, handler, reads, shop_with

SETTINGS = '''
import functools, json
from pathlib import Path

@functools.lru_cache
def settings():
    return json.loads((Path(__file__).parent / 'settings.json').read_text())
'''
LAZY = '''
import importlib

def __getattr__(name):
    if name == 'late':
        return importlib.import_module('.late', __name__)
    raise AttributeError(name)
'''
DUNDER = """NAME = 'shop.lib.dunder_late'

def value():
    return getattr(__import__(NAME, fromlist=['x']), 'VALUE')
"""
FILES = {
    'config.py': SETTINGS, 'settings.json': '1',
    handler('first'): reads('VALUE', 'from shop.config import settings', '', 'VALUE = settings()'),
    handler('second'): reads('VALUE', 'from shop.config import settings', '', 'VALUE = settings()'),
    'lazy/__init__.py': LAZY, 'lazy/late.py': 'VALUE = 1\n',
    handler('lazy_import'): reads('VALUE', 'from shop import lazy', '', 'VALUE = lazy.late.VALUE'),
    handler('lazy_call'): reads('lazy.late.VALUE', 'from shop import lazy'),
    'lib/dunder.py': DUNDER, 'lib/dunder_late.py': 'VALUE = 1\n',
    handler('dunder'): reads('VALUE', 'from shop.lib.dunder import value', '', 'VALUE = value()'),
    handler('dunder_call'): reads('dunder.value()', 'from shop.lib import dunder'),
}


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop_with(tmp_path_factory.mktemp('readers'), FILES) as shared:
        yield shared


@pytest.mark.parametrize(('file', 'text', 'targets'), [
    ('settings.json', '{}', ('first', 'second')),
    ('lazy/late.py', 'VALUE = {}\n', ('lazy_import', 'lazy_call')),
    ('lib/dunder_late.py', 'VALUE = {}\n', ('dunder', 'dunder_call'))])
def test_each_at_work(shop: Shop, file: str, text: str, targets: tuple[str, ...]) -> None:
    for target in targets:
        shop.becomes(target, 1)
    for value in (2, 3):
        shop.save(file, text.format(value), in_place)
        for target in targets:
            shop.becomes(target, value)
