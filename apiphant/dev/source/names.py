"""Where the names in a source file come from: its imports, read and not run."""
from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping

STARRED = {'apiphant.validation': ('field',), 'apiphant.test': ('test', 'config')}  # names that `import *` brings

UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def parse(source: str) -> ast.Module:
    """Without the warnings of Python, such as of '\\d': they are shown when the module is imported. Raises one of `UNREADABLE`."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return ast.parse(source)


def origins(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """What the import statements among the nodes bind: {'v': 'apiphant.validation'}. Relative imports have no origin here."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
            found |= {alias.name.partition('.')[0]: alias.name.partition('.')[0] for alias in node.names if not alias.asname}
        elif isinstance(node, ast.ImportFrom):
            base = '.' * node.level + (node.module or '')
            found |= {alias.asname or alias.name: f'{base}.{alias.name}' for alias in node.names if alias.name != '*'}
            found |= {name: f'{base}.{name}' for alias in node.names if alias.name == '*' for name in STARRED.get(base, ())}
    return found


def origin(node: ast.AST, found: Mapping[str, str]) -> str:
    """'apiphant.validation.field' of `v.field`; '' of what is no name with dots."""
    if isinstance(node, ast.Name):
        return found.get(node.id, node.id)
    base = origin(node.value, found) if isinstance(node, ast.Attribute) else ''
    return f'{base}.{node.attr}' if isinstance(node, ast.Attribute) and base else ''
