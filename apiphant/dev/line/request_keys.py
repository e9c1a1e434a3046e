"""Where the value of a key goes in a request: a.b, items.0.id, tags[]. Knows nothing of how values are typed."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .paths import NoValue
from .values import described, shortened

KEY = re.compile(r'[^.\[\]]++(?:\[\])*+(?:\.[^.\[\]]++(?:\[\])*+)*+')
KEY_STEP = re.compile(r'[^.\[\]]++|\[\]')
INDEX = re.compile(r'-?[0-9]{1,9}')

APPEND = '[]'
DEEPEST = 100
UNKNOWN = object()  # a value that was not looked up

Container = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Tree:
    """A request that values are put into by keys like a.b, a.0.b and a[].

    A container may belong to the last answer, so each below the root is copied before something is put into it: once.
    `copied` holds the ids of the copies.
    """
    root: dict[str, Any]
    copied: set[int] = field(default_factory=set)

    def spot(self, key: str) -> tuple[Container, str | int]:
        """Where the value of a key goes. Containers on the way are made. Raises NoValue."""
        steps = _steps(key)
        container: Any = self.root
        for number, following in enumerate(steps[1:]):
            container = self._inside(container, _fit(container, steps, number), following)
        return container, _fit(container, steps, len(steps) - 1)

    def _inside(self, container: Container, key: str | int, following: str) -> Any:
        value = _got(container, key)
        if value is UNKNOWN:
            value = [] if following == APPEND else {}
        value = self._own(value)
        put(container, key, value)
        return value

    def _own(self, value: Any) -> Any:
        if not isinstance(value, dict | list) or id(value) in self.copied:
            return value
        copy = value.copy()
        self.copied.add(id(copy))
        return copy


def _steps(key: str) -> list[str]:
    """['items', '0', 'tags', '[]'] of items.0.tags[]"""
    if not KEY.fullmatch(key):
        right = 'it is names with dots between, a.b or a.0.b, and [] to append to a list'
        raise NoValue(f'{shortened(key)!r} is no key: {right}')
    steps = KEY_STEP.findall(key)
    if len(steps) > DEEPEST:
        raise NoValue(f'the key is nested too deep: {shortened(key)!r}')
    return steps


def _fit(container: Any, steps: list[str], number: int) -> str | int:
    """The step as a key of the container."""
    step = steps[number]
    if isinstance(container, dict) and step != APPEND:
        return step
    if isinstance(container, list) and step == APPEND:
        return len(container)
    if isinstance(container, list) and INDEX.fullmatch(step):
        index = int(step)
        if -len(container) <= index < len(container):
            return index
    raise NoValue(f'no place for {_key(steps[:number + 1])}: {_key(steps[:number])} is {described(container)}')


def _key(steps: list[str]) -> str:
    return '.'.join(steps).replace(f'.{APPEND}', APPEND)


def _got(container: Container, key: str | int) -> Any:
    if isinstance(container, dict):
        return container.get(str(key), UNKNOWN)
    return container[int(key)] if int(key) < len(container) else UNKNOWN


def put(container: Container, key: str | int, value: Any) -> None:
    if isinstance(container, dict):
        container[str(key)] = value
    elif key == len(container):
        container.append(value)
    else:
        container[int(key)] = value
