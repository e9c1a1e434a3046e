"""Where and how a call is added to the text of a test.py that does not have it yet."""
from __future__ import annotations

import ast
from collections.abc import Mapping

from .edits import Replacement, Source
from .literals import INDENT, WIDTH, CannotRecord, literal, pretty
from .names import origins
from .tested import FUNCTION, HOME, Answered, version_at

IMPORT = f'from {HOME} import test'


def additions(source: Source, tree: ast.Module, answered: Answered) -> list[Replacement]:
    """A line at the end that calls `test`, which is imported if it is not there. Raises CannotRecord."""
    _check_version(version_at(tree, len(source.text) + 2), answered.version)
    name = _name_of_test(tree)
    end = len(source.text)
    line = Replacement(end, end, f'{_breaks(source.text, tree)}{_call(name or "test", answered)}\n')
    return [line] if name else [_importing(source, tree), line]


def _check_version(there: str, version: str) -> None:
    if there != version:
        called = f'calls {there}' if there else 'calls a version that cannot be told from its text'
        raise CannotRecord(f"test.py {called}; for this call add: config.update(version='{version}')")


def _name_of_test(tree: ast.Module) -> str:
    """How the module calls `apiphant.test.test`: 'test', 't.test'; '' if it does not import it."""
    bound = origins(tree.body)
    name = _known_as(FUNCTION, bound)
    if not name and (module := _known_as(HOME, bound)):
        name = f'{module}.test'
    head = name.partition('.')[0] or 'test'
    if head in _defined(tree) or (not name and head in bound):
        raise CannotRecord(f'{head!r} is something else in test.py than the function of {HOME}')
    return name


def _known_as(origin: str, bound: Mapping[str, str]) -> str:
    return next((name for name, source in bound.items() if source == origin), '')


def _defined(tree: ast.Module) -> set[str]:
    """Names that the module defines by other means than imports."""
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def _breaks(text: str, tree: ast.Module) -> str:
    """What has to be between the text and a new line: an empty line behind imports, functions and blocks."""
    end = '' if not text or text[-1] in '\r\n' else '\n'
    last = tree.body[-1] if tree.body else None
    is_apart = last is _head(tree) or isinstance(last, (ast.Import, ast.ImportFrom)) or hasattr(last, 'body')
    return f'{end}\n' if is_apart and not text.endswith(('\n\n', '\n\r\n')) else end


def _head(tree: ast.Module) -> ast.stmt | None:
    """The last of the docstring and the imports that a module begins with."""
    last = None
    for node in tree.body:
        is_docstring = node is tree.body[0] and ast.get_docstring(tree, clean=False) is not None
        if not (is_docstring or isinstance(node, (ast.Import, ast.ImportFrom))):
            break
        last = node
    return last


def _importing(source: Source, tree: ast.Module) -> Replacement:
    """The import after those that are there, the docstring, or the comments of the first lines."""
    end = _end_of_head(tree) or _end_of_comments(source.lines)
    before, after = ''.join(source.lines[:end]), ''.join(source.lines[end:end + 1])
    is_open = bool(before) and before[-1] not in '\r\n'
    line = f'\n{IMPORT}' if is_open else f'{IMPORT}\n'
    return Replacement(len(before), len(before), f'{line}\n' if after.strip() else line)


def _end_of_head(tree: ast.Module) -> int:
    """The number of the last line that the head shares with anything; 0 if there is no head."""
    head = _head(tree)
    end = (head.end_lineno or 0) if head else 0
    for node in tree.body:
        if node.lineno <= end:  # on the same line, after a semicolon
            end = max(end, node.end_lineno or 0)
    return end


def _end_of_comments(lines: list[str]) -> int:
    return next((number for number, line in enumerate(lines) if not line.startswith('#')), len(lines))


def _call(name: str, answered: Answered) -> str:
    """The line, or if it is too long, one argument a line."""
    words = [repr(answered.target), repr(answered.action)]
    values = (answered.request, answered.status, answered.answer)
    line = f'{name}({", ".join([*words, *map(literal, values)])})'
    if len(line) <= WIDTH:
        return line
    arguments = [*words, *(pretty(value, INDENT, len(INDENT)) for value in values)]
    return f'{name}(\n' + ''.join(f'{INDENT}{argument},\n' for argument in arguments) + ')'
