"""What actions take, read from the text of their module: never imported, never run. Text in, descriptions out.

Knows no files and no routes. What it cannot tell it leaves out.
"""
from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ...api.actions import ACTIONS
from .field_call import Field, bound, field_of
from .functions import Function, FunctionNode, functions_of
from .names import UNREADABLE, origin, origins, parse
from .request_path import is_read, parts_below, path_of


@dataclass(frozen=True, slots=True)
class Description:
    """What an action says about itself."""
    doc: str = ''
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """Where to look names up, and which functions were searched, by which of their parameters."""
    functions: Mapping[str, Function]
    origins: Mapping[str, str]
    seen: set[tuple[FunctionNode, str]] = field(default_factory=set)


def describe(source: str) -> dict[str, Description]:
    """The actions that a module's text defines, by name; {} where it cannot be read. Never raises."""
    try:
        tree = parse(source)
        bound_names = origins(ast.walk(tree))
        functions = functions_of(tree, bound_names)
        return {
            name: _describe(functions[name], Search(functions, bound_names))
            for name in ACTIONS if name in functions
        }
    except UNREADABLE:
        return {}


def _describe(function: Function, search: Search) -> Description:
    if function.is_raw or not function.parameters:
        return Description(function.doc)
    return Description(function.doc, _merged(_search(function, function.parameters[0], search)))


def _merged(fields: Iterable[Field]) -> tuple[Field, ...]:
    """Each name once, where it appears first, with the first that is known of it."""
    known: dict[str, Field] = {}
    for one in fields:
        nothing = Field(one.name)
        if known.get(one.name, nothing) == nothing:
            known[one.name] = one
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
    path = path_of(node, request)
    if path and is_read(node):
        yield Field('.'.join(path))
    if isinstance(node, ast.Call):
        yield from _of_call(node, request, search)
    for child in parts_below(node, request):
        yield from _fields(child, request, search)


def _hides(node: ast.AST, request: str) -> bool:
    """A function inside, with a parameter of the same name."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return False
    return any(isinstance(argument, ast.arg) and argument.arg == request for argument in ast.walk(node.args))


def _of_call(node: ast.Call, request: str, search: Search) -> Iterator[Field]:
    """What `field(request, ...)` says, or what a function of the module reads that gets the request."""
    name = origin(node.func, search.origins)
    if name.startswith('apiphant.') and name.endswith('.field'):
        one = field_of(node, request)
        if one:
            yield one
    elif isinstance(node.func, ast.Name) and node.func.id in search.functions:
        yield from _of_function(node, search.functions[node.func.id], request, search)


def _of_function(node: ast.Call, function: Function, request: str, search: Search) -> Iterator[Field]:
    for parameter, argument in bound(node, function.parameters).items():
        if path_of(argument, request) == ():
            yield from _search(function, parameter, search)
