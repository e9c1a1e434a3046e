"""Expected answers with room in them."""
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiphant.expected import filled, is_as_expected, line, lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, -1.5]) | st.sampled_from('ab'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from('abc'), inner, max_size=3),
)


@pytest.mark.parametrize(('expected', 'good', 'bad'), [
    (..., [1, None, 'x', {}, [], True], []),
    (int, [1, 0, 10**30], [True, 1.5, '1', None, []]),
    (float, [1.5, 1], [True, '1.5']),
    (bool, [True, False], [1, None]),
    (str, ['', 'x'], [1, None]),
    (dict, [{}, {'a': 1}], [[], None]),
    (list, [[], [1]], [{}, 'x']),
    (re.compile(r'\d+'), ['1', '12'], ['', 'x1', '1x', '1\n', 1, None]),
    ({'id': int}, [{'id': 1}], [{}, {'id': '1'}, {'id': 1, 'x': 2}, [], None, 1]),
    ({'id': int, ...: ...}, [{'id': 1}, {'id': 1, 'x': 2}], [{}, {'x': 2}, {'id': None}]),
    ({...: ...}, [{}, {'x': 2}], [[], None]),
    ({'id': ...}, [{'id': None}, {'id': 1}], [{}, {'x': 1}]),
    ([int, ...], [[1, 2], [1, None]], [[], [1], [1, 2, 3], ['1', 2], {}]),
    ((1, 2), [[1, 2]], [[1, 2.0], [1]]),
    ({'items': [{'id': int}]}, [{'items': [{'id': 3}]}], [{'items': []}, {'items': [{'id': '3'}]}]),
    ({1: 2}, [{'1': 2}], [{'2': 2}]),
    (1, [1], [1.0, True, '1']),
    ('<int>', ['<int>'], [1]),
])
def test_what_fits(expected, good, bad):
    for value in good:
        assert is_as_expected(value, expected), value
        assert line(filled(value, expected)) == line(value)
    for value in bad:
        assert not is_as_expected(value, expected), value


def test_text_that_looks_like_a_type():
    assert not is_as_expected('<int>', int)
    assert not is_as_expected('...', [...])


@given(JSON, JSON)
def test_without_room_it_is_exact(actual, expected):
    is_same = json.dumps(actual, sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert is_as_expected(actual, expected) is is_same
    assert filled(actual, expected) == expected
    assert is_as_expected(actual, actual)


def test_difference_shows_only_what_does_not_fit():
    actual = {'id': 7, 'name': 'tea', 'tags': ['a', 'b'], 'more': 1}
    expected = {'id': int, 'name': 1, 'tags': [str, 'c', str], 'gone': ..., ...: ...}
    assert filled(actual, expected) == {'id': 7, 'name': 1, 'tags': ['a', 'c', str], 'gone': ..., 'more': 1}
    assert line({'a': ..., 'b': [int, re.compile('x+')]}) == '{"a": "...", "b": ["<int>", "<like x+>"]}'
    assert lines([int]) == ['[', '  "<int>"', ']']


def test_what_is_no_json():
    with pytest.raises(TypeError, match='object is not JSON'):
        is_as_expected(1, object())
