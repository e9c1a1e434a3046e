"""Values in words."""
import json

import pytest

from apiphant.dev.line.values import described, json_text, shortened


@pytest.mark.parametrize(('value', 'said'), [
    ({}, 'an empty object'), ({'a': 1}, 'an object'), ([], 'a list of 0'), ([1, 2], 'a list of 2'), (None, 'null'),
    (True, 'true'), (1.5, '1.5'), ('', '""'), ('é "x"', r'"é \"x\""'), ('x' * 38, f'"{"x" * 38}"'),
    ('x' * 39, f'"{"x" * 36}...'), ('x' * 10**6, f'"{"x" * 36}...'), (10**50, f'1{"0" * 36}...'),
])
def test_described(value, said):
    assert described(value) == said


@pytest.mark.parametrize(('text', 'length', 'short'), [
    ('', 5, ''), ('abcde', 5, 'abcde'), ('abcdef', 5, 'ab...'), ('x' * 40, 40, 'x' * 40),
    ('x' * 41, 40, 'x' * 37 + '...')])
def test_shortened(text, length, short):
    assert shortened(text, length) == short


def test_shortened_to_forty():
    assert [len(shortened('x' * length)) for length in (39, 40, 41, 1000)] == [39, 40, 40, 40]


@pytest.mark.parametrize(('value', 'indent', 'text'), [
    ({'a': 'é'}, None, '{"a": "é"}'), ({'a': 1}, 2, '{\n  "a": 1\n}'), ('\ud800', None, r'"\ud800"'),
    (10**30, None, str(10**30))])
def test_json_text(value, indent, text):
    assert json_text(value, indent) == text
    assert json.loads(text) == value
