"""The file that keeps what was typed."""
from __future__ import annotations

import os
from pathlib import Path

from ...api.product import Product, state_path
from ..escapes import Out
from .failure import reason

MOST = 4_000_000  # bytes, above which only the last entries are kept
KEPT = 1_000_000
ENTRY = b'\n# '  # begins one, with its time


def history_file(product: Product, out: Out) -> str:
    """One a product, for its user only; '' if none can be written, which is said."""
    try:
        return _made(product)
    except (OSError, RuntimeError) as error:  # Path.home() raises that
        out.say(f'No history is kept: {reason(error)}')
        return ''


def _made(product: Product) -> str:
    folder = state_path(product)
    path = folder.with_name(f'{folder.name}.history')
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.open('ab').close()
    shorten(path)
    return str(path)


def shorten(path: Path) -> None:
    """Reading much of what was typed long ago would take seconds at each start."""
    if path.stat().st_size <= MOST:
        return
    with path.open('rb') as file:
        file.seek(-KEPT, os.SEEK_END)
        end = file.read()
    start = end.find(ENTRY)
    new = path.with_name(f'{path.name}.{os.getpid()}')
    new.touch(mode=0o600)
    new.write_bytes(end[start:] if start >= 0 else b'')
    new.replace(path)
