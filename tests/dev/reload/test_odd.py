"""Modules that are odd but legal: none stops the reloader, or keeps others from being live. A real `apiphant dev`."""
from __future__ import annotations

import re
import weakref
from collections.abc import Iterator

import pytest

from apiphant.dev.reload.leftovers import generations_at_work
from tests.kit.running import production, run_cli, write_tree
from tests.kit.shop import Shop, handler, reads, shop_with

pytestmark = pytest.mark.once

HOSTILE = '''
class Hostile:
    def refuse(self, *arguments):
        raise KeyError('hostile')

    __eq__ = __hash__ = __bool__ = __len__ = __repr__ = __fspath__ = __call__ = __getattr__ = refuse
    __class__ = property(refuse)
'''
REPLACED = 'import sys\n{}\nsys.modules[__name__] = {}\n'
NAMES = ('file', 'name', 'path', 'spec', 'loader', 'package')
VALUES = {'none': 'None', 'bytes': 'b"x"', 'number': '5', 'nul': r'"a\0b"', 'surrogate': r'"\ud800"'}
CLOSED = '''from types import ModuleType
class Closed(ModuleType):
    def __getattribute__(self, name):
        raise KeyError(name)
    __setattr__ = __delattr__ = __getattribute__
'''
ODD = {
    'getattr': 'def __getattr__(name):\n    raise KeyError(name)\n',
    'values': HOSTILE + 'RESTART = __on_unload__ = value = Hostile()\n',
    'keys': 'globals()[1] = []\n',
    'file_path': 'from pathlib import Path\n__file__ = Path(__file__)\n',
    'file_hostile': HOSTILE + '__file__ = Hostile()\n',
    **{f'{name}_{kind}': f'__{name}__ = {value}\n' for name in NAMES for kind, value in VALUES.items()},
    'spec_hostile': HOSTILE + '__spec__ = __loader__ = Hostile()\n',
    'by_object': REPLACED.format('', 'object()'),
    'by_none': REPLACED.format('', 'None'),
    'by_number': REPLACED.format('', '5'),
    'by_hostile': REPLACED.format(HOSTILE, 'Hostile()'),
    'by_namespace': REPLACED.format('from types import SimpleNamespace', 'SimpleNamespace(V=1)'),
    'by_class': REPLACED.format(HOSTILE, 'Hostile'),
    'by_mock': REPLACED.format('from unittest.mock import MagicMock', 'MagicMock()'),
    'by_proxy': REPLACED.format('import weakref', 'weakref.proxy(set())'),
    'by_module': REPLACED.format(CLOSED, 'Closed("closed")'),
    'by_dictless': REPLACED.format('class Closed:\n    __dict__ = property(lambda self: 1 / 0)', 'Closed()'),
    'dead_proxy': 'import sys, weakref\nsys.modules["dead"] = sys.modules["shop.dead"] = weakref.proxy(set())\n',
    'number_for_a_name': 'import sys\nsys.modules[7] = object()\n',
    'import_of_a_number': 'import importlib\ntry:\n    importlib.import_module(5)\nexcept Exception:\n    pass\n',
}
ODD_TARGETS = ['getattr', 'values', 'keys', 'name_none', 'spec_none', *(name for name in ODD if name.startswith('by_'))]
ASYNC = '\n\nasync def read(request):\n    return {}\n'
EMPTY_ERROR = 'class E(Exception):\n    def __len__(self):\n        return 0\n'
HOSTILE_ERROR = f'{HOSTILE}class E(Hostile, Exception):\n    __class__ = property(lambda self: 1 / 0)\n'
FAULTS = 'Traceback|failed|Broken|left with exit'


def versioned(text: str, version: int, name: str) -> str:
    """An odd module that says which it is where everybody sees it."""
    return f'import builtins\nbuiltins.v_{name} = {version}\n{text}'


def user_of(name: str) -> str:
    """A target that imports it, if it can be, and reads the version."""
    tried = ('try:', f'    import shop.lib.{name}', 'except Exception:', '    pass')
    return reads(f'builtins.v_{name}', 'import builtins', *tried)


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all tests that do not say that they need their own."""
    with shop_with(tmp_path_factory.mktemp('odd'), {handler('good'): reads(0)}) as shared:
        shared.becomes('good', 0)
        yield shared


def assert_reloads(shop: Shop, since: int, *names: str) -> None:
    """What is odd is reloaded as anything is, also with the packages that it is in, and nobody else suffers."""
    for version in (2, 3):
        for name in names:
            shop.save(f'lib/{name}.py', versioned(ODD[name], version, name))
        for name in names:
            shop.becomes(name, version)
        shop.save('__init__.py', f'V = {version}\n')
        shop.add('good', reads(f'shop.V + {version}', 'import shop'), 2 * version)
        shop.fence()
    assert shop.logged(FAULTS, since) == []


@pytest.mark.parametrize('odd', ODD)
def test_saved(shop: Shop, odd: str) -> None:
    since = shop.fence()
    shop.save(f'lib/{odd}.py', versioned(ODD[odd], 1, odd))
    shop.add(odd, user_of(odd), 1)
    assert_reloads(shop, since, odd)


def test_all_at_start(tmp_path) -> None:
    files = {f'lib/{name}.py': versioned(text, 1, name) for name, text in ODD.items()}
    with shop_with(tmp_path, {**files, **{handler(name): user_of(name) for name in ODD}}) as shop:
        assert [shop.answer(name) for name in ODD] == [1] * len(ODD)
        assert_reloads(shop, 0, *ODD)


def test_targets(tmp_path) -> None:
    """What has names of its own has actions, in dev as in production."""
    files = {handler(name): f'{reads(1)}\n\n{ODD[name]}' for name in ODD_TARGETS}
    with shop_with(tmp_path, files) as shop:
        answers = {name: shop.answer(name) for name in ODD_TARGETS}
        assert shop.logged(FAULTS, 0) == []
        shop.add('good', reads(1), 1)
    with production(tmp_path / 'shop') as server:
        statuses = {name: server.post(f'/api/v0/{name}/read')[0] for name in ODD_TARGETS}
    assert answers == {name: 'status 404' if name.startswith('by_') else 1 for name in ODD_TARGETS}
    assert statuses == {name: 404 if name.startswith('by_') else 200 for name in ODD_TARGETS}


def test_package_and_its_modules(shop: Shop) -> None:
    """A package that holds something hostile by a module's name is the owner of that name."""
    since = shop.fence()
    shop.save('pack/__init__.py', f'{HOSTILE}\nvalue = Hostile()\n')
    shop.save('pack/value.py', 'V = 1\n')
    shop.add('pack', reads('V', 'from shop.pack.value import V'), 1)
    shop.save('pack/value.py', 'V = 2\n')
    shop.becomes('pack', 2)
    assert shop.logged(FAULTS, since) == []


