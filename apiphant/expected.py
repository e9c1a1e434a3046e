"""An expected answer, with room in it for what a test cannot know.

`...` stands for any value, and as a key for any further keys; a type for any value of it, as in `field()`; a compiled
pattern for a text that it matches as a whole. All else is compared exactly: 1 is neither 1.0 nor true.
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .validation import is_of_type


def is_as_expected(actual: Any, expected: Any) -> bool:
    if _is_open(expected):
        return _fits(actual, expected)
    if isinstance(expected, Mapping):
        return isinstance(actual, Mapping) and _is_object_as_expected(actual, expected)
    if isinstance(expected, (list, tuple)):
        return isinstance(actual, list) and _is_list_as_expected(actual, expected)
    return line(actual) == line(expected)


def _is_object_as_expected(actual: Mapping[str, Any], expected: Mapping[Any, Any]) -> bool:
    named = _named(expected)
    return (actual.keys() == named.keys() or (... in expected and actual.keys() >= named.keys())) and all(
        is_as_expected(actual[key], value) for key, value in named.items())


def _is_list_as_expected(actual: Sequence[Any], expected: Sequence[Any]) -> bool:
    return len(actual) == len(expected) and all(map(is_as_expected, actual, expected))


def _is_open(expected: Any) -> bool:
    return expected is ... or isinstance(expected, (type, re.Pattern))


def _fits(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        return isinstance(actual, str) and wanted.fullmatch(actual) is not None
    return wanted is ... or is_of_type(actual, wanted)


def filled(actual: Any, expected: Any) -> Any:
    """What is expected, with what the answer has wherever that fits, so that a diff shows only what does not."""
    if _is_open(expected):
        return actual if _fits(actual, expected) else expected
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return _filled_object(actual, expected)
    if isinstance(expected, (list, tuple)) and isinstance(actual, list):
        pairs = zip(actual, expected, strict=False)
        return [filled(item, wanted) for item, wanted in pairs] + list(expected[len(actual):])
    return expected


def _filled_object(actual: Mapping[str, Any], expected: Mapping[Any, Any]) -> dict[str, Any]:
    named = _named(expected)
    others = {key: value for key, value in actual.items() if ... in expected and key not in named}
    return others | {key: filled(actual[key], value) if key in actual else value for key, value in named.items()}


def line(value: Any) -> str:
    """As JSON on one line, what stands for something as text: '<int>'."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_shown)


def lines(value: Any) -> list[str]:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=_shown).splitlines()


def _named(expected: Mapping[Any, Any]) -> dict[str, Any]:
    """Without the `...` that stands for further keys; keys as JSON has them."""
    return {key if isinstance(key, str) else json.dumps(key): value
            for key, value in expected.items() if key is not ...}


def _shown(value: Any) -> str:
    if value is ...:
        return '...'
    if isinstance(value, re.Pattern):
        return f'<like {value.pattern}>'
    if isinstance(value, type):
        return f'<{value.__name__}>'
    raise TypeError(f'{type(value).__name__} is not JSON: {value!r}')
