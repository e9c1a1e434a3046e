"""What a call of `field()` says about a field."""
from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ... import validation
from .names import UNREADABLE
from .request_path import path_of

PARAMETERS = tuple(inspect.signature(validation.field).parameters)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a request. What is empty is not known.

    `name` is as in `field()`, `types` are by name, `default` is Python text, `values` are those that are valid, the
    rest are rules of `field()`; `min_length` and `max_length` are the same for a `valid_length`.
    """
    name: str
    types: tuple[str, ...] = ()
    is_required: bool = False
    default: str = ''
    values: tuple[Any, ...] = ()
    min_length: int | None = None
    max_length: int | None = None
    min_value: Any = None
    max_value: Any = None
    pattern: str = ''


def hint(field: Field) -> str:
    """'int, required, from 1', "str, default 'Berlin', at most 100 long"; '' if nothing is known."""
    values = ' or '.join(map(repr, field.values))
    parts = (
        ' or '.join(field.types),
        'required' if field.is_required else field.default and f'default {field.default}',
        values and f'only {values}',
        _limits(field.min_value, field.max_value),
        _lengths(field.min_length, field.max_length),
        field.pattern and f'like {field.pattern}',
    )
    return ', '.join(filter(None, parts))


def _limits(least: Any, most: Any) -> str:
    ends = [f'from {least!r}' if least is not None else '', f'to {most!r}' if most is not None else '']
    return ' '.join(filter(None, ends))


def _lengths(least: int | None, most: int | None) -> str:
    """'3 long', '1 to 3 long', 'at least 1 long'; '' where neither is known."""
    if most is None:
        return '' if least is None else f'at least {least} long'
    if least is None:
        return f'at most {most} long'
    return f'{most} long' if least == most else f'{least} to {most} long'


def bound(node: ast.Call, parameters: Iterable[str]) -> dict[str, ast.expr]:
    """Arguments by the names of their parameters, as far as that can be told."""
    starred = next((number for number, argument in enumerate(node.args) if isinstance(argument, ast.Starred)), None)
    named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    return {**dict(zip(parameters, node.args[:starred], strict=False)), **named}


def field_of(node: ast.Call, request: str) -> Field | None:
    """The field that a call of `field()` reads: of `field(request.user, 'name')` it is 'user.name'."""
    arguments = bound(node, PARAMETERS)
    path = path_of(arguments['request'], request) if 'request' in arguments else None
    rules = {parameter: _literal(argument) for parameter, argument in arguments.items()}
    if path is None or not isinstance(rules.get('name'), str):
        return None
    return Field(
        '.'.join((*path, rules['name'])),
        types=_types(arguments.get('valid_type')),
        is_required=bool(rules.get('is_required')),
        default=_text(arguments.get('default_value')),
        values=_values(rules),
        min_length=_length(rules, 'min_length'),
        max_length=_length(rules, 'max_length'),
        min_value=_limit(rules.get('min_value')),
        max_value=_limit(rules.get('max_value')),
        pattern=_pattern(arguments.get('pattern')),
    )


def _values(rules: Mapping[str, Any]) -> tuple[Any, ...]:
    """Those of `valid_value` and `one_of`, where all of them are literals."""
    value, several = rules.get('valid_value'), rules.get('one_of')
    if value is not None:
        return (value,)
    return tuple(several) if isinstance(several, (list, tuple)) else ()


def _length(rules: Mapping[str, Any], rule: str) -> int | None:
    exact = rules.get('valid_length')
    length = rules.get(rule) if exact is None else exact
    return length if type(length) is int else None


def _limit(value: Any) -> Any:
    return value if type(value) in (int, float, str) else None


def _pattern(node: ast.expr | None) -> str:
    """Of a text, and of `re.compile` of a text without flags."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        node = node.args[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ''


def _literal(node: ast.expr) -> Any:
    """None for what is no literal, which is what the rules of `field()` are by default."""
    try:
        return ast.literal_eval(node)
    except UNREADABLE:
        return None


def _types(node: ast.expr | None) -> tuple[str, ...]:
    """('int', 'str') of `(int, str)` and of `int | str`; () unless all of them are known."""
    if isinstance(node, ast.Tuple):
        return _all_types(node.elts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _all_types([node.left, node.right])
    if isinstance(node, ast.Name) and isinstance(getattr(builtins, node.id, None), type):
        return (node.id,)
    return ()


def _all_types(nodes: Iterable[ast.expr]) -> tuple[str, ...]:
    parts = [_types(node) for node in nodes]
    return tuple(name for part in parts for name in part) if all(parts) else ()


def _text(node: ast.expr | None) -> str:
    """An expression on one line; '' for None."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return ''
    try:
        return ast.unparse(node)
    except UNREADABLE:  # such as a number that is too long to be written
        return ''
