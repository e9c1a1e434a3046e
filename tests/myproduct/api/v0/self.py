"""Exercises apiphant itself: what `test` names is what happens."""
from apiphant.validation import field

RULES = {
    'optional': {},
    'default': {'default_value': 'X'},
    'required': {'is_required': True},
    'valid_value': {'valid_value': 'X'},
    'valid_type': {'valid_type': int},
    'valid_length': {'valid_length': 2},
    'max_length': {'max_length': 2},
    'explain': {'valid_type': int, 'explain': 'should be integer'},
}


def create(request):
    test = field(request, 'test', valid_type=str)
    if test == 'return invalid_json_object':
        return 'invalid_json_object'
    if test == '1/0':
        return {'x': 1 / 0}
    return {'ok': True, 'x': field(request, 'x', **RULES.get(test, {}))}
