"""The tree of files is the API: `api/v0/shop/items.py` with `def read` is `/api/v0/shop/items/read`.

Finding targets reads folders and imports nothing; what their actions are is known once they are imported.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

from .actions import Action, Routes, actions_of
from .around import Arounds
from .product import BrokenProduct, Product, add_to_path

VERSION = re.compile(r'v[0-9]+')
NO_VERSION = 'a version is named v and a number: v0, v1, v10'


@dataclass(frozen=True, slots=True)
class Target:
    """A module that may hold actions: version 'v0', name 'shop/items', and where it is."""
    version: str
    name: str
    module: str
    path: Path


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file or folder that is no target, and why."""
    path: Path
    reason: str


Loaded = tuple[Target, Mapping[str, Action]]
Broken = tuple[Target, BaseException]


def scan(product: Product) -> tuple[list[Target], list[PassedOver]]:
    """What the product's tree holds, in order of path."""
    targets: list[Target] = []
    passed_over: list[PassedOver] = []
    for path in _children(product.api):
        if path.is_dir() and VERSION.fullmatch(path.name):
            for item in _walk(path, f'{product.name}.api.{path.name}', ()):
                if isinstance(item, Target):
                    targets.append(item)
                else:
                    passed_over.append(item)
        elif path.is_dir() and re.match(r'[vV]\.?[0-9]', path.name):
            passed_over.append(PassedOver(path, NO_VERSION))
    return targets, passed_over


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(filter(_is_visible, folder.iterdir()))
    except OSError:  # gone meanwhile
        return []


def _is_visible(path: Path) -> bool:
    return not path.name.startswith('.') and path.name != '__pycache__'


def _walk(folder: Path, package: str, names: tuple[str, ...]) -> Iterator[Target | PassedOver]:
    version = package.split('.')[2]
    if names and (folder / '__init__.py').is_file():
        yield Target(version, '/'.join(names), package, folder / '__init__.py')
    for path in _children(folder):
        if path.name == '__init__.py' or not (path.is_dir() or path.suffix == '.py'):
            continue
        reason = _reason_to_pass_over(path)
        if reason:
            yield PassedOver(path, reason)
        elif path.is_dir():
            yield from _walk(path, f'{package}.{path.name}', (*names, path.name))
        else:
            yield Target(version, '/'.join((*names, path.stem)), f'{package}.{path.stem}', path)


def _reason_to_pass_over(path: Path) -> str:
    """'' for a target, or a folder that may hold some."""
    name = path.name if path.is_dir() else path.stem
    if name.startswith('_'):
        return 'its name starts with _'
    if not (name.isidentifier() and name.isascii()):
        return 'its name is not an ASCII identifier'
    if iskeyword(name):
        return 'its name is a Python keyword'
    if path.is_dir():
        parent = path.parent.resolve()
        if path.resolve() in (parent, *parent.parents):
            return 'a link to a folder that it is in'
        if path.with_suffix('.py').is_file() and not (path / '__init__.py').is_file():
            return f'{name}.py beside it hides it: make it {name}/__init__.py'
    elif (path.with_suffix('') / '__init__.py').is_file():
        return f'the package {name}/ beside it hides it'
    return ''


def url(target: Target, action: str) -> str:
    return f'/api/{target.version}/{target.name}/{action}'


def load(targets: Iterable[Target]) -> tuple[list[Loaded], list[Broken]]:
    """Import targets. Returns those that could be, with their actions, and those that could not, with the error."""
    loaded: list[Loaded] = []
    broken: list[Broken] = []
    arounds = Arounds()
    for target in targets:
        try:
            module = import_module(target.module)
            loaded.append((target, actions_of(module, arounds.above(target.module))))
        except BaseException as error:  # SystemExit too: what one module does must not decide for the others
            broken.append((target, error))
    return loaded, broken


def routes_of(loaded: Iterable[Loaded]) -> dict[str, Action]:
    """The routes of targets with their actions."""
    return {url(target, name): action for target, actions in loaded for name, action in actions.items()}


def load_product(product: Product) -> Routes:
    """Import all targets of a product. Raises ProductError, BrokenProduct."""
    return routes_of(load_targets(product))


def load_targets(product: Product) -> list[Loaded]:
    """The same with what is known of each target."""
    add_to_path(product)
    targets, _ = scan(product)
    loaded, broken = load(targets)
    if broken:
        raise BrokenProduct({target.module: error for target, error in broken})
    return loaded
