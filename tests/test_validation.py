import pickle
import re

import pytest

from apiphant.api.request import Request
from apiphant.validation import ApiError, BadRequest, Invalid, Missing, field


def error_of(*args, **kwargs):
    with pytest.raises(BadRequest) as caught:
        field(*args, **kwargs)
    assert caught.value.status == 400
    return caught.value.error


INVALID = {'field': 'x', 'state': 'invalid'}
MISSING = {'field': 'x', 'state': 'missing'}


def test_absent_and_null():
    for request in ({}, {'x': None}):
        assert field(request, 'x') is None
        assert field(request, 'x', default_value='X') == 'X'
        assert error_of(request, 'x', is_required=True) == MISSING
        assert field(request, 'x', valid_type=int, max_length=1) is None


def test_falsy_values_are_there():
    for value in (0, '', False, [], {}):
        assert field({'x': value}, 'x', is_required=True, default_value='X') == value


@pytest.mark.parametrize(('rules', 'good', 'bad'), [
    ({'valid_value': 'X'}, ['X'], ['Y', 'x', ['X'], 1]),
    ({'valid_value': 1}, [1, 1.0], [True, 2, '1']),
    ({'valid_value': True}, [True], [1, False]),
    ({'valid_value': 0}, [0], [False, 1]),
    ({'valid_type': int}, [0, 42, -1, 10**30], [True, False, 1.0, '1', [1]]),
    ({'valid_type': bool}, [True, False], [0, 1, 'true']),
    ({'valid_type': float}, [1.5, 1], [True, '1']),
    ({'valid_type': str}, ['', 'x'], [1, ['x']]),
    ({'valid_type': dict}, [{}, Request()], [[], 'x']),
    ({'valid_type': (int, str)}, [1, 'x'], [True, 1.5]),
    ({'valid_type': (int, bool)}, [1, True], ['x']),
    ({'valid_type': object}, [1, True, 'x', {}], []),
    ({'valid_length': 2}, ['ab', [1, 2], {'a': 1, 'b': 2}], ['a', [], 42, 1.5, True]),
    ({'valid_length': 0}, ['', []], ['a', 0]),
    ({'max_length': 2}, ['ab', 'a', '', [1]], ['abc', [1, 2, 3], 42, False]),
    ({'max_length': 0}, ['', []], ['a', 0]),
    ({'valid_type': str, 'max_length': 2}, ['ab'], ['abc', [1]]),
    ({'min_length': 2}, ['ab', [1, 2], {'a': 1, 'b': 2}], ['a', '', [1], {}, 42, 0, True]),
    ({'min_length': 0}, ['', [], {}, 'a'], [0, True, 1.5]),
    ({'min_length': 1, 'max_length': 2}, ['a', 'ab'], ['', 'abc']),
    ({'min_value': 1}, [1, 1.0, 2, 10**400, 1e308], [0, 0.99, -1, True, '2', [2], {'a': 2}]),
    ({'max_value': 1}, [1, 1.0, 0, -(10**400)], [1.01, 2, False, '0', [0]]),
    ({'min_value': 0, 'max_value': 0.5}, [0, 0.5, 0.25], [0.6, -0.1, 1]),
    ({'min_value': 0}, [0, -0.0], [-1]),
    ({'min_value': 1.5}, [10**400], [-(10**400)]),
    ({'min_value': '2026-01-01', 'max_value': '2026-12-31'},
     ['2026-01-01', '2026-06-01T10:00'], ['2025', '2027', 2026]),
    ({'one_of': ['new', 1]}, ['new', 1, 1.0], ['old', True, '1', ['new'], {}]),
    ({'one_of': {'new', 'old'}}, ['new'], ['ne', ['new']]),
    ({'one_of': [True]}, [True], [1]),
    ({'one_of': []}, [], ['x', 0]),
    ({'one_of': {'a': 1}.keys()}, ['a'], [1]),
    ({'pattern': '[a-z]+'}, ['abc'], ['', 'abc1', '1abc', 'abc\n', 'ABC', 1, ['abc']]),
    ({'pattern': re.compile('[a-z]+', re.IGNORECASE)}, ['ABC'], ['ABC1']),
    ({'pattern': ''}, [''], ['a', 0]),
])
def test_rules(rules, good, bad):
    for value in good:
        assert field({'x': value}, 'x', **rules) == value
    for value in bad:
        assert error_of({'x': value}, 'x', **rules) == INVALID


EACH = Request({
    'items': [{'id': 1, 'tags': ['a', 'b']}, {'id': 2}, {'id': None, 'tags': []}], 'empty': [], 'none': None,
    'numbers': [1, 2, 'x'], 'user': {'name': 'n'}, 'text': 'abc',
})


