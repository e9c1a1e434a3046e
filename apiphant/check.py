"""`apiphant check`: import everything, print the routes, the background tasks, and what was passed over."""
from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from . import server  # noqa: F401  # handlers import it; see add_to_path
from .api.actions import ACTIONS, Action
from .api.around import Arounds, has_around
from .api.near_misses import misspelled, out_of_versions, same_versions
from .api.product import BrokenProduct, Product, ProductError, add_to_path
from .api.product import find as find_product
from .api.routing import NO_VERSION, VERSION, Broken, Loaded, PassedOver, load, scan, url
from .background import tasks as background_tasks
from .tracebacks import format_error


def check(path: str | Path) -> int:
    """Print what the product in the folder `path` serves and runs. Returns the exit status: 1 if something is broken.

    Raises ProductError.
    """
    product = find_product(path)
    add_to_path(product)
    targets, passed_over = scan(product)
    loaded, broken = load(targets)
    _print_routes(loaded)
    _print_passed_over(product, passed_over)
    _print_out_of_versions(product, {item.path for item in passed_over})
    _print_same_versions(product)
    _print_misspelled(product, loaded)
    _print_empty(product, loaded)
    _print_misplaced(product, loaded)
    _print_broken(product, broken)
    are_tasks_well = _check_tasks(product)
    return 0 if are_tasks_well and not broken else 1


def _print_routes(loaded: Iterable[Loaded]) -> None:
    arounds = Arounds()
    for target, actions in loaded:
        packages = arounds.packages_above(target.module)
        for name, action in actions.items():
            print(url(target, name) + _flags(action, packages))


def _print_passed_over(product: Product, passed_over: Iterable[PassedOver]) -> None:
    for item in passed_over:
        print(f'passed over: {_short(product, item.path)}: {item.reason}')


def _print_out_of_versions(product: Product, said: Collection[Path]) -> None:
    if not any(VERSION.fullmatch(path.name) for path in product.api.iterdir() if path.is_dir()):
        print(f'no targets: {product.name}/api has no folder of a version, such as {product.name}/api/v0')
    for path in out_of_versions(product):
        if path in said:
            continue
        reason = NO_VERSION
        if path.is_file():
            reason = f'it is in no version; {product.name}/api/v0/{path.name} would be a target'
        print(f'passed over: {_short(product, path)}: {reason}')


def _print_same_versions(product: Product) -> None:
    for folders in same_versions(product):
        *others, last = [str(_short(product, folder)) for folder in folders]
        print(f'two versions: {", ".join(others)} and {last} are not the same in a URL')


def _print_misspelled(product: Product, loaded: Iterable[Loaded]) -> None:
    for target, _ in loaded:
        for name, action in misspelled(sys.modules.get(target.module)).items():
            print(f'not called: {name} in {_short(product, target.path)}: did you mean {action}?')


def _print_empty(product: Product, loaded: Iterable[Loaded]) -> None:
    for target, actions in loaded:
        if not actions and not has_around(target.module):
            print(f'no actions: {_short(product, target.path)} defines none of {", ".join(ACTIONS)}')


def _print_misplaced(product: Product, loaded: Iterable[Loaded]) -> None:
    for target, _ in loaded:
        if has_around(target.module) and target.path.name != '__init__.py':
            print(f'not called: around in {_short(product, target.path)}: it should be in an __init__.py')


def _print_broken(product: Product, broken: Iterable[Broken]) -> None:
    """An error that several targets have from one package is printed once."""
    files: dict[BaseException, list[str]] = {}
    for target, error in broken:
        files.setdefault(error, []).append(str(_short(product, target.path)))
    for error, names in files.items():
        print(f'broken: {", ".join(names)}\n{format_error(error)}', file=sys.stderr)


def _short(product: Product, path: Path) -> Path:
    """The path as seen from beside the product."""
    return path.relative_to(product.path.parent)


def _check_tasks(product: Product) -> bool:
    """Print the background tasks. Returns whether they can be imported; a product need not have any."""
    if not any((product.api / name).exists() for name in ('background.py', 'background')):
        return True
    try:
        background_tasks.load(product)
    except BrokenProduct as error:
        print(f'broken: the background tasks\n{error.tracebacks}', file=sys.stderr)
        return False
    except ProductError as error:
        print(error)
    for task in background_tasks.tasks():
        print(f'task: {task.name} {task.schedule}')
    return True


def _flags(action: Action, packages: Iterable[str]) -> str:
    flags = ', '.join(name for name in ('raw_environ', 'raw_response') if getattr(action, name))
    folders = ', '.join(name.partition('.')[2].replace('.', '/') for name in packages)
    return ''.join(f'  ({words})' for words in (flags, folders and f'around: {folders}') if words)
