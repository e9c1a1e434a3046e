"""Keeps calls of the console as lines of the product's `api/test.py`, with the answers that they got.

The core is pure: the text of test.py in, its new text out. What a line already says of the same call is replaced, the rest stays
byte for byte. The file is read and parsed, never run; no network, no terminal.
"""
from __future__ import annotations

import ast
import json
import os
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from ...files import write_whole
from ...words import reason
from .literals import INDENT, WIDTH, CannotRecord, literal, pretty
from .names import UNREADABLE, origin, origins, parse

HOME = 'apiphant.test'
FUNCTION = f'{HOME}.test'
CONFIG = f'{HOME}.config'
IMPORT = f'from {HOME} import test'
PARAMETERS = ('target', 'action', 'request_json', 'status_code', 'response_json', 'method')
LINE = re.compile(r'[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+')  # as Python counts lines
UNKNOWN = ''  # the version that a test.py calls, where it is not written out


@dataclass(frozen=True, slots=True)
class Answered:
    """A call with its answer: what a line of test.py says."""
    target: str
    action: str
    request: Mapping[str, Any]
    status: int
    answer: Any
    version: str = 'v0'


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in place of what is from `start` to `end`."""
    start: int
    end: int
    text: str


def record(path: Path, target: str, action: str, request: Mapping[str, Any], status: int, answer: Any, version: str = 'v0') -> bool:
    """Keep an answered call in a test.py, which need not exist yet. Returns whether an older line was replaced. Raises CannotRecord."""
    try:
        place = Path(os.path.realpath(path))
        before = place.read_bytes() if place.exists() else b''
        encoding, _ = tokenize.detect_encoding(BytesIO(before).readline)
        text, was_replaced = _recorded(before.decode(encoding), Answered(target, action, request, status, answer, version))
        if text.encode(encoding) != before:
            write_whole(place, [text.encode(encoding)])
    except OSError as error:
        raise CannotRecord(f'{path}: {reason(error)}') from None
    except (SyntaxError, UnicodeError) as error:
        raise CannotRecord(f'{path}: {error}') from None
    return was_replaced


def recorded(text: str, target: str, action: str, request: Mapping[str, Any], status: int, answer: Any, version: str = 'v0') -> str:
    """The text of test.py with a line for the call: its last one of the same call with the new answer, or a new one at the end.

    `answer` is a JSON value, or the text of an answer that is not JSON. Raises CannotRecord.
    """
    return _recorded(text, Answered(target, action, request, status, answer, version))[0]


def _recorded(text: str, answered: Answered) -> tuple[str, bool]:
    tree = _tree(text)
    try:
        literal([answered.request, answered.answer])  # or says why not
        old = _line_of(tree, answered)
        edits = _replacing(text, old, answered) if old else _appending(text, tree, answered)
    except RecursionError:
        raise CannotRecord('the request or its answer is nested too deep') from None
    newline = re.search('\r\n|\r|\n', text)
    new = _edited(text, edits, newline[0] if newline else '\n')
    _check(new, answered)
    return new, old is not None


def _tree(text: str) -> ast.Module:
    try:
        return parse(text)
    except SyntaxError as error:
        raise CannotRecord(f'test.py has a mistake in line {error.lineno}: {error.msg}') from None
    except UNREADABLE as error:
        raise CannotRecord(f'test.py cannot be read: {error or type(error).__name__}') from None


def _check(text: str, answered: Answered) -> None:
    """What was written says what it should, whatever the text around it is."""
    try:
        line = _line_of(parse(text), answered)
    except UNREADABLE:
        raise CannotRecord('the request or its answer is too much for a Python file: nested too deep, or a number too long') from None
    if not line or _json(_value(line['response_json'])) != _json(answered.answer):
        raise CannotRecord('test.py is written in a way that no line can be added to')

# Lines that are there



def _line_of(tree: ast.Module, answered: Answered) -> dict[str, ast.expr] | None:
    """The arguments of the last call of `test` for the same action with the same request."""
    found = origins(ast.walk(tree))
    wanted = _json([answered.target, answered.action, answered.request, 'POST'])
    lines = [(call, _arguments(call)) for call in _in_order(tree, ast.Call) if origin(call.func, found) == FUNCTION]
    same = [(call, line) for call, line in lines if line.keys() >= {*PARAMETERS[:5]} and _asked(line) == wanted]
    return next((line for call, line in reversed(same) if _version_at(tree, call.lineno) == answered.version), None)


def _in_order(tree: ast.Module, kind: type[Any]) -> Iterator[Any]:
    yield from sorted((node for node in ast.walk(tree) if isinstance(node, kind)), key=lambda node: (node.lineno, node.col_offset))


def _arguments(call: ast.Call) -> dict[str, ast.expr]:
    """By name; {} if some are not written out."""
    if any(isinstance(argument, ast.Starred) for argument in call.args) or any(keyword.arg is None for keyword in call.keywords):
        return {}
    return {**dict(zip(PARAMETERS, call.args, strict=False)), **{keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}}


def _asked(line: Mapping[str, ast.expr]) -> str | None:
    method = _value(line['method']) if 'method' in line else 'POST'
    return _json([*(_value(line[name]) for name in PARAMETERS[:3]), method])


def _value(node: ast.expr) -> Any:
    """What a literal says; something that is equal to no JSON for all else."""
    try:
        return ast.literal_eval(node)
    except UNREADABLE:
        return ...


def _json(value: Any) -> str | None:
    """Tells 1 from 1.0 and from true, as JSON does, and not the order of keys. None for what is no JSON."""
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return None


def _version_at(tree: ast.Module, number: int) -> str:
    """The version that calls in that line go to."""
    found = origins(ast.walk(tree))
    version = 'v0'
    for node in _in_order(tree, (ast.Call, ast.Assign)):  # type: ignore[arg-type]
        if node.lineno < number:
            version = _version_set(node, found, version)
    return version


def _version_set(node: ast.Call | ast.Assign, found: Mapping[str, str], before: str) -> str:
    """`config.update(version='v1')`, `config.version = 'v1'`, `config['version'] = 'v1'`."""
    if isinstance(node, ast.Call):
        if origin(node.func, found) != f'{CONFIG}.update':
            return before
        values = [keyword.value for keyword in node.keywords if keyword.arg == 'version']
        is_hidden = bool(node.args) or any(keyword.arg is None for keyword in node.keywords)
        return _text_of(values[0]) if values else UNKNOWN if is_hidden else before
    return _text_of(node.value) if any(_is_version(target, found) for target in node.targets) else before


def _is_version(target: ast.expr, found: Mapping[str, str]) -> bool:
    if isinstance(target, ast.Subscript):
        return origin(target.value, found) == CONFIG and _value(target.slice) == 'version'
    return origin(target, found) == f'{CONFIG}.version'


def _text_of(node: ast.expr) -> str:
    value = _value(node)
    return value if isinstance(value, str) else UNKNOWN

# Edits of the text



def _replacing(text: str, line: Mapping[str, ast.expr], answered: Answered) -> list[Edit]:
    """Only the status and the answer, and only where they are others."""
    new = {'status_code': answered.status, 'response_json': answered.answer}
    return [_replacement(text, line[name], value) for name, value in new.items() if _json(_value(line[name])) != _json(value)]


def _replacement(text: str, node: ast.expr, value: Any) -> Edit:
    start, end = _offset(text, node.lineno, node.col_offset), _offset(text, node.end_lineno or 0, node.end_col_offset or 0)
    before = LINE.findall(text)[node.lineno - 1]
    indent = before[:len(before) - len(before.lstrip(' \t'))]
    column = start - _offset(text, node.lineno, 0)
    return Edit(start, end, pretty(value, indent, column))


def _offset(text: str, number: int, column: int) -> int:
    """Of a line, and a column in bytes of UTF-8, which is how `ast` counts."""
    lines = LINE.findall(text)
    line = lines[number - 1] if number <= len(lines) else ''
    return sum(map(len, lines[:number - 1])) + len(line.encode()[:column].decode())


def _appending(text: str, tree: ast.Module, answered: Answered) -> list[Edit]:
    there = _version_at(tree, len(text) + 2)
    if there != answered.version:
        called = f'calls {there}' if there else 'calls a version that cannot be told from its text'
        raise CannotRecord(f"test.py {called}; for this call add: config.update(version='{answered.version}')")
    name = _name_of_test(tree)
    importing = [] if name else [_importing(text, tree)]
    last = tree.body[-1] if tree.body else None
    is_apart = last is _head(tree) or isinstance(last, (ast.Import, ast.ImportFrom)) or hasattr(last, 'body')
    breaks = ('' if not text or text[-1] in '\r\n' else '\n') + ('\n' if is_apart and not text.endswith(('\n\n', '\n\r\n')) else '')
    return [*importing, Edit(len(text), len(text), f'{breaks}{_call(name or "test", answered)}\n')]


def _name_of_test(tree: ast.Module) -> str:
    """How the module calls `apiphant.test.test`: 'test', 't.test'; '' if it does not import it."""
    found = origins(tree.body)
    name = next((name for name, source in found.items() if source == FUNCTION), '')
    name = name or next((f'{name}.test' for name, source in found.items() if source == HOME), '')
    head = name.partition('.')[0] or 'test'
    if head in _bound(tree) or (not name and head in found):
        raise CannotRecord(f'{head!r} is something else in test.py than the function of {HOME}')
    return name


def _bound(tree: ast.Module) -> set[str]:
    """Names that the module defines by other means than imports."""
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    return defined | {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)}


def _head(tree: ast.Module) -> ast.stmt | None:
    """The last of the docstring and the imports that a module begins with."""
    last = None
    for node in tree.body:
        is_docstring = node is tree.body[0] and ast.get_docstring(tree, clean=False) is not None
        if not (is_docstring or isinstance(node, (ast.Import, ast.ImportFrom))):
            break
        last = node
    return last


def _importing(text: str, tree: ast.Module) -> Edit:
    """The import after those that are there, the docstring, or the comments of the first lines."""
    head, lines = _head(tree), LINE.findall(text)
    end = head.end_lineno or 0 if head else next((number for number, line in enumerate(lines) if not line.startswith('#')), len(lines))
    for node in tree.body:
        if head and node.lineno <= end:  # on the same line, after a semicolon
            end = max(end, node.end_lineno or 0)
    before, after = ''.join(lines[:end]), ''.join(lines[end:end + 1])
    is_open = bool(before) and before[-1] not in '\r\n'
    return Edit(len(before), len(before), ('\n' if is_open else '') + IMPORT + ('' if is_open else '\n') + ('\n' if after.strip() else ''))


def _edited(text: str, edits: list[Edit], newline: str) -> str:
    """From the end on, so that what comes before stays where it is; of two in one place, the first comes first."""
    for edit in sorted(edits, key=lambda edit: edit.start)[::-1]:
        text = text[:edit.start] + edit.text.replace('\n', newline) + text[edit.end:]
    return text

# Python text



def _call(name: str, answered: Answered) -> str:
    """The line, or if it is too long, one argument a line."""
    words = [repr(answered.target), repr(answered.action)]
    values = (answered.request, answered.status, answered.answer)
    line = f'{name}({", ".join([*words, *map(literal, values)])})'
    if len(line) <= WIDTH:
        return line
    arguments = [*words, *(pretty(value, INDENT, len(INDENT)) for value in values)]
    return f'{name}(\n' + ''.join(f'{INDENT}{argument},\n' for argument in arguments) + ')'
