"""Parts of the last answer, and what is said where there are none."""
import re

import pytest

from apiphant.dev.line.paths import NAMES_SHOWN, PATH, NoValue, look_up

LAST = {'items': [{'id': 5, 'tags': ['x', 'y']}], 'total': 2, 'X': None, 'two words': {'a"]b': 1}, '0': 'zero'}


@pytest.mark.parametrize(('path', 'value'), [
    ('$', LAST), ('_', LAST), ('$.total', 2), ('_["total"]', 2), ('$.items[0].id', 5), ('$.items[-1]["tags"][1]', 'y'),
    ('$.items.0.tags.-1', 'y'),
    ('$.X', None), ('$["two words"]["a\\"]b"]', 1), ('$.0', 'zero'), ('$["0"]', 'zero'),
])
def test_value(path, value):
    assert PATH.fullmatch(path)
    assert look_up(LAST, path) is value or look_up(LAST, path) == value


@pytest.mark.parametrize(('path', 'said'), [
    ('$.total[0]', 'total[0]: total is 2'),
    ('$.total.x', 'total.x: total is 2'),
    ('$.items[0].tags[0][0]', 'items[0].tags[0][0]: items[0].tags[0] is "x"'),
    ('$.items[0].tags[0].0', 'items[0].tags[0].0: items[0].tags[0] is "x"'),
    ('$.items[1]', 'items[1]: items has 1'),
    ('$.items.1', 'items.1: items is a list of 1'),
    ('$.items.id', 'items.id: items is a list of 1'),
    ('$.X.y', 'X.y: X is null'),
    ('$[0]', '[0]: it has items, total, X, two words, 0'),
    ('$.Y', 'Y: it has items, total, X, two words, 0'),
    ('$["two words"].c', '["two words"].c: ["two words"] has a"]b'),
])
def test_no_value(path, said):
    with pytest.raises(NoValue, match=f'^the last answer has no {re.escape(said)}$'):
        look_up(LAST, path)


@pytest.mark.parametrize('count', [1, NAMES_SHOWN, NAMES_SHOWN + 1, 1000])
def test_some_names_shown(count):
    names = [f'key{number}' for number in range(count)]
    with pytest.raises(NoValue) as caught:
        look_up(dict.fromkeys(names), '$.nope')
    more = ', ...' if count > NAMES_SHOWN else ''
    assert str(caught.value) == f'the last answer has no nope: it has {", ".join(names[:NAMES_SHOWN])}{more}'


@pytest.mark.parametrize('last', [{}, [], 0, '', False])
def test_false_answers_are_there(last):
    assert look_up(last, '$') == last
    with pytest.raises(NoValue, match='the last answer has no x: it is '):
        look_up(last, '$.x')


def test_no_answer_yet():
    with pytest.raises(NoValue, match=r'^there is no last answer yet for \$\.x$'):
        look_up(None, '$.x')
