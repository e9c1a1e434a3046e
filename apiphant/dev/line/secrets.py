"""What is a secret, by the name of its field or header. All that keeps or shows what was typed asks here."""
from __future__ import annotations

import re
from typing import Any

from .paths import PATH

NAME = re.compile(r'(?i)password|passwd|token|secret|api_?key|(?<![a-z])key(?![a-z])|authorization|cookie')
KEY = re.compile(r'(?<!["\'\w.\[\]-])["\'\w.\[\]-]++(?=\s*+:?[=:])')
REFERENCE = re.compile(rf'\s*+:?[=:]\s*+(?i:(?:bearer|basic|token) )?+{PATH.pattern}', re.DOTALL)
MASK = '***'


def is_secret(name: str) -> bool:
    return NAME.search(name) is not None


def has_secret(line: str) -> bool:
    """Whether a line spells one out: password=x, but not password=$.password, which says only where it is."""
    return any(is_secret(key[0]) and not REFERENCE.match(line, key.end()) for key in KEY.finditer(line))


def masked(value: Any, name: str = '') -> Any:
    """The JSON value with *** in place of each secret in it; null and '' are none."""
    if value in (None, '') or not isinstance(value, (dict, list, str, int, float)):
        return value
    if isinstance(value, dict):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, name) for item in value]
    return MASK if is_secret(name) else value
