"""What actions take, read from the text of their module: never imported, never run. Pure: text in, descriptions out.

Knows how `field()` is called and how a request is read; knows no files and no routes. What it cannot tell it leaves out.
"""
from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

from ... import validation
from ...api.actions import ACTIONS
from .names import UNREADABLE, origin, origins, parse

PARAMETERS = tuple(inspect.signature(validation.field).parameters)

METHODS = frozenset(dir(dict))  # request.items is the method, not the key
READING = ('get', 'pop', 'setdefault')  # methods whose first argument is a key

FunctionNode = ast.FunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a request: `name` as in `field()`, `types` by name, `default` as Python text, `values` that are valid; empty is not known."""
    name: str
    types: tuple[str, ...] = ()
    is_required: bool = False
    default: str = ''
    values: tuple[Any, ...] = ()
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What an action says about itself."""
    doc: str = ''
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """What a name of the module calls. `is_raw`: its first argument is no request but a WSGI environ."""
    node: FunctionNode
    is_raw: bool = False

    @property
    def parameters(self) -> list[str]:
        arguments = self.node.args
        return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]

    @property
    def body(self) -> list[ast.stmt] | list[ast.expr]:
        return [self.node.body] if isinstance(self.node, ast.Lambda) else self.node.body


@dataclass(frozen=True, slots=True)
class Search:
    """Where to look names up, and which functions were searched, by which of their parameters."""
    functions: Mapping[str, Function]
    origins: Mapping[str, str]
    seen: set[tuple[FunctionNode, str]] = attribute(default_factory=set)


def describe(source: str) -> dict[str, Description]:
    """The actions that a module's text defines, by name; {} where it cannot be read. Never raises."""
    try:
        tree = parse(source)
        found = origins(ast.walk(tree))
        functions = _functions(tree.body, found)
        return {name: _describe(functions[name], functions, found) for name in ACTIONS if name in functions}
    except UNREADABLE:
        return {}


def hint(field: Field) -> str:
    """'int, required', "str, default 'Berlin', at most 100 long"; '' if nothing is known."""
    values = ' or '.join(map(repr, field.values))
    parts = (
        ' or '.join(field.types),
        'required' if field.is_required else field.default and f'default {field.default}',
        values and f'only {values}',
        '' if field.max_length is None else f'at most {field.max_length} long',
    )
    return ', '.join(filter(None, parts))


def _functions(body: Iterable[ast.stmt], found: Mapping[str, str]) -> dict[str, Function]:
    """The module's functions by each of their names, the last definition of a name."""
    functions: dict[str, Function] = {}
    for statement in _flat(body):
        names, value = _binding(statement)
        function = _function(value, functions, found)
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
        return [statement.target.id] if isinstance(statement.target, ast.Name) and statement.value else [], statement.value
    if isinstance(statement, (ast.Assign, ast.Delete)):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)], getattr(statement, 'value', None)
    return [], None


def _function(value: ast.AST | None, functions: Mapping[str, Function], found: Mapping[str, str]) -> Function | None:
    """The function that a value is: itself, another name of one, or one in a decorator, with `@` or called."""
    if isinstance(value, ast.FunctionDef):
        return Function(value, any(_is_raw(decorator, found) for decorator in value.decorator_list))
    if isinstance(value, ast.Lambda):
        return Function(value)
    if isinstance(value, ast.Name):
        return functions.get(value.id)
    if isinstance(value, ast.Call) and len(value.args) == 1:
        inner = _function(value.args[0], functions, found)
        return inner and Function(inner.node, inner.is_raw or _is_raw(value.func, found))
    return None


def _is_raw(decorator: ast.expr, found: Mapping[str, str]) -> bool:
    name = origin(decorator.func if isinstance(decorator, ast.Call) else decorator, found)
    return name.startswith('apiphant.') and name.endswith('.raw_environ')


def _describe(function: Function, functions: Mapping[str, Function], found: Mapping[str, str]) -> Description:
    doc = '' if isinstance(function.node, ast.Lambda) else ast.get_docstring(function.node) or ''
    if function.is_raw or not function.parameters:
        return Description(doc)
    return Description(doc, _merged(_search(function, function.parameters[0], Search(functions, found))))


def _merged(fields: Iterable[Field]) -> tuple[Field, ...]:
    """Each name once, where it appears first, with the first that is known of it."""
    known: dict[str, Field] = {}
    for field in fields:
        if known.get(field.name, Field(field.name)) == Field(field.name):
            known[field.name] = field
    return tuple(known.values())


