"""Who holds what is left of a module that was replaced, over modules made of text."""
from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from apiphant.dev.reload.survivors import LIBRARY, holders, watched

OLD = '''
def f():
    return g

def g():
    return f

class Thing:
    def tell(self):
        return Thing

class Meta(type):
    pass

class Other(Thing, metaclass=Meta):
    pass
'''


class Keeper:
    """As a library's object, in a module that the garbage collector does not see."""


@pytest.fixture
def modules() -> Iterator[dict[str, ModuleType]]:
    made = {name: ModuleType(name) for name in ('shop.old', 'shop.keeper', 'library')}
    sys.modules.update(made)
    exec(compile(OLD, '/shop/old.py', 'exec'), vars(made['shop.old']))
    yield made
    for name in made:
        sys.modules.pop(name, None)


def closure_over(value: Any) -> Any:
    return lambda: value


def left(modules: dict[str, ModuleType], hold: Any = None) -> dict[str, str]:
    """The old module is replaced, after `hold(old)`."""
    old = modules.pop('shop.old')
    del sys.modules['shop.old']
    if hold:
        hold(old)
    seen = watched({'shop.old': old})
    assert [one.name for one in seen] == ['f', 'g', 'Thing', 'Meta', 'Other']
    del old
    gc.collect()
    return holders(seen, 'shop')


def test_nothing_lives(modules: dict[str, ModuleType]) -> None:
    assert left(modules) == {}


@pytest.mark.parametrize(('hold', 'name'), [
    (lambda kept, old: kept.update(HOOKS=[old.f]), 'shop.keeper'),
    (lambda kept, old: kept.update(NESTED={'a': [{'b': (old.g,)}]}), 'shop.keeper'),
    (lambda kept, old: kept.update(tell=old.Thing.tell), 'shop.keeper'),
    (lambda kept, old: kept.update(closure=closure_over(old.f)), 'shop.keeper'),
])
def test_held_by_a_module(modules: dict[str, ModuleType], hold: Any, name: str) -> None:
    assert left(modules, lambda old: hold(vars(modules['shop.keeper']), old)) == {'shop.old': name}


def test_held_by_a_library(modules: dict[str, ModuleType]) -> None:
    assert left(modules, lambda old: vars(modules['library']).update(ACTORS={'f': old.f})) == {'shop.old': LIBRARY}


def test_held_out_of_sight(modules: dict[str, ModuleType]) -> None:
    """By an object that was there when the garbage collector was told to look at no such ones."""
    keeper = Keeper()
    gc.freeze()
    try:
        assert left(modules, lambda old: vars(keeper).update(f=old.f)) == {'shop.old': LIBRARY}
    finally:
        gc.unfreeze()


def test_objects_of_calls(modules: dict[str, ModuleType]) -> None:
    """An object that was made by a call is state, as with a module that is not edited."""
    assert left(modules, lambda old: vars(modules['shop.keeper']).update(THINGS=[old.Thing()])) == {}


def test_code_at_work(modules: dict[str, ModuleType]) -> None:
    greenlet = pytest.importorskip('greenlet')
    names: dict[str, Any] = {}
    source = 'import greenlet\ndef wait():\n    greenlet.getcurrent().parent.switch()\n'
    exec(compile(source, '/shop/old.py', 'exec'), names | {'__name__': 'shop.old'})
    exec(compile(source + 'def f(): pass\n', '/shop/old.py', 'exec'), vars(modules['shop.old']))
    running = greenlet.greenlet(modules['shop.old'].wait)
    running.switch()
    found = holders(watched({'shop.old': modules['shop.old']}), 'shop')
    assert found == {}
    running.switch()
