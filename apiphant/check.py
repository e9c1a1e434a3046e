"""`apiphant check`: import everything, print the routes and what was passed over."""
from __future__ import annotations

import sys
from pathlib import Path

from . import product, routing
from .logs import format_error


def check(path: str | Path) -> int:
    """Print what the product in the folder `path` serves. Returns the exit status: 1 if a target is broken.

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
            print(f'no actions: {target.path.relative_to(found.path.parent)} defines none of {", ".join(routing.ACTIONS)}')
    for target, error in broken:
        print(f'broken: {target.path.relative_to(found.path.parent)}\n{format_error(error)}', file=sys.stderr)
    return 1 if broken else 0


def _flags(action: routing.Action) -> str:
    names = [name for name in ('raw_environ', 'raw_response') if getattr(action, name)]
    return f'  ({", ".join(names)})' if names else ''
