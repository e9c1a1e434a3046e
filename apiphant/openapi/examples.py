"""Calls with their answers, as a product's own tests have them: read, never run."""
from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..api.product import Product
from ..dev.source import tested
from ..dev.source.names import UNREADABLE, origin, origins, parse


class Example(NamedTuple):
    """A call of an action by POST, and what came back."""
    path: str
    request: Any
    status: int
    answer: Any


def examples_of(product: Product) -> list[Example]:
    """From api/test*.py, in order; a file that cannot be read has none."""
    return [example for path in sorted(product.api.glob('test*.py')) for example in _of_file(path)]


def _of_file(path: Path) -> Iterator[Example]:
    try:
        tree = parse(path.read_text('utf-8'))
        bound = origins(ast.walk(tree))
    except (*UNREADABLE, OSError):
        return
    for call in tested.calls(tree):
        if origin(call.func, bound) == tested.FUNCTION:
            yield from _of_call(tested.arguments_of(call), tested.version_at(tree, call.lineno))


def _of_call(arguments: tested.Arguments, version: str) -> Iterator[Example]:
    """Where all is written out, and is JSON."""
    values = {name: tested.value_of(node) for name, node in arguments.items()}
    if not version or values.keys() < tested.WRITTEN or values.get('method', 'POST') != 'POST':
        return
    target, action, request, status, answer = (values[name] for name in tested.PARAMETERS[:5])
    is_json = tested.is_json(request) and tested.is_json(answer)
    if isinstance(target, str) and isinstance(action, str) and isinstance(status, int) and is_json:
        yield Example(f'/api/{version}/{target}/{action}', request, status, answer)
