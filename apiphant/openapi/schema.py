"""JSON Schema of a request, from the fields that a handler names. Pure."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..dev.source.field_call import Field
from ..dev.source.names import UNREADABLE
from ..dev.source.tested import is_json

Schema = dict[str, Any]

TYPES = {
    'int': 'integer', 'float': 'number', 'str': 'string', 'bool': 'boolean', 'dict': 'object', 'list': 'array',
}
LENGTHS = {'string': 'Length', 'array': 'Items', 'object': 'Properties'}
ONLY_PYTHON = re.compile(r'\(\?[^:=!<]|\(\?<[^=!]|\\[AZ]|[*+?}]\+')  # in a pattern, as JavaScript does not have it


@dataclass(slots=True)
class Node:
    """A field with its subfields: by key for an object, by '*' or number for a list."""
    own: Field
    below: dict[str, Node] = field(default_factory=dict)

    @property
    def is_required(self) -> bool:
        return self.own.is_required or any(node.is_required for node in self.below.values())

    @property
    def is_list(self) -> bool:
        return bool(self.below) and all(step == '*' or step.isdecimal() for step in self.below)


def request_schema(fields: Iterable[Field]) -> Schema:
    """An object. What is not known of a field is not in its schema; others than the fields are let through."""
    root = Node(Field('', ('dict',), is_required=True))
    for one in fields:
        node = root
        for step in one.name.split('.'):
            node = node.below.setdefault(step, Node(Field('')))
        node.own = one
    return _schema(root)


def _schema(node: Node) -> Schema:
    schema = _of_field(node.own, _types(node), is_nullable=not node.is_required)
    if node.is_list:
        return schema | _of_items(node)
    return schema | (_of_properties(node) if node.below else {})


def _types(node: Node) -> list[str]:
    """Of JSON; [] where they are not known, or one of them is none of JSON's."""
    names = [TYPES.get(name, '') for name in node.own.types]
    if names:
        return names if all(names) else []
    if node.below:
        return ['array' if node.is_list else 'object']
    return []


def _of_items(node: Node) -> Schema:
    """Of a list: what each item is, else what the numbered ones are."""
    least = max((int(step) + 1 for step, item in node.below.items() if step != '*' and item.is_required), default=0)
    schema: Schema = {'minItems': least} if least else {}
    if '*' in node.below:
        return schema | {'items': _schema(node.below['*'])}
    last = max(map(int, node.below))
    return schema | {'prefixItems': [_numbered(node, number) for number in range(last + 1)]} if last < 100 else schema


def _numbered(node: Node, number: int) -> Schema:
    item = node.below.get(str(number))
    return _schema(item) if item else {}


def _of_properties(node: Node) -> Schema:
    schema: Schema = {'properties': {name: _schema(below) for name, below in node.below.items()}}
    required = [name for name, below in node.below.items() if below.is_required]
    return schema | ({'required': required} if required else {})


def _of_field(one: Field, types: list[str], is_nullable: bool) -> Schema:
    schema = _of_types(types, is_nullable)
    if one.values and all(map(is_json, one.values)):
        schema['enum'] = [*one.values, *([None] if is_nullable else [])]
    schema |= {**dict(_limits(one)), **dict(_lengths(one, types))}
    if one.pattern and not ONLY_PYTHON.search(one.pattern):
        schema['pattern'] = f'^(?:{one.pattern})$'
    default = _literal(one.default)
    return schema | ({} if default is None or one.is_required else {'default': default})


def _of_types(types: list[str], is_nullable: bool) -> Schema:
    """Without types: any that is not null, where null is not allowed."""
    if not types:
        return {} if is_nullable else {'type': list(TYPES.values())}
    names = types + ['null'] * is_nullable
    return {'type': names if len(names) > 1 else names[0]}


def _limits(one: Field) -> Iterator[tuple[str, Any]]:
    """Of numbers; JSON Schema has none of texts."""
    for key, value in (('minimum', one.min_value), ('maximum', one.max_value)):
        if isinstance(value, (int, float)):
            yield key, value


def _lengths(one: Field, types: list[str]) -> Iterator[tuple[str, int]]:
    for kind in types or LENGTHS:
        if kind in LENGTHS:
            for key, value in (('min', one.min_length), ('max', one.max_length)):
                if value is not None:
                    yield key + LENGTHS[kind], value


def _literal(text: str) -> Any:
    """The JSON value of Python text; None for what is none."""
    try:
        value = ast.literal_eval(text)
    except UNREADABLE:
        return None
    return value if is_json(value) else None