def test_replaced_module_in_its_package(shop: Shop) -> None:
    """Through the package's attribute, too, there is the new one."""
    text = 'import sys\nfrom types import SimpleNamespace\nsys.modules[__name__] = SimpleNamespace(V={})\n'
    shop.save('lib/settings.py', text.format(1))
    shop.add('settings', reads('lib.settings.V', 'from shop import lib', 'import shop.lib.settings'), 1)
    shop.save('lib/settings.py', text.format(2))
    shop.becomes('settings', 2)


@pytest.mark.parametrize('error', [EMPTY_ERROR, HOSTILE_ERROR], ids=['empty', 'hostile'])
def test_odd_error(shop: Shop, request: pytest.FixtureRequest, error: str) -> None:
    """It is broken until it is mended, whatever its error is."""
    name = re.sub(r'\W+', '_', request.node.name).rstrip('_')
    shop.add(name, reads(1), 1)
    since = shop.fence()
    shop.save(handler(name), f'{error}\nraise E()\n')
    shop.server.wait_for_line(rf'Broken: api/v0/{name}\.py; the code before this goes on', since)
    assert shop.answer(name) == 1
    shop.save(handler(name), reads(2))
    shop.becomes(name, 2)
    assert shop.logged('Reloading failed', since) == []


def test_async_at_start(tmp_path) -> None:
    """It is broken, where it is is said, and the rest serves."""
    with shop_with(tmp_path, {handler('good'): reads(1), handler('later'): ASYNC}) as shop:
        assert shop.answer('good') == 1
        assert shop.answer('later') == 'status 503'
        assert len(shop.logged(r'Broken: api/v0/later\.py; its calls are answered with 503', 0)) == 1
        assert len(shop.logged(r'shop/api/v0/later\.py:3: .*later\.read is an async function', 0)) == 1
        shop.add('good', reads(2), 2)
        assert shop.answer('later') == 'status 503'
        since = shop.fence()
        shop.save(handler('later'), reads(3))
        shop.becomes('later', 3)
        shop.save(handler('later'), ASYNC)
        shop.server.wait_for_line(r'Broken: api/v0/later\.py; the code before this goes on', since)
        assert shop.answer('later') == 3


def test_async_in_production(tmp_path) -> None:
    write_tree(tmp_path / 'shop', {handler('later'): ASYNC})
    found = run_cli(str(tmp_path / 'shop'), '127.0.0.1:0')
    assert found.returncode == 1
    assert re.search(r'shop/api/v0/later\.py:3: .*later\.read is an async function', found.stderr)
    assert 'Traceback' not in found.stderr


def test_async_elsewhere(shop: Shop) -> None:
    """A helper may have what would be no action."""
    shop.save('lib/client.py', 'async def read(request):\n    return {}\nV = 1\n')
    shop.add('client', reads('V', 'from shop.lib.client import V'), 1)
    since = shop.fence()
    shop.save('lib/client.py', 'async def read(request):\n    return {}\nV = 2\n')
    shop.becomes('client', 2)
    assert shop.logged(FAULTS, since) == []


def test_virtual_environment_around(tmp_path) -> None:
    """The product's folder is one; one that is below it is none of its code."""
    files = {'pyvenv.cfg': '', handler('good'): reads(1), 'venv/pyvenv.cfg': '', 'venv/lib/broken.py': '('}
    with shop_with(tmp_path, files) as shop:
        assert shop.answer('good') == 1
        shop.add('good', reads(2), 2)
        shop.save('venv/lib/broken.py', ')')
        shop.fence()
        assert shop.logged(FAULTS, 0) == []


def test_greenlets_among_the_odd() -> None:
    names: dict[str, type] = {}
    exec(HOSTILE, names)
    alive = [names['Hostile'](), weakref.proxy(set())]
    assert not generations_at_work('/nowhere')
    assert len(alive) == 2
