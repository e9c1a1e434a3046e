"""The tree of files is the API: `api/v0/shop/items.py` with `def read` is `/api/v0/shop/items/read`.

Finding targets reads folders and imports nothing; what their actions are is known once they are imported.
"""
from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import Any

from .product import Product

ACTIONS = ('create', 'read', 'update', 'delete')
VERSION = re.compile(r'v[0-9]+')


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


@dataclass(frozen=True, slots=True)
class Action:
    """What a URL calls. `max_body` is the handler's own limit in bytes, None for the server's."""
    handler: Callable[..., Any]
    raw_environ: bool = False
    raw_response: bool = False
    max_body: int | None = None

    @property
    def is_raw(self) -> bool:
        return self.raw_environ or self.raw_response


Routes = Mapping[str, Action]  # '/api/v0/echo/read' -> Action


def scan(product: Product) -> tuple[list[Target], list[PassedOver]]:
    """What the product's tree holds, in order of path."""
    targets: list[Target] = []
    passed_over: list[PassedOver] = []
    for path in _children(product.api):
        if path.is_dir() and VERSION.fullmatch(path.name):
            for found in _walk(path, f'{product.name}.api.{path.name}', ()):
                (targets if isinstance(found, Target) else passed_over).append(found)  # type: ignore[arg-type]
        elif path.is_dir() and re.match(r'[vV]\.?[0-9]', path.name):
            passed_over.append(PassedOver(path, 'a version is named v and a number: v0, v1, v10'))
    return targets, passed_over


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith('.') and path.name != '__pycache__')
    except OSError:  # gone meanwhile
        return []


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
    name = path.stem if path.suffix == '.py' and not path.is_dir() else path.name
    if name.startswith('_'):
        return 'its name starts with _'
    if not (name.isidentifier() and name.isascii()):
        return 'its name is not an ASCII identifier'
    if iskeyword(name):
        return 'its name is a Python keyword'
    if path.is_dir():
        if path.resolve() in path.parent.resolve().parents or path.resolve() == path.parent.resolve():
            return 'a link to a folder that it is in'
        if path.with_suffix('.py').is_file() and not (path / '__init__.py').is_file():
            return f'{name}.py beside it hides it: make it {name}/__init__.py'
    elif (path.with_suffix('') / '__init__.py').is_file():
        return f'the package {name}/ beside it hides it'
    return ''


def url(target: Target, action: str) -> str:
    return f'/api/{target.version}/{target.name}/{action}'


def actions_of(module: ModuleType) -> dict[str, Action]:
    """The module's actions by name. Raises TypeError for one that cannot be called the way we do."""
    found = {name: vars(module)[name] for name in ACTIONS if callable(vars(module).get(name))}
    for name, handler in found.items():
        if inspect.iscoroutinefunction(handler):
            raise TypeError(f'{module.__name__}.{name} is an async function: on gevent a plain "def {name}" waits without blocking others')
    return {name: _action(handler) for name, handler in found.items()}


def _action(handler: Callable[..., Any]) -> Action:
    """What the decorators raw_environ and raw_response have noted."""
    is_raw = (getattr(handler, 'is_raw_environ', False), getattr(handler, 'is_raw_response', False))
    return Action(handler, *is_raw, getattr(handler, 'max_body', None))


def load(targets: Iterable[Target]) -> tuple[list[tuple[Target, Mapping[str, Action]]], list[tuple[Target, BaseException]]]:
    """Import targets. Returns those that could be, with their actions, and those that could not, with the error."""
    loaded: list[tuple[Target, Mapping[str, Action]]] = []
    broken: list[tuple[Target, BaseException]] = []
    for target in targets:
        try:
            loaded.append((target, actions_of(import_module(target.module))))
        except BaseException as error:  # SystemExit too: a product's code is no part of ours; one target, one verdict
            broken.append((target, error))
    return loaded, broken


def routes_of(loaded: Iterable[tuple[Target, Mapping[str, Action]]]) -> dict[str, Action]:
    """The routes of targets with their actions."""
    return {url(target, name): action for target, actions in loaded for name, action in actions.items()}
