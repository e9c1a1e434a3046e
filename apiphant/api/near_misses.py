"""What looks like a part of the API and is none: files in no version, misspelled actions, versions that look alike."""
from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from types import FunctionType

from ..modules import names_of
from .actions import ACTIONS
from .product import Product
from .routing import VERSION

NEAR = 0.74  # raed is that near to read
OWN = ('__init__.py', 'background.py', 'background', 'test.py')


def same_versions(product: Product) -> list[list[Path]]:
    """Folders of versions that have one number."""
    folders = sorted(filter(_is_version, product.api.iterdir()))
    folders.sort(key=_number)
    groups = [list(group) for _, group in groupby(folders, key=_number)]
    return [group for group in groups if len(group) > 1]


def _number(version: Path) -> int:
    return int(version.name[1:])


def out_of_versions(product: Product) -> Iterator[Path]:
    """Files and folders of `api` that have actions, and are in no version."""
    for path in sorted(product.api.iterdir()):
        if not _is_own(path) and any(map(_defines_action, _sources(path))):
            yield path


def _is_own(path: Path) -> bool:
    """It is known to be no target, or it is a version."""
    return _is_version(path) or path.name in OWN or path.name.startswith(('.', '_', 'test_'))


def _is_version(path: Path) -> bool:
    return path.is_dir() and VERSION.fullmatch(path.name) is not None


def _sources(path: Path) -> Iterable[Path]:
    if path.is_dir():
        return path.rglob('*.py')
    return [path] if path.suffix == '.py' else []


def _defines_action(source: Path) -> bool:
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name in ACTIONS for node in tree.body)


def misspelled(module: object) -> dict[str, str]:
    """Functions of a target that are named nearly like an action that it has not, with that action."""
    names = names_of(module)
    missing = [action for action in ACTIONS if action not in names]
    own = [
        name for name, value in names.items()
        if type(value) is FunctionType and value.__module__ == names.get('__name__') and not name.startswith('_')]
    near = {name: get_close_matches(name.lower(), missing, 1, NEAR) for name in own if name not in ACTIONS}
    return {name: found[0] for name, found in near.items() if found}
