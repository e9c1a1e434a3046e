"""Actions: the functions of a target module that calls run, and the marks raw_environ and raw_response."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from ..modules import names_of
from .around import Around
from .signature import place_of, takes_call

Handler = TypeVar('Handler', bound=Callable[..., Any])

ACTIONS = ('create', 'read', 'update', 'delete')


@overload
def raw_environ(handler: Handler, /) -> Handler: ...


@overload
def raw_environ(*, max_body: int | None = None) -> Callable[[Handler], Handler]: ...


def raw_environ(
        handler: Handler | None = None, /, *, max_body: int | None = None) -> Handler | Callable[[Handler], Handler]:
    """The handler gets the WSGI environ in place of the request, for any method.

    `@raw_environ(max_body=200 * 1024 * 1024)` lets it read bodies of so many bytes, whatever the server's limit is.
    """
    def decorate(handler: Handler) -> Handler:
        handler.is_raw_environ = True  # type: ignore[attr-defined]
        handler.max_body = max_body  # type: ignore[attr-defined]
        return handler
    return decorate(handler) if handler else decorate


def raw_response(handler: Handler) -> Handler:
    """The handler gets `start_response` as a second argument and returns a WSGI iterable, for any method."""
    handler.is_raw_response = True  # type: ignore[attr-defined]
    return handler


@dataclass(frozen=True, slots=True)
class Action:
    """What a URL calls. `max_body` is the handler's own limit in bytes, None for the server's.

    `takes_call`: the handler's last argument is the call; `arounds` run around it, the first outermost.
    """
    handler: Callable[..., Any]
    raw_environ: bool = False
    raw_response: bool = False
    max_body: int | None = None
    takes_call: bool = False
    arounds: tuple[Around, ...] = ()
    is_raw: bool = field(init=False)
    needs_call: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'is_raw', self.raw_environ or self.raw_response)
        object.__setattr__(self, 'needs_call', self.takes_call or bool(self.arounds))


Routes = Mapping[str, Action]  # '/api/v0/echo/read' -> Action


def actions_of(module: object, arounds: tuple[Around, ...] = ()) -> dict[str, Action]:
    """The module's actions by name. Raises TypeError for one that cannot be called the way we do."""
    names = names_of(module)
    found = {action: names[action] for action in ACTIONS if callable(names.get(action))}
    for action, handler in found.items():
        if _is_async(handler):
            raise TypeError(f'{place_of(handler)}: {names.get("__name__")}.{action} is an async function: '
                            f'on gevent a plain "def {action}" waits without blocking others')
    return {action: _action(handler, arounds) for action, handler in found.items()}


def _is_async(handler: Callable[..., Any]) -> bool:
    """Itself, whatever it wraps: a decorator may run that."""
    call = inspect.getattr_static(type(handler), '__call__', None)
    return any(map(inspect.iscoroutinefunction, (handler, call))) or inspect.isasyncgenfunction(handler)


def _action(handler: Callable[..., Any], arounds: tuple[Around, ...]) -> Action:
    """What the decorators raw_environ and raw_response have noted: a handler may answer to any name, or to none."""
    max_body = _noted(handler, 'max_body')
    is_raw_response = _noted(handler, 'is_raw_response') is True
    return Action(
        handler,
        raw_environ=_noted(handler, 'is_raw_environ') is True,
        raw_response=is_raw_response,
        max_body=max_body if type(max_body) is int else None,
        takes_call=takes_call(handler, 2 if is_raw_response else 1),
        arounds=arounds,
    )


def _noted(handler: Callable[..., Any], name: str) -> Any:
    try:
        return getattr(handler, name, None)
    except Exception:  # its own __getattr__
        return None
