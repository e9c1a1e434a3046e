"""Values in words: JSON text, and short descriptions for messages."""
from __future__ import annotations

import json
from typing import Any

from .. import escapes


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON that can be written and shown: what could act on a terminal, and halves of surrogate pairs, are escaped."""
    return escapes.shown_json(json.dumps(value, indent=indent, ensure_ascii=False))


def described(value: Any) -> str:
    """A few words about what a value is."""
    if isinstance(value, dict):
        return 'an object' if value else 'an empty object'
    if isinstance(value, list):
        return f'a list of {len(value)}'
    return shortened(json.dumps(value[:100] if isinstance(value, str) else value, ensure_ascii=False))


def shortened(text: str, length: int = 40) -> str:
    return text if len(text) <= length else f'{text[:length - 3]}...'
