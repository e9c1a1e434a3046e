"""Paths of keys into a request, as code reads them: request.user.name, request['user'].get('name')."""
from __future__ import annotations

import ast
from collections.abc import Iterable

METHODS = frozenset(dir(dict))  # request.items is the method, not the key
READING = ('get', 'pop', 'setdefault')  # methods whose first argument is a key


def path_of(node: ast.AST, request: str) -> tuple[str, ...] | None:
    """('user', 'name') of `request.user.name`; () of the request itself, None of all else."""
    if isinstance(node, ast.Name):
        return () if node.id == request else None
    step = _step(node)
    if step is None:
        return None
    base, key = step
    before = path_of(base, request)
    return None if before is None else (*before, key)


def is_read(node: ast.AST) -> bool:
    """Whether a path is not assigned to or deleted."""
    return not isinstance(getattr(node, 'ctx', None), (ast.Store, ast.Del))


def _step(node: ast.AST) -> tuple[ast.expr, str] | None:
    """What is read, and its key."""
    if isinstance(node, ast.Attribute) and node.attr not in METHODS:
        return node.value, node.attr
    if isinstance(node, ast.Subscript) and (key := _key(node.slice)):
        return node.value, key
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READING:
        key = _key(node.args[0]) if node.args else ''
        return (node.func.value, key) if key else None
    return None


def _key(node: ast.expr) -> str:
    """The key of an object or list, as `field()` names it; '' if it cannot."""
    value = node.value if isinstance(node, ast.Constant) else None
    is_key = type(value) is int or (isinstance(value, str) and '.' not in value)
    return str(value) if is_key else ''


def parts_below(node: ast.AST, request: str) -> Iterable[ast.AST]:
    """The parts to look into: not those of a path, whose end has been seen, nor the name of a method."""
    is_path = path_of(node, request) is not None
    if isinstance(node, ast.Call):
        function = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        return [*node.args[1:], *node.keywords] if is_path else [function, *node.args, *node.keywords]
    if is_path and isinstance(getattr(node, 'ctx', None), ast.Load):
        return ()
    return ast.iter_child_nodes(node)
