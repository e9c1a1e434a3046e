"""Which files and folders count as a product's, by their names: for the console, which watches, and for the app."""
from __future__ import annotations

import os

IGNORED = frozenset(('__pycache__', 'node_modules'))  # folders
ENVIRONMENT = 'pyvenv.cfg'  # in the folder of a virtual environment, which is none of the product's code
RACY = 0.05  # seconds: a file changed this lately may change again and keep its time stamps

Stamp = tuple[int, ...]


def is_module(path: str) -> bool:
    """By its name, a file that Python can import."""
    return path.endswith('.py') and '.' not in os.path.basename(path)[:-3]


def is_ignored(name: str) -> bool:
    """A folder that holds no code of the product."""
    return name.startswith('.') or name in IGNORED


def stamp_of(status: os.stat_result) -> Stamp:
    """What stat says of a file's content."""
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
