"""JSON values as Python source."""
import ast

import pytest

from apiphant.dev.source.literals import WIDTH, CannotRecord, literal, pretty


@pytest.mark.parametrize(('value', 'text'), [
    (None, 'None'), (True, 'True'), (False, 'False'), (0, '0'), (-1.5, '-1.5'), (10**30, str(10**30)), ('', '""'),
    ('a', '"a"'),
    ("it's", '"it\'s"'), ('say "hi"', r'"say \"hi\""'), ('back\\slash', r'"back\\slash"'),
    ('\n\0\ud800é', r'"\n\x00\ud800é"'),
    ({}, '{}'), ([], '[]'), ((), '[]'), ({'a': [1, {'b': None}]}, '{"a": [1, {"b": None}]}'), ((1, 2), '[1, 2]'),
])
def test_literal(value, text):
    assert literal(value) == text
    assert ast.literal_eval(text) == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), object, {1}, [{'a': b''}], 1j])
def test_no_json(value):
    with pytest.raises(CannotRecord, match='is not JSON'):
        literal(value)


def test_number_too_long():
    with pytest.raises(CannotRecord, match='a number is too long'):
        literal(10**5000)


def test_as_long_as_a_line():
    """With one more character after it, a comma or a parenthesis."""
    value = ['a' * 20]
    length = len(literal(value))
    assert pretty(value, '', WIDTH - length - 1) == literal(value)
    assert pretty(value, '', WIDTH - length) == f'[\n    {literal(value[0])},\n]'


@pytest.mark.parametrize('value', ['a' * 200, {}, [], (), 7])
def test_what_cannot_be_divided(value):
    assert pretty(value, '', WIDTH) == literal(value)


def test_divided_inside():
    value = {'short': [1], 'long': {'items': ['b' * 60, 'c' * 60]}}
    assert pretty(value, '    ', 4) == (
        '{\n        "short": [1],\n        "long": {\n            "items": [\n'
        f'                "{"b" * 60}",\n                "{"c" * 60}",\n            ],\n        }},\n    }}')
