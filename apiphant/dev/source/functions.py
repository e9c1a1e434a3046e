"""The functions of a module, by each name that they have in it. Read, never run."""
from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .names import origin

FunctionNode = ast.FunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Function:
    """What a name of the module calls. `is_raw`: its first argument is no request but a WSGI environ."""
    node: FunctionNode
    is_raw: bool = False

    @property
    def doc(self) -> str:
        return '' if isinstance(self.node, ast.Lambda) else ast.get_docstring(self.node) or ''

    @property
    def parameters(self) -> list[str]:
        arguments = self.node.args
        return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]

    @property
    def body(self) -> list[ast.stmt] | list[ast.expr]:
        return [self.node.body] if isinstance(self.node, ast.Lambda) else self.node.body


def functions_of(module: ast.Module, origins: Mapping[str, str]) -> dict[str, Function]:
    """By name; where a name is bound more than once, the last function counts."""
    functions: dict[str, Function] = {}
    for statement in _flat(module.body):
        names, value = _binding(statement)
        function = _function(value, functions, origins)
        for name in names:
            functions.pop(name, None)
            if function:
                functions[name] = function
    return functions


def _flat(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """Statements of the module, also those under `if`, `try` and `with`."""
    for node in nodes:
        if isinstance(node, (ast.If, ast.Try, ast.ExceptHandler, ast.With)):
            yield from _flat(ast.iter_child_nodes(node))
        elif isinstance(node, ast.stmt):
            yield node


def _binding(statement: ast.stmt) -> tuple[list[str], ast.AST | None]:
    """The names that a statement binds, and to what."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name], statement
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name for alias in statement.names], None
    if isinstance(statement, ast.AnnAssign):
        return _names([statement.target] if statement.value else []), statement.value
    if isinstance(statement, ast.Assign):
        return _names(statement.targets), statement.value
    if isinstance(statement, ast.Delete):
        return _names(statement.targets), None
    return [], None


def _names(targets: Iterable[ast.expr]) -> list[str]:
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _function(value: ast.AST | None, functions: Mapping[str, Function], origins: Mapping[str, str]) -> Function | None:
    """The function that a value is: itself, another name of one, or one in a decorator, with `@` or called."""
    if isinstance(value, ast.FunctionDef):
        return Function(value, any(_is_raw(decorator, origins) for decorator in value.decorator_list))
    if isinstance(value, ast.Lambda):
        return Function(value)
    if isinstance(value, ast.Name):
        return functions.get(value.id)
    if isinstance(value, ast.Call) and len(value.args) == 1:
        inner = _function(value.args[0], functions, origins)
        return inner and Function(inner.node, inner.is_raw or _is_raw(value.func, origins))
    return None


def _is_raw(decorator: ast.expr, origins: Mapping[str, str]) -> bool:
    name = origin(decorator.func if isinstance(decorator, ast.Call) else decorator, origins)
    return name.startswith('apiphant.') and name.endswith('.raw_environ')
