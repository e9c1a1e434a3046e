"""The request: a dict whose keys are also attributes, at every depth.

Whatever is put in is converted on its way in: a plain dict becomes a `Request`, and so do the dicts inside lists.
Values are never looked at again on the way out, so reading costs what a dict costs.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self


class Request(dict[str, Any]):
    """`request.user.name` is `request['user']['name']`, for reading, assignment and deletion.

    A key that is also a method of dict (`items`, `copy`, ...) is read with `[]`.
    A missing attribute raises an AttributeError that names it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key, value in self.items():
            if type(value) in CONTAINERS:
                super().__setitem__(key, convert(value))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[_key(name)]
        except KeyError:
            raise AttributeError(f'the request has no {name!r}', name=name, obj=self) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f'the request has no {name!r}', name=name, obj=self) from None

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, convert(value) if type(value) in CONTAINERS else value)

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *(key for key in self if isinstance(key, str))]

    def __ior__(self, other: Any) -> Self:  # type: ignore[override]
        self.update(other)
        return self

    def __or__(self, other: Any) -> Any:
        return type(self)(super().__or__(other)) if isinstance(other, dict) else NotImplemented

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(type(self)(*args, **kwargs))

    def copy(self) -> Self:
        """A shallow copy, as of a dict, of the same kind."""
        new = type(self).__new__(type(self))
        dict.update(new, self)
        return new


CONTAINERS = frozenset((dict, list))
STEP = 2000  # dicts and lists, a millisecond or two
_new, _fill = Request.__new__, dict.update


def _key(name: str) -> str:
    """Python asks objects for `__deepcopy__` and the like; a client's keys must not answer that."""
    if name.startswith('__') and name.endswith('__'):
        raise KeyError(name)
    return name


def convert(value: Any) -> Any:
    """The dict or list with each plain dict in it, at any depth of dicts and lists, as a `Request`.

    Works down a list of what is left to do instead of calling itself: a client chooses the depth.
    """
    root = _shell(value)
    pending = [root]
    for container in pending:  # grows while it is walked
        for key, item in container.items() if isinstance(container, dict) else enumerate(container):
            if type(item) in CONTAINERS:
                new = _shell(item)
                _put(container, key, new)
                pending.append(new)
    return root


def adopt(content: dict[str, Any], give_way: Callable[[], None]) -> Request:
    """What `convert` makes of it, where nobody else has any part of it: lists stay what they are.

    `give_way()` is called after each STEP of dicts and lists: a client chooses how many there are.
    """
    root: Request = _shell(content)
    pending: list[Any] = [root]
    left = STEP
    while pending:
        container = pending.pop()
        is_list = type(container) is list
        put = list.__setitem__ if is_list else dict.__setitem__
        for key, item in enumerate(container) if is_list else container.items():
            kind = type(item)
            if kind not in CONTAINERS:
                continue
            if kind is dict:
                item = _new(Request)  # noqa: PLW2901
                _fill(item, container[key])
                put(container, key, item)
            if item:
                pending.append(item)
            left -= 1
            if not left:
                left = STEP
                give_way()
    return root


def _shell(item: Any) -> Any:
    """The same container, not looked into yet, of the kind that it is to become."""
    if type(item) is list:
        return item.copy()
    new = Request.__new__(Request)
    dict.update(new, item)
    return new


def _put(container: Any, key: Any, value: Any) -> None:
    """Without converting the value again."""
    if isinstance(container, dict):
        dict.__setitem__(container, key, value)
    else:
        container[key] = value
