"""Where the names in a source file come from."""
import ast
import warnings
from importlib import import_module

import pytest

from apiphant.dev.source.names import STARRED, origin, origins, parse


def names(source):
    return origins(ast.walk(parse(source)))


@pytest.mark.parametrize(('source', 'expected'), [
    ('import os', {'os': 'os'}),
    ('import os.path', {'os': 'os'}),
    ('import os.path as p', {'p': 'os.path'}),
    ('import os, apiphant.test as t, json.decoder', {'os': 'os', 't': 'apiphant.test', 'json': 'json'}),
    ('from apiphant.validation import field', {'field': 'apiphant.validation.field'}),
    ('from apiphant.validation import field as f, Invalid',
     {'f': 'apiphant.validation.field', 'Invalid': 'apiphant.validation.Invalid'}),
    ('from . import lib', {'lib': '..lib'}),
    ('from ..lib import tax as t', {'t': '..lib.tax'}),
    ('from apiphant.validation import *', {'field': 'apiphant.validation.field'}),
    ('from apiphant.test import *', {'test': 'apiphant.test.test', 'config': 'apiphant.test.config'}),
    ('from elsewhere import *', {}),
    ('from .validation import *', {}),
    ('def f():\n    import json', {'json': 'json'}),
    ('import os\nimport json as os', {'os': 'json'}),
    ('x = 1', {}),
])
def test_origins(source, expected):
    assert names(source) == expected


@pytest.mark.parametrize(('home', 'name'), [(home, name) for home, starred in STARRED.items() for name in starred])
def test_starred_are_there(home, name):
    assert hasattr(import_module(home), name)


@pytest.mark.parametrize(('expression', 'expected'), [
    ('field', 'apiphant.validation.field'),
    ('v.field', 'apiphant.validation.field'),
    ('v.a.b', 'apiphant.validation.a.b'),
    ('unknown.field', 'unknown.field'),
    ('f().field', ''),
    ('f()', ''),
    ('v[0].field', ''),
    ('"v".field', ''),
])
def test_origin(expression, expected):
    found = names('import apiphant.validation as v\nfrom apiphant.validation import field')
    assert origin(ast.parse(expression, mode='eval').body, found) == expected


def test_parsed_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert parse('x = "\\d" is 1').body
