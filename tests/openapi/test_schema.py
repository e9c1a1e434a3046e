"""JSON Schemas of requests, beside what `field()` itself says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from apiphant.dev.source.fields import describe
from apiphant.openapi.schema import request_schema
from apiphant.validation import ApiError, field


def schema_of(*calls):
    body = ''.join(f'    {call}\n' for call in calls)
    return request_schema(describe(f'from apiphant.validation import field\ndef read(request):\n{body}')['read'].fields)


@pytest.mark.parametrize(('call', 'schema'), [
    ("field(request, 'x')", {}),
    ("field(request, 'x', valid_type=int)", {'type': ['integer', 'null']}),
    ("field(request, 'x', valid_type=(int, str), min_length=1)",
     {'type': ['integer', 'string', 'null'], 'minLength': 1}),
    ("field(request, 'x', valid_type=(int, set))", {}),
    ("field(request, 'x', max_length=3)", {'maxLength': 3, 'maxItems': 3, 'maxProperties': 3}),
    ("field(request, 'x', valid_type=str, valid_length=3)",
     {'type': ['string', 'null'], 'minLength': 3, 'maxLength': 3}),
    ("field(request, 'x', valid_type=int, min_value=0, max_value=9)",
     {'type': ['integer', 'null'], 'minimum': 0, 'maximum': 9}),
    ("field(request, 'x', min_value='2026')", {}),
    ("field(request, 'x', one_of=['a', 'b'])", {'enum': ['a', 'b', None]}),
    ("field(request, 'x', valid_value=b'x')", {}),
    ("field(request, 'x', pattern='[a-z]')", {'pattern': '^(?:[a-z])$'}),
    ("field(request, 'x', pattern='(?P<a>x)')", {}),
    ("field(request, 'x', default_value='Berlin')", {'default': 'Berlin'}),
    ("field(request, 'x', default_value=1e999)", {}),
    ("field(request, 'x', default_value=today())", {}),
    ("field(request, 'x.y')", {'type': ['object', 'null'], 'properties': {'y': {}}}),
    ("field(request, 'x.*')", {'type': ['array', 'null'], 'items': {}}),
    ("field(request, 'x.*.id', valid_type=int)", {'type': ['array', 'null'], 'items': {
        'type': ['object', 'null'], 'properties': {'id': {'type': ['integer', 'null']}}}}),
    ("field(request, 'x.1.id')", {'type': ['array', 'null'], 'prefixItems': [
        {}, {'type': ['object', 'null'], 'properties': {'id': {}}}]}),
    ("field(request, 'x.99999')", {'type': ['array', 'null']}),
    ("request.x.y", {'type': ['object', 'null'], 'properties': {'y': {}}}),
])
def test_fields(call, schema):
    assert schema_of(call) == {'type': 'object', 'properties': {'x': schema}}


ANY = {'type': ['integer', 'number', 'string', 'boolean', 'object', 'array']}


@pytest.mark.parametrize(('call', 'schema'), [
    ("field(request, 'x', True)", ANY),
    ("field(request, 'x', True, valid_type=int)", {'type': 'integer'}),
    ("field(request, 'x', True, one_of=['a'])", {**ANY, 'enum': ['a']}),
    ("field(request, 'x.y', True)", {'type': 'object', 'properties': {'y': ANY}, 'required': ['y']}),
    ("field(request, 'x.1', True)", {'type': 'array', 'minItems': 2, 'prefixItems': [{}, ANY]}),
    ("field(request, 'x.*.id', True)",
     {'type': 'array', 'items': {'type': 'object', 'properties': {'id': ANY}, 'required': ['id']}}),
])
def test_required(call, schema):
    assert schema_of(call) == {'type': 'object', 'properties': {'x': schema}, 'required': ['x']}


RULES = st.fixed_dictionaries({}, optional={
    'is_required': st.booleans(),
    'valid_type': st.sampled_from([int, float, str, bool, list, dict]),
    'min_length': st.integers(0, 3), 'max_length': st.integers(0, 3),
    'min_value': st.integers(-2, 2), 'max_value': st.integers(-2, 2),
    'one_of': st.lists(st.sampled_from(['a', 'ab', 1, 2]), min_size=1, max_size=3),
    'pattern': st.sampled_from(['[ab]+', 'a', '.*b']),
})
VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, -1.5]) | st.text('abc', max_size=4) | (
    st.lists(st.integers(0, 1), max_size=4)) | st.dictionaries(st.sampled_from('abcd'), st.none(), max_size=4)
NAMES = st.sampled_from(['x', 'x.y', 'x.*', 'x.*.y', 'x.1'])


def nested(name, value):
    """A request that has the value there."""
    for step in reversed(name.split('.')):
        value = [value, value] if step in ('*', '1') else {step: value}
    return value


@given(NAMES, RULES, VALUES)
def test_what_field_takes_is_valid(name, rules, value):
    """And what it refuses is not, but where a schema says less: lengths and limits of what has another type."""
    said = {rule: wanted.__name__ if isinstance(wanted, type) else repr(wanted) for rule, wanted in rules.items()}
    text = ', '.join(f'{rule}={wanted}' for rule, wanted in said.items())
    schema = schema_of(f'field(request, {name!r}, {text})')
    Draft202012Validator.check_schema(schema)
    request = nested(name, value)
    try:
        field(request, name, **rules)
        is_taken = True
    except ApiError:
        is_taken = False
    is_valid = Draft202012Validator(schema).is_valid(request)
    assert is_valid or not is_taken, schema
    if set(rules) <= {'is_required', 'valid_type', 'one_of'}:
        assert is_valid == is_taken or isinstance(value, float), schema


