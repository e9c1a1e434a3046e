"""The file that keeps what was typed."""
from __future__ import annotations

from ...api.product import Product, state_path
from ..gate import Out
from .failure import reason


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
    return str(path)
