"""Find a product: a Python package with an `api` package in it."""
from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from .. import validation  # noqa: F401  # see add_to_path
from ..errors import UserError
from ..tracebacks import format_error


class ProductError(UserError):
    """The folder is no product, or the product lacks what a command needs."""


class BrokenProduct(ProductError):
    """The product's own code cannot be imported: `errors` by module name."""

    def __init__(self, errors: Mapping[str, BaseException]) -> None:
        super().__init__(f'cannot import {", ".join(errors)}')
        self.errors = errors
        self.tracebacks = '\n\n'.join(map(format_error, dict.fromkeys(errors.values())))


@dataclass(frozen=True, slots=True)
class Product:
    """`name` is the package's name, `path` its folder, absolute."""
    name: str
    path: Path

    @property
    def api(self) -> Path:
        return self.path / 'api'

    @property
    def public(self) -> Path:
        return self.path / 'public'


def find(path: str | Path) -> Product:
    """The product in the folder `path`. Raises ProductError."""
    folder = Path(path).absolute()
    if '..' in folder.parts or not folder.name:
        folder = folder.resolve()
    if not folder.is_dir():
        raise ProductError(f'no such product: {path} is {not_a_folder(folder)}')
    check_name(folder.name)
    if not (folder / 'api').is_dir():
        first = f'{path}/api/v0/echo.py'
        raise ProductError(f'{path} is no product: it has no folder "api" (the first target could be {first})')
    return Product(folder.name, folder)


def not_a_folder(path: Path) -> str:
    """What a path is that should be a folder."""
    return 'a file, not a folder' if path.exists() else 'not a folder'


def check_name(name: str) -> None:
    """Raises ProductError where no product can have this name."""
    if not name.isidentifier() or iskeyword(name):
        raise ProductError(
            f'{name!r} cannot be a product: the folder is a Python package, its name should be like a variable\'s')
    if name in sys.stdlib_module_names or name == 'apiphant':
        raise ProductError(f'a product cannot be called {name!r}: a module of that name is in use already')


def add_to_path(product: Product) -> None:
    """Make the product importable by its name, before anything else of that name. Raises ProductError.

    From here on, files beside the product hide modules of the same names. What we offer to products is imported before.
    """
    parent = str(product.path.parent)
    if parent not in sys.path[:1]:
        sys.path.insert(0, parent)
    spec = find_spec(product.name)
    folders = (spec and spec.submodule_search_locations) or []
    if product.path not in map(Path, folders):
        origin = spec.origin if spec else 'nowhere'
        raise ProductError(f'{product.name!r} is hidden by another module of that name: {origin}')


def state_path(product: Product, base: str | None = None) -> Path:
    """The folder for what is kept of a product and its user: below `base`, XDG_STATE_HOME or ~/.local/state.

    Nothing is made there.
    """
    folder = Path(base or os.environ.get('XDG_STATE_HOME') or Path.home() / '.local' / 'state')
    return folder / 'apiphant' / '-'.join(product.path.parts[1:])
