"""`apiphant check`: import everything, print the routes, the background tasks, and what was passed over."""
from __future__ import annotations

import sys
from pathlib import Path

from .api import product, routing
from .api.actions import ACTIONS, Action
from .api.product import BrokenProduct, Product, ProductError
from .background import tasks as background_tasks
from .logs import format_error


def check(path: str | Path) -> int:
    """Print what the product in the folder `path` serves and runs. Returns the exit status: 1 if something is broken.

    Raises ProductError.
    """
    found = product.find(path)
    product.add_to_path(found)
    targets, passed_over = routing.scan(found)
    loaded, broken = routing.load(targets)
    for route, action in routing.routes_of(loaded).items():
        print(route + _flags(action))
    for item in passed_over:
        print(f'passed over: {item.path.relative_to(found.path.parent)}: {item.reason}')
    for target, actions in loaded:
        if not actions:
            print(f'no actions: {target.path.relative_to(found.path.parent)} defines none of {", ".join(ACTIONS)}')
    for target, error in broken:
        print(f'broken: {target.path.relative_to(found.path.parent)}\n{format_error(error)}', file=sys.stderr)
    return 1 if broken or not _check_tasks(found) else 0


def _check_tasks(found: Product) -> bool:
    """Print the background tasks. Returns whether they can be imported; there need not be any."""
    if not any((found.api / name).exists() for name in ('background.py', 'background')):
        return True
    try:
        background_tasks.load(found)
    except BrokenProduct as error:
        print(f'broken: the background tasks\n{error.tracebacks}', file=sys.stderr)
        return False
    except ProductError as error:
        print(error)
    for task in background_tasks.tasks():
        print(f'task: {task.name} {task.schedule}')
    return True


def _flags(action: Action) -> str:
    names = [name for name in ('raw_environ', 'raw_response') if getattr(action, name)]
    return f'  ({", ".join(names)})' if names else ''
