"""The calls of `apiphant.test.test` that a test.py has, and which of them says what an answered call says."""
from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .names import UNREADABLE, origin, origins

HOME = 'apiphant.test'
FUNCTION = f'{HOME}.test'
CONFIG = f'{HOME}.config'
PARAMETERS = ('target', 'action', 'request_json', 'status_code', 'response_json', 'method')
WRITTEN = frozenset(PARAMETERS[:5])  # arguments that a call has, if it is like those that are kept
UNKNOWN = ''  # the version that a test.py calls, where it is not written out

Arguments = Mapping[str, ast.expr]  # of a call, by name


@dataclass(frozen=True, slots=True)
class Answered:
    """A call with its answer: what a line of test.py says."""
    target: str
    action: str
    request: Mapping[str, Any]
    status: int
    answer: Any
    version: str = 'v0'

    def is_asked_by(self, arguments: Arguments) -> bool:
        """Whether a call of `test` is for the same action with the same request."""
        if not arguments.keys() >= WRITTEN:
            return False
        method = value_of(arguments['method']) if 'method' in arguments else 'POST'
        asked = [value_of(arguments[name]) for name in PARAMETERS[:3]]
        return is_same([*asked, method], [self.target, self.action, self.request, 'POST'])


def find(tree: ast.Module, answered: Answered) -> Arguments | None:
    """The arguments of the last call of `test` for the same action with the same request."""
    bound = origins(ast.walk(tree))
    for call in reversed(calls(tree)):
        if origin(call.func, bound) != FUNCTION:
            continue
        arguments = arguments_of(call)
        if answered.is_asked_by(arguments) and version_at(tree, call.lineno) == answered.version:
            return arguments
    return None


def calls(tree: ast.Module) -> list[ast.Call]:
    return sorted((node for node in ast.walk(tree) if isinstance(node, ast.Call)), key=_place)


def _place(node: ast.Call | ast.Assign) -> tuple[int, int]:
    return node.lineno, node.col_offset


def arguments_of(call: ast.Call) -> Arguments:
    """By name; {} if some are not written out."""
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    is_hidden = len(named) < len(call.keywords) or any(isinstance(argument, ast.Starred) for argument in call.args)
    return {} if is_hidden else {**dict(zip(PARAMETERS, call.args, strict=False)), **named}


def value_of(node: ast.expr) -> Any:
    """What a literal says; something that is equal to no JSON for all else."""
    try:
        return ast.literal_eval(node)
    except UNREADABLE:
        return ...


def is_same(value: Any, other: Any) -> bool:
    """Tells 1 from 1.0 and from true, as JSON does, and not the order of keys. What is no JSON is equal to nothing."""
    text = _json(value)
    return text is not None and text == _json(other)


def is_json(value: Any) -> bool:
    """NaN and Infinity are none."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _json(value: Any) -> str | None:
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return None


def version_at(tree: ast.Module, number: int) -> str:
    """The version that calls in that line go to."""
    bound = origins(ast.walk(tree))
    version = 'v0'
    for node in sorted(_settings(tree), key=_place):
        if node.lineno < number:
            version = _version_set(node, bound, version)
    return version


def _settings(tree: ast.Module) -> Iterator[ast.Call | ast.Assign]:
    """What could set it."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Call, ast.Assign)):
            yield node


def _version_set(node: ast.Call | ast.Assign, bound: Mapping[str, str], before: str) -> str:
    """`config.update(version='v1')`, `config.version = 'v1'`, `config['version'] = 'v1'`."""
    if isinstance(node, ast.Assign):
        is_set = any(_is_version(target, bound) for target in node.targets)
        return _text_of(node.value) if is_set else before
    if origin(node.func, bound) != f'{CONFIG}.update':
        return before
    for keyword in node.keywords:
        if keyword.arg == 'version':
            return _text_of(keyword.value)
    is_hidden = bool(node.args) or any(keyword.arg is None for keyword in node.keywords)
    return UNKNOWN if is_hidden else before


def _is_version(target: ast.expr, bound: Mapping[str, str]) -> bool:
    if isinstance(target, ast.Subscript):
        return origin(target.value, bound) == CONFIG and value_of(target.slice) == 'version'
    return origin(target, bound) == f'{CONFIG}.version'


def _text_of(node: ast.expr) -> str:
    value = value_of(node)
    return value if isinstance(value, str) else UNKNOWN
