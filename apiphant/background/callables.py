"""Functions that can be tasks, and others: their names in a log, and why one of them cannot be a task."""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from inspect import Parameter, isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from types import FunctionType, MethodType
from typing import Any

MOST = 30  # decorators of one function
KINDS = (
    (iscoroutinefunction, 'an async def', 'a def that calls asyncio.run'),
    (isasyncgenfunction, 'an async generator', 'a def that calls asyncio.run'),
    (isgeneratorfunction, 'a generator', 'a function without yield'),
)
RUNNERS = {'run', 'run_until_complete', 'run_coroutine_threadsafe'}  # what a decorator calls that does run an async def
NAMELESS = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def name_of(function: Any) -> str:
    """Its own name; of a partial the name of its function, of an object the name of its class."""
    name = getattr(function, '__name__', None)
    if isinstance(name, str):
        return name
    return name_of(function.func) if isinstance(function, partial) else type(function).__name__


def objection(function: Any) -> str:
    """Why it cannot be a task, and what to do; '' if it can."""
    if isinstance(function, type):
        return 'a class cannot be a task; decorate a function'
    if not callable(function):
        return f'{type(function).__name__} objects cannot be called; decorate a function that does what it should'
    for layer in _layers(function):
        for is_kind, kind, remedy in KINDS:
            if is_kind(layer):
                return f'the body of {kind} never runs when it is called as a task is; write {remedy}'
    missing = ', '.join(_arguments(function))
    return f'a task is called with nothing, and this takes {missing}' if missing else ''


def _layers(function: Any) -> Iterator[Any]:
    """The function, and those that its decorators call, from the outside in."""
    for _ in range(MOST):
        yield function
        below = _below(function)
        if below is None or _runs_async(function):
            return
        function = below


def _below(function: Any) -> Any:
    if isinstance(function, partial):
        return function.func
    wrapped = getattr(function, '__wrapped__', None)
    if wrapped is not None or isinstance(function, (FunctionType, MethodType)):
        return wrapped
    call = type(function).__call__
    return call if isinstance(call, FunctionType) else None


def _runs_async(function: Any) -> bool:
    code = getattr(function, '__code__', None)
    return code is not None and not RUNNERS.isdisjoint(code.co_names)


def _arguments(function: Any) -> list[str]:
    """The arguments that its own head requires. A decorator may give those of the function behind it."""
    if type(function) not in (FunctionType, MethodType, partial) or hasattr(function, '__signature__'):
        return []
    parameters = signature(function, follow_wrapped=False).parameters.values()
    return [parameter.name for parameter in parameters if _is_required(parameter)]


def _is_required(parameter: Parameter) -> bool:
    return parameter.kind not in NAMELESS and parameter.default is Parameter.empty
