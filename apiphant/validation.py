"""Errors that become answers, and `field()`, which raises them."""
from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar, Unpack, overload

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


class Limits(TypedDict, total=False):
    """The rules of `field()` that say nothing about the type of its value."""
    valid_length: int | None
    min_length: int | None
    max_length: int | None
    min_value: Any
    max_value: Any
    one_of: Collection[Any] | None
    pattern: str | re.Pattern[str] | None
    explain: Any


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: bool = ..., default_value: Any = ...,
    valid_value: Any = ..., *, valid_type: type[dict[Any, Any]], **limits: Unpack[Limits],
) -> Any: ...  # an object of a request has attributes


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: Literal[True], default_value: Any = ...,
    valid_value: Any = ..., *, valid_type: type[Kind], **limits: Unpack[Limits],
) -> Kind: ...


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: bool = ..., *, default_value: Default,
    valid_value: Any = ..., valid_type: type[Kind], **limits: Unpack[Limits],
) -> Kind | Default: ...


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: bool = ..., *,
    valid_value: Any = ..., valid_type: type[Kind], **limits: Unpack[Limits],
) -> Kind | None: ...


@overload
def field(
    request: Mapping[str, Any], name: str, is_required: bool = ..., default_value: Any = ...,
    valid_value: Any = ..., valid_type: type | tuple[type, ...] | None = ...,
    valid_length: int | None = ..., max_length: int | None = ..., explain: Any = ..., *,
    min_length: int | None = ..., min_value: Any = ..., max_value: Any = ...,
    one_of: Collection[Any] | None = ..., pattern: str | re.Pattern[str] | None = ...,
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
    *,
    min_length: int | None = None,
    min_value: Any = None,
    max_value: Any = None,
    one_of: Collection[Any] | None = None,
    pattern: str | re.Pattern[str] | None = None,
) -> Any:
    """The value of a field or subfield of the request, checked; raises `Missing` or `Invalid` with its name.

    `name` is `id`, or a path through objects and lists: `user.name`, `items.0.id`. `items.*.id` is the list of the
    ids of all items; each is checked, and an error names the one that it is about: `items.3.id`.
    A field that is absent or null gives `default_value`, which is not checked.
    `valid_type` is a type or a tuple of them: `int` refuses `true`, `float` takes `1` too, as JSON has one kind of
    number.
    `valid_length`, `min_length` and `max_length` are of a string, list or object; what has no length is invalid.
    `min_value` and `max_value` are allowed themselves; what cannot be compared with them is invalid.
    `one_of` lists the allowed values. `pattern` is a regular expression for the whole of a string.
    `explain` is any JSON value that the error should carry, '' for none.
    """
    rules = (valid_type, valid_value, valid_length, max_length, min_length, min_value, max_value, one_of, pattern)
    return _field(request, name, _Terms(is_required, default_value, explain, rules))


Check = Callable[[Any, Any], bool]


class _Terms(NamedTuple):
    """What is asked of a value, in the order of `CHECKS`, and what stands for it when it is absent."""
    is_required: bool
    default: Any
    explain: Any
    rules: tuple[Any, ...]


def _field(request: Any, name: str, terms: _Terms) -> Any:
    head, star, rest = name.partition('.*')
    if star and rest[:1] in ('', '.'):
        return _fields(request, head, rest, terms)
    value = _walk(request, name, terms.explain)
    if value is None:
        if terms.is_required:
            raise Missing(name, terms.explain)
        return terms.default
    for check, rule in zip(CHECKS, terms.rules, strict=True):
        if rule is not None and not check(value, rule):
            raise Invalid(name, terms.explain)
    return value


def _fields(request: Any, head: str, rest: str, terms: _Terms) -> list[Any]:
    """Of each item of the list at `head`. An absent list has no items."""
    items = _walk(request, head, terms.explain)
    if items is None:
        if terms.is_required:
            raise Missing(head, terms.explain)
        return []
    if not isinstance(items, list):
        raise Invalid(head, terms.explain)
    return [_field(request, f'{head}.{number}{rest}', terms) for number in range(len(items))]


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


def is_of_type(value: Any, wanted: type | tuple[type, ...]) -> bool:
    """`true` is no number, and a whole number is a float, as JSON has one kind of number."""
    types = wanted if isinstance(wanted, tuple) else (wanted,)
    if isinstance(value, bool):
        return bool in types or object in types
    return isinstance(value, types) or (float in types and isinstance(value, int))


def _is_equal(value: Any, wanted: Any) -> bool:
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _length(value: Any) -> int:
    """-1 for what has none."""
    return len(value) if hasattr(value, '__len__') else -1


def _is_at_least(value: Any, wanted: Any) -> bool:
    return _is_ordered(value, wanted) and bool(value >= wanted)


def _is_at_most(value: Any, wanted: Any) -> bool:
    return _is_ordered(value, wanted) and bool(value <= wanted)


def _is_ordered(value: Any, wanted: Any) -> bool:
    """Two numbers, or two of the same kind, such as texts."""
    if isinstance(value, (int, float)):
        return not isinstance(value, bool) and not isinstance(wanted, str)
    return type(value) is type(wanted)


def _is_one_of(value: Any, wanted: Collection[Any]) -> bool:
    return any(_is_equal(value, one) for one in wanted)


def _matches(value: Any, wanted: str | re.Pattern[str]) -> bool:
    return isinstance(value, str) and re.fullmatch(wanted, value) is not None


# In the order in which field() hands their rules over.
CHECKS: tuple[Check, ...] = (
    is_of_type,
    _is_equal,
    lambda value, wanted: _length(value) == wanted,
    lambda value, wanted: 0 <= _length(value) <= wanted,
    lambda value, wanted: _length(value) >= max(wanted, 0),
    _is_at_least,
    _is_at_most,
    _is_one_of,
    _matches,
)