@pytest.mark.parametrize(('name', 'value'), [
    ('items.*.id', [1, 2, None]), ('items.*.tags', [['a', 'b'], None, []]), ('items.*.tags.*', [['a', 'b'], [], []]),
    ('numbers.*', [1, 2, 'x']), ('empty.*', []), ('empty.*.id', []), ('none.*.id', []), ('nobody.*', []),
])
def test_each_item(name, value):
    assert field(EACH, name) == value


def test_default_of_each_item():
    assert field(EACH, 'items.*.id', default_value=0) == [1, 2, 0]
    assert field(EACH, 'nobody.*', default_value=0) == []


@pytest.mark.parametrize(('name', 'rules', 'state', 'where'), [
    ('items.*.id', {'is_required': True}, 'missing', 'items.2.id'),
    ('items.*.id', {'max_value': 1}, 'invalid', 'items.1.id'),
    ('items.*.tags.*', {'one_of': ['a']}, 'invalid', 'items.0.tags.1'),
    ('items.*.tags.*', {'is_required': True}, 'missing', 'items.1.tags'),
    ('numbers.*', {'valid_type': int}, 'invalid', 'numbers.2'),
    ('nobody.*.id', {'is_required': True}, 'missing', 'nobody'),
    ('user.*', {}, 'invalid', 'user'),
    ('text.*', {}, 'invalid', 'text'),
    ('numbers.*.id', {}, 'invalid', 'numbers.0.id'),
])
def test_error_names_the_item(name, rules, state, where):
    assert error_of(EACH, name, explain='e', **rules) == {'field': where, 'state': state, 'explain': 'e'}


def test_star_is_a_key_of_its_own():
    assert field({'*': 1, '*x': 2, 'user': {'*x': 3, 'a*': 4}}, '*') == 1
    assert field({'user': {'*x': 3}}, 'user.*x') == 3
    assert field({'user': {'a*': 4}}, 'user.a*') == 4


@pytest.mark.parametrize('explain', ['text', 0, -1, False, None, [], {}, {'a': 1}, 1.5])
def test_explain_is_any_json(explain):
    for error in (Invalid('x', explain).error, error_of({'x': 1}, 'x', valid_type=str, explain=explain)):
        assert error == {**INVALID, 'explain': explain}
    assert Missing('x', explain).error == {**MISSING, 'explain': explain}
    assert error_of({}, 'x', is_required=True, explain=explain) == {**MISSING, 'explain': explain}


def test_no_explain():
    assert Invalid('x').error == Invalid('x', '').error == INVALID
    assert Missing('x').error == MISSING


REQUEST = Request({'user': {'name': 'n', 'none': None}, 'items': [{'id': 1}, {'id': 'b'}], 'text': 'abc'})


@pytest.mark.parametrize(('name', 'value'), [
    ('user.name', 'n'), ('items.0.id', 1), ('items.1.id', 'b'), ('items.1', {'id': 'b'}),
    ('user.age', None), ('user.none', None), ('user.none.deeper', None), ('nobody.name', None), ('items.2.id', None),
    ('items.99999999999999999999', None),
])
def test_subfields(name, value):
    assert field(REQUEST, name) == value
    if value is None:
        assert field(REQUEST, name, default_value=7) == 7
        assert error_of(REQUEST, name, is_required=True) == {'field': name, 'state': 'missing'}


@pytest.mark.parametrize('name', [
    'text.name', 'text.0', 'user.name.first', 'items.id', 'items.-1', 'items.²', 'items.١', 'items.'])
def test_path_through_a_value(name):
    assert error_of(REQUEST, name, explain='e') == {'field': name, 'state': 'invalid', 'explain': 'e'}


def test_dotted_key_is_no_way_round():
    assert field({'user.name': 'unchecked', 'user': {'name': 'checked'}}, 'user.name') == 'checked'


def test_subfield_names_itself():
    assert error_of(REQUEST, 'items.1.id', valid_type=int) == {'field': 'items.1.id', 'state': 'invalid'}


@pytest.mark.parametrize(('status', 'error'), [
    (404, '404 Not Found'), (409, '409 Conflict'), (418, "418 I'm a Teapot"), (499, '499 Unknown'),
    (503, '503 Service Unavailable'), (200, '200 OK'), (599, '599 Unknown')])
def test_any_status(status, error):
    assert ApiError(status).error == error
    assert ApiError(status, {'a': 1}).error == {'a': 1}
    assert ApiError(status, 0).error == 0


@pytest.mark.parametrize('status', ['404', 99, 600, 0, None, 4.04])
def test_impossible_status(status):
    with pytest.raises(ValueError, match='status'):
        ApiError(status)


def test_says_what_it_is():
    assert str(ApiError(409, 'taken')) == "(409, 'taken')"
    assert str(BadRequest('no')) == "(400, 'no')"
    assert repr(pickle.loads(pickle.dumps(ApiError(409, 'taken')))) == "ApiError(409, 'taken')"