def _search(function: Function, request: str, search: Search) -> Iterator[Field]:
    """The fields that a function reads from its parameter `request`."""
    if (function.node, request) in search.seen:
        return
    search.seen.add((function.node, request))
    for statement in function.body:
        yield from _fields(statement, request, search)


def _fields(node: ast.AST, request: str, search: Search) -> Iterator[Field]:
    if _hides(node, request):
        return
    path = _path(node, request)
    if path and not isinstance(getattr(node, 'ctx', None), (ast.Store, ast.Del)):
        yield Field('.'.join(path))
    if isinstance(node, ast.Call):
        yield from _of_call(node, request, search)
    for child in _below(node, request):
        yield from _fields(child, request, search)


def _hides(node: ast.AST, request: str) -> bool:
    """A function inside, with a parameter of the same name."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return False
    return any(isinstance(argument, ast.arg) and argument.arg == request for argument in ast.walk(node.args))


def _path(node: ast.AST, request: str) -> tuple[str, ...] | None:
    """('user', 'name') of `request.user.name`, `request['user'].get('name')`; () of the request itself, None of all else."""
    if isinstance(node, ast.Name):
        return () if node.id == request else None
    step = _step(node)
    if step is None:
        return None
    base, key = step
    before = _path(base, request)
    return None if before is None else (*before, key)


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


def _below(node: ast.AST, request: str) -> Iterable[ast.AST]:
    """The parts to look into: not those of a path, whose end has been seen, nor the name of a method."""
    is_path = _path(node, request) is not None
    if isinstance(node, ast.Call):
        function = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        return [*node.args[1:], *node.keywords] if is_path else [function, *node.args, *node.keywords]
    if is_path and isinstance(getattr(node, 'ctx', None), ast.Load):
        return ()
    return ast.iter_child_nodes(node)


def _of_call(node: ast.Call, request: str, search: Search) -> Iterator[Field]:
    """What `field(request, ...)` says, or what a function of the module reads that gets the request."""
    name = origin(node.func, search.origins)
    if name.startswith('apiphant.') and name.endswith('.field'):
        yield from _of_field(_bound(node, PARAMETERS), request)
    elif isinstance(node.func, ast.Name) and node.func.id in search.functions:
        function = search.functions[node.func.id]
        for parameter, argument in _bound(node, function.parameters).items():
            if _path(argument, request) == ():
                yield from _search(function, parameter, search)


def _bound(node: ast.Call, parameters: Iterable[str]) -> dict[str, ast.expr]:
    """Arguments by the names of their parameters, as far as that can be told."""
    starred = next((number for number, argument in enumerate(node.args) if isinstance(argument, ast.Starred)), None)
    named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    return {**dict(zip(parameters, node.args[:starred], strict=False)), **named}


def _of_field(arguments: Mapping[str, ast.expr], request: str) -> Iterator[Field]:
    """Of `field(request.user, 'name')` it is 'user.name'."""
    path = _path(arguments['request'], request) if 'request' in arguments else None
    rules = {parameter: _literal(argument) for parameter, argument in arguments.items()}
    if path is None or not isinstance(rules.get('name'), str):
        return
    value, length = rules.get('valid_value'), rules.get('max_length')
    yield Field(
        '.'.join((*path, rules['name'])),
        _types(arguments.get('valid_type')),
        bool(rules.get('is_required')),
        _text(arguments.get('default_value')),
        () if value is None else (value,),
        length if type(length) is int else None,
    )


def _literal(node: ast.expr) -> Any:
    """None for what is no literal, which is what the rules of `field()` are by default."""
    try:
        return ast.literal_eval(node)
    except UNREADABLE:
        return None


def _types(node: ast.expr | None) -> tuple[str, ...]:
    """('int', 'str') of `(int, str)` and of `int | str`; () unless all of them are known."""
    if isinstance(node, ast.Tuple):
        parts = [_types(part) for part in node.elts]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        parts = [_types(node.left), _types(node.right)]
    else:
        is_type = isinstance(node, ast.Name) and isinstance(getattr(builtins, node.id, None), type)
        return (node.id,) if is_type and isinstance(node, ast.Name) else ()
    return tuple(name for part in parts for name in part) if all(parts) else ()


def _text(node: ast.expr | None) -> str:
    """An expression on one line; '' for None."""
    try:
        return '' if node is None or (isinstance(node, ast.Constant) and node.value is None) else ast.unparse(node)
    except UNREADABLE:  # such as a number that is too long to be written
        return ''
