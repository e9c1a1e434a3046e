"""Which module imports which."""
from __future__ import annotations

import ast

import pytest

from apiphant.dev.reload.graph import imported_by, importers, imports_of, patches_of


def names(source: str, module: str = 'shop.api.v0.echo', is_package: bool = False) -> set[str]:
    return set(imports_of(ast.parse(source), module, is_package, 'shop'))


@pytest.mark.parametrize(('source', 'expected'), (
    ('import shop', {'shop'}),
    ('import shop.lib.tax', {'shop', 'shop.lib', 'shop.lib.tax'}),
    ('import shop.lib.tax as tax', {'shop.lib.tax'}),
    ('import os, shop.lib as lib, shop.db as db', {'shop.lib', 'shop.db'}),
    ('from shop import lib', {'shop', 'shop.lib'}),
    ('from shop.lib import tax as other', {'shop.lib', 'shop.lib.tax'}),
    ('from shop.lib.tax import RATE, rate', {'shop.lib.tax', 'shop.lib.tax.RATE', 'shop.lib.tax.rate'}),
))
def test_absolute_imports(source, expected):
    assert names(source) == expected


@pytest.mark.parametrize(('source', 'expected'), (
    ('from . import other', {'shop.api.v0', 'shop.api.v0.other'}),
    ('from .other import VALUE', {'shop.api.v0.other', 'shop.api.v0.other.VALUE'}),
    ('from .. import LIMIT', {'shop.api', 'shop.api.LIMIT'}),
    ('from ..v1.other import f', {'shop.api.v1.other', 'shop.api.v1.other.f'}),
    ('from ... import lib', {'shop', 'shop.lib'}),
    ('from ...lib.tax import RATE as rate', {'shop.lib.tax', 'shop.lib.tax.RATE'}),
))
def test_relative_imports(source, expected):
    assert names(source) == expected


@pytest.mark.parametrize(('source', 'expected'), (
    ('from . import other', {'shop.api.v0', 'shop.api.v0.other'}),
    ('from .other import VALUE', {'shop.api.v0.other', 'shop.api.v0.other.VALUE'}),
    ('from .. import LIMIT', {'shop.api', 'shop.api.LIMIT'}),
))
def test_relative_in_package(source, expected):
    assert names(source, 'shop.api.v0', is_package=True) == expected


def test_relative_in_product():
    assert names('from . import lib', 'shop', is_package=True) == {'shop', 'shop.lib'}
    assert names('from . import lib', 'shop.echo') == {'shop', 'shop.lib'}


def test_relative_beyond_top():
    assert names('from .... import other', 'shop.echo') == set()


def test_star_import():
    assert 'shop.lib.tax' in names('from shop.lib.tax import *')
    assert 'shop.api.v0.other' in names('from .other import *')


@pytest.mark.parametrize('source', (
    'def read(request):\n    from shop.lib import tax',
    'class Handler:\n    def read(self):\n        from shop.lib import tax',
    'if condition:\n    from shop.lib import tax',
    'try:\n    import missing\nexcept ImportError:\n    from shop.lib import tax',
    'with suppress(ImportError):\n    from shop.lib import tax',
    'match value:\n    case 1:\n        from shop.lib import tax',
    'async def later():\n    from shop.lib import tax',
))
def test_import_anywhere(source):
    assert names(source) == {'shop.lib', 'shop.lib.tax'}


@pytest.mark.parametrize('source', ('import os.path', 'from json import loads', 'import shopping.cart',
                                    'from shopping import cart', 'VALUE = "import shop"', ''))
def test_imports_from_elsewhere(source):
    assert names(source) == set()


@pytest.mark.parametrize(('source', 'expected'), (
    ('import json\njson.dumps = None', {'json.dumps'}),
    ('import json as j\nj.dumps = j.loads = None', {'json.dumps', 'json.loads'}),
    ('import os.path\nos.path.exists = None', {'os.path.exists'}),
    ('import os.path\nos.environ = None', set()),
    ('import json\ndef later():\n    json.dumps = None', set()),
    ('import json\nprint(json.dumps)\nx = json.dumps\njson = 1', set()),
    ('import json\nx.dumps = json.x = 1', {'json.x'}),
    ('import shop.lib\nshop.lib.RATE = 1', set()),
    ('import shop.lib as lib\nlib.RATE = 1', set()),
    ('import shopping\nshopping.cart = 1', {'shopping.cart'}),
    ('json.dumps = None', set()),
    ('', set()),
))
def test_patches(source, expected):
    assert patches_of(ast.parse(source), 'shop') == expected


IMPORTS = {
    'handler': {'mid', 'state'},
    'mid': {'tax'},
    'other': {'tax'},
    'alone': {'state'},
    'tax': set(),
}


@pytest.mark.parametrize(('changed', 'expected'), (
    ({'tax'}, {'tax', 'mid', 'other', 'handler'}),
    ({'mid'}, {'mid', 'handler'}),
    ({'handler'}, {'handler'}),
    ({'state', 'other'}, {'state', 'other', 'handler', 'alone'}),
    ({'unknown'}, {'unknown'}),
    (set(), set()),
))
def test_importers_of_importers(changed, expected):
    assert importers(changed, IMPORTS) == expected


@pytest.mark.parametrize('changed', ('a', 'b', 'c'))
def test_importers_in_cycle(changed):
    imports = {'a': {'b'}, 'b': {'c'}, 'c': {'a'}, 'user': {'b'}, 'alone': {'user_of_nothing'}}
    assert importers({changed}, imports) == {'a', 'b', 'c', 'user'}


def test_importer_of_itself():
    assert importers({'a'}, {'a': {'a'}}) == {'a'}


def test_importers_keep_arguments():
    changed = {'tax'}
    importers(changed, IMPORTS)
    assert changed == {'tax'}


def test_long_chain():
    imports = {f'm{number + 1}': {f'm{number}'} for number in range(5000)}
    assert len(importers({'m0'}, imports)) == 5001


def test_imported_by():
    imports = {'a': ['b'], 'b': ['c', 'a'], 'd': ['e']}
    assert imported_by('a', lambda name: imports.get(name, [])) == {'b', 'c'}
    assert imported_by('x', lambda name: imports.get(name, [])) == set()
