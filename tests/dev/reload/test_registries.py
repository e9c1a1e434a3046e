"""What an import changed in other modules, over modules made of text."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from apiphant.dev.reload.decision import Change
from apiphant.dev.reload.registries import Registries

OWNER = '''
import collections, functools, weakref
HOOKS = []
COMMANDS = {}
LATE = collections.defaultdict(list)
WEAK = weakref.WeakValueDictionary()
SETTING = 1

def rate():
    return 1

class Registry:
    def __init__(self):
        self.entries = {'a': []}

class Slots:
    __slots__ = ('entries',)

class Meta(type):
    def __new__(meta, name, bases, names):
        made = super().__new__(meta, name, bases, names)
        KINDS.append(name)
        return made

class Base:
    known = []
    def __init_subclass__(cls):
        Base.known.append(cls)

def make():
    entries = []
    def register(function):
        entries.append(function)
        return function
    return register

KINDS = []
NESTED = Registry()
SLOTS = Slots()
SLOTS.entries = []
register = make()
'''


@pytest.fixture
def registries() -> Iterator[Registries]:
    owner = sys.modules['shop.owner'] = ModuleType('shop.owner')
    exec(OWNER, vars(owner))
    found = Registries('shop')
    found.look_at('shop.owner')
    assert found.changes(['shop.owner']) == frozenset()
    yield found
    del sys.modules['shop.owner']


@pytest.mark.parametrize(('code', 'name'), [
    ('owner.HOOKS.append(lambda: 1)', 'HOOKS'),
    ('owner.HOOKS.insert(0, 5)', 'HOOKS'),
    ('owner.COMMANDS["x"] = 1', 'COMMANDS'),
    ('owner.COMMANDS.setdefault("x", {})', 'COMMANDS'),
    ('owner.LATE["x"].append(1)', 'LATE'),
    ('owner.WEAK["x"] = owner.Base', 'WEAK'),
    ('owner.SETTING = 2', 'names'),
    ('owner.rate = lambda inner=owner.rate: inner()', 'names'),
    ('owner.added = 2', 'names'),
    ('owner.NESTED.entries["a"].append(1)', 'NESTED'),
    ('owner.NESTED.more = 1', 'NESTED'),
    ('owner.SLOTS.entries.append(object())', 'SLOTS'),
    ('owner.Meta("Kind", (), {})', 'KINDS'),
    ('class Sub(owner.Base): pass', 'Base'),
    ('owner.Base.more = 1', 'Base'),
    ('owner.register(len)', 'register'),
])
def test_seen_once(registries: Registries, code: str, name: str) -> None:
    names = {'owner': sys.modules['shop.owner']}
    exec(code, names)
    changes = registries.changes(['shop.owner'])
    assert Change('shop.owner', name) in changes, changes
    assert registries.changes(['shop.owner']) == frozenset()


@pytest.mark.parametrize('code', [
    'owner.rate()', 'owner.NESTED.entries["a"]', 'import json; owner.child = json', 'owner.__cached__ = 1',
    'owner.Base()'])
def test_nothing_to_see(registries: Registries, code: str) -> None:
    exec(code, {'owner': sys.modules['shop.owner']})
    assert registries.changes(['shop.owner']) == frozenset()


def test_kept_by_a_library() -> None:
    """An object of a class that is none of the product's, and what it leads to."""
    pluggy = pytest.importorskip('pluggy')
    owner = sys.modules['shop.foreign'] = ModuleType('shop.foreign')
    vars(owner)['manager'] = pluggy.PluginManager('shop')
    registries = Registries('shop')
    registries.look_at('shop.foreign')
    vars(owner)['manager'].register(object())
    del sys.modules['shop.foreign']
    assert registries.changes(['shop.foreign']) == {Change('shop.foreign', 'manager', is_foreign=True)}
