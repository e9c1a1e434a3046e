"""Errors that become answers, and `field()`, which raises them."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal, TypeVar, overload

Kind = TypeVar('Kind')
Default = TypeVar('Default')


class ApiError(Exception):
    """Answers the call with `status` (200 to 599) and `{"error": error}`.

    `error` is any JSON value; without one it is the status line: `{"error": "404 Not Found"}`.
    """

    def __init__(self, status: int, error: Any = None) -> None:
        super().__init__(status, error)
        if not isinstance(status, int) or not 200 <= status <= 599:
            raise ValueError(f'ApiError: status should be a number from 200 to 599, not {status!r}')
        self.status = int(status)
        self.error: Any = status_line(self.status) if error is None else error


class BadRequest(ApiError):
    """400, with `error` to say what is wrong."""

    def __init__(self, error: Any = None) -> None:
        super().__init__(400, error)


class Missing(BadRequest):
    """400 `{"error": {"field": name, "state": "missing", "explain": explain}}`; no `explain`, no such key."""

    def __init__(self, name: str, explain: Any = '') -> None:
        super().__init__(_state(name, 'missing', explain))


class Invalid(BadRequest):
    """400 `{"error": {"field": name, "state": "invalid", "explain": explain}}`; no `explain`, no such key."""

    def __init__(self, name: str, explain: Any = '') -> None:
        super().__init__(_state(name, 'invalid', explain))


def status_line(status: int) -> str:
    """404 -> '404 Not Found'. A status that Python has no phrase for is '499 Unknown'."""
    try:
        return f'{status} {HTTPStatus(status).phrase}'
    except ValueError:
        return f'{status} Unknown'


def _state(name: str, state: str, explain: Any) -> dict[str, Any]:
    error = {'field': name, 'state': state}
    return error if isinstance(explain, str) and not explain else {**error, 'explain': explain}


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: bool = ..., default_value: Any = ...,
    valid_value: Any = ..., *, valid_type: type[dict[Any, Any]],
    valid_length: int | None = ..., max_length: int | None = ..., explain: Any = ...,
) -> Any: ...  # an object of a request has attributes


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: Literal[True], default_value: Any = ...,
    valid_value: Any = ..., *, valid_type: type[Kind],
    valid_length: int | None = ..., max_length: int | None = ..., explain: Any = ...,
) -> Kind: ...


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: bool = ..., *, default_value: Default,
    valid_value: Any = ..., valid_type: type[Kind],
    valid_length: int | None = ..., max_length: int | None = ..., explain: Any = ...,
) -> Kind | Default: ...


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: bool = ..., *,
    valid_value: Any = ..., valid_type: type[Kind],
    valid_length: int | None = ..., max_length: int | None = ..., explain: Any = ...,
) -> Kind | None: ...


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: bool = ..., default_value: Any = ...,
    valid_value: Any = ..., valid_type: type | tuple[type, ...] | None = ...,
    valid_length: int | None = ..., max_length: int | None = ..., explain: Any = ...,
) -> Any: ...  # not known, or one of several


def field(
    request: Mapping[str, Any],
    name: str,
    is_required: bool = False,
    default_value: Any = None,
    valid_value: Any = None,
    valid_type: type | tuple[type, ...] | None = None,
    valid_length: int | None = None,
    max_length: int | None = None,
    explain: Any = '',
) -> Any:
    """The value of a field or subfield of the request, checked; raises `Missing` or `Invalid` with its name.

    `name` is `id`, or a path through objects and lists: `user.name`, `items.0.id`.
    A field that is absent or null gives `default_value`, which is not checked.
    `valid_type` is a type or a tuple of them: `int` refuses `true`, `float` takes `1` too, as JSON has one kind of
    number.
    `valid_length` and `max_length` are of a string, list or object; what has no length is invalid.
    `explain` is any JSON value that the error should carry, '' for none.
    """
    value = _walk(request, name, explain)
    if value is None:
        if is_required:
            raise Missing(name, explain)
        return default_value
    rules = {
        'valid_value': valid_value, 'valid_type': valid_type, 'valid_length': valid_length, 'max_length': max_length,
    }
    if all(CHECKS[rule](value, wanted) for rule, wanted in rules.items() if wanted is not None):
        return value
    raise Invalid(name, explain)


def _walk(request: Any, name: str, explain: Any) -> Any:
    """None when the path ends early; invalid when it leads through something that is neither object nor list."""
    value = request
    for step in name.split('.'):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        elif value is not None:
            raise Invalid(name, explain)
    return value


def _is_of_type(value: Any, wanted: type | tuple[type, ...]) -> bool:
    types = wanted if isinstance(wanted, tuple) else (wanted,)
    if isinstance(value, bool):
        return bool in types or object in types
    return isinstance(value, types) or (float in types and isinstance(value, int))


def _is_equal(value: Any, wanted: Any) -> bool:
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _length(value: Any) -> int:
    """-1 for what has none."""
    return len(value) if hasattr(value, '__len__') else -1


CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    'valid_value': _is_equal,
    'valid_type': _is_of_type,
    'valid_length': lambda value, wanted: _length(value) == wanted,
    'max_length': lambda value, wanted: 0 <= _length(value) <= wanted,
}
