"""Which module imports which. Pure: source trees and names in, names out."""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping


def imports_of(tree: ast.AST, module: str, is_package: bool, within: str) -> frozenset[str]:
    """Absolute names of what a module may import from the package `within`: at any level of its code, in any form.

    `from a import b` gives `a` and `a.b`: whether b is a module is not known, and may change.
    `import a.b` binds `a`, so it gives both.
    """
    package = module if is_package else module.rpartition('.')[0]
    names = (name for node in ast.walk(tree) for name in _names(node, package))
    return frozenset(name for name in names if name == within or name.startswith(within + '.'))


def patches_of(tree: ast.Module, within: str) -> frozenset[str]:
    """Attributes of modules outside the package `within` that a module sets when it is imported: 'json.dumps'."""
    outside = dict(_imported_outside(tree, within))
    found = set()
    for target in _assigned_attributes(tree):
        base = ast.unparse(target.value)
        if base in outside:
            found.add(f'{outside[base]}.{target.attr}')
    return frozenset(found)


def _imported_outside(tree: ast.Module, within: str) -> Iterator[tuple[str, str]]:
    """The names under which a module imports others, and which."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition('.')[0] != within:
                    yield alias.asname or alias.name, alias.name


def _assigned_attributes(tree: ast.Module) -> Iterator[ast.Attribute]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (target for target in node.targets if isinstance(target, ast.Attribute))


def _names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
            if not alias.asname:
                yield from _parents(alias.name)
    elif isinstance(node, ast.ImportFrom):
        base = '.'.join(part for part in (_up(package, node.level), node.module) if part)
        yield base
        yield from (f'{base}.{alias.name}' for alias in node.names)


def _up(package: str, level: int) -> str:
    """'a.b' seen from `from . import` (1) is 'a.b', from `from .. import` (2) is 'a'."""
    return '.'.join(package.split('.')[:1 - level or None]) if level else ''


def _parents(name: str) -> Iterator[str]:
    while '.' in name:
        name = name.rpartition('.')[0]
        yield name


def importers(names: Iterable[str], imports: Mapping[str, Iterable[str]]) -> set[str]:
    """The names, and whatever imports one of them, directly or through others. `imports` is by importing module."""
    importing: dict[str, list[str]] = {}
    for importer, imported in imports.items():
        for name in imported:
            importing.setdefault(name, []).append(importer)
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += importing.get(name, ())
    return found


def imported_by(name: str, imports: Callable[[str], Iterable[str]]) -> set[str]:
    """What a module imports, directly or through others, but itself."""
    found: set[str] = set()
    pending = [name]
    while pending:
        for imported in imports(pending.pop()):
            if imported not in found:
                found.add(imported)
                pending.append(imported)
    return found - {name}
