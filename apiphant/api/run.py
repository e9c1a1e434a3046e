"""Run an action with its call: each `around` that it is under, from the outermost, and in them the handler."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .actions import Action
from .call import Call, enter, leave
from .signature import shown


def run(action: Action, call: Call, *arguments: Any) -> Any:
    """What the outermost returns: a dict, or of a raw response what WSGI sends. Raises what they raise."""
    call.request = arguments[0]
    token = enter(call)
    try:
        return Proceed(action, call, arguments, 0)()
    finally:
        call.is_over = True
        leave(token)


class Proceed:
    """What is inside an `around`: the next one, or the handler. It goes once, while the call lasts."""

    __slots__ = ('_action', '_arguments', '_call', '_is_done', '_level')

    def __init__(self, action: Action, call: Call, arguments: tuple[Any, ...], level: int) -> None:
        self._action = action
        self._call = call
        self._arguments = arguments
        self._level = level
        self._is_done = False

    def __call__(self) -> Any:
        if self._is_done or self._call.is_over:
            raise RuntimeError(f'{self._outer()} calls proceed() {"twice" if self._is_done else "after its call"}')
        self._is_done = True
        arounds = self._action.arounds
        if self._level == len(arounds):
            return self._handle()
        around = arounds[self._level]
        inner = Proceed(self._action, self._call, self._arguments, self._level + 1)
        content = around(self._call, inner)
        if content is None:
            raise TypeError(f'{shown(around)} returned nothing: it should return what proceed() gave')
        return content if self._action.raw_response else answer_of(around, content)

    def _handle(self) -> Any:
        action = self._action
        more = (self._call,) if action.takes_call else ()
        content = action.handler(*self._arguments, *more)
        return content if action.raw_response else answer_of(action.handler, content)

    def _outer(self) -> str:
        return shown(self._action.arounds[self._level - 1])


def answer_of(function: Callable[..., Any], content: Any) -> dict[str, Any]:
    """What a function returned, if that can be an answer. Raises TypeError."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise TypeError(f'{shown(function)} returned {type(content).__name__}, not a dict or None')
    return content
