"""Where the names in a source file come from: its imports, read and not run."""
from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping

STARRED = {'apiphant.validation': ('field',), 'apiphant.test': ('test', 'config')}  # names that `import *` brings
UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def parse(source: str) -> ast.Module:
    """The tree of a source file. Raises one of `UNREADABLE`.

    Without the warnings of Python, such as of '\\d': they are shown when the module is imported.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return ast.parse(source)


def origins(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """What the import statements among the nodes bind: {'v': 'apiphant.validation'}.

    Relative imports have no origin here.
    """
    bound: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            bound.update(map(_imported, node.names))
        elif isinstance(node, ast.ImportFrom):
            bound.update(_imported_from(node))
    return bound


def _imported(alias: ast.alias) -> tuple[str, str]:
    """`import a.b` binds a, `import a.b as c` binds c to a.b."""
    if alias.asname:
        return alias.asname, alias.name
    head = alias.name.partition('.')[0]
    return head, head


def _imported_from(node: ast.ImportFrom) -> Iterator[tuple[str, str]]:
    base = '.' * node.level + (node.module or '')
    for alias in node.names:
        if alias.name == '*':
            yield from ((name, f'{base}.{name}') for name in STARRED.get(base, ()))
        else:
            yield alias.asname or alias.name, f'{base}.{alias.name}'


def origin(node: ast.AST, bound: Mapping[str, str]) -> str:
    """'apiphant.validation.field' of `v.field`; '' of what is no name with dots."""
    if isinstance(node, ast.Name):
        return bound.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (base := origin(node.value, bound)):
        return f'{base}.{node.attr}'
    return ''
