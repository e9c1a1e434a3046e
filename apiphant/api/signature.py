"""How many arguments a function takes, and where it is."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any

CALL = 'call'
LONGEST_CHAIN = 100  # of decorators


@dataclass(frozen=True, slots=True)
class Parameters:
    """Those that are given by position: how many have to be, and all by name; and what can only be given by name."""
    required: int
    names: tuple[str, ...]
    takes_any: bool = False  # *arguments
    required_by_name: tuple[str, ...] = ()


def takes_call(handler: Callable[..., Any], given: int) -> bool:
    """Whether it takes the call after `given` arguments. Raises TypeError if it can be called in neither way.

    It does if it needs one argument more, or if that is called `call`. Of `*arguments`, what it wraps decides.
    """
    found = parameters_of(handler)
    if found is None:
        return False
    if found.required_by_name or found.required > given + 1 or not (found.takes_any or len(found.names) >= given):
        raise TypeError(_why(handler, given, found))
    if found.takes_any and len(found.names) <= given:
        return found.required == given + 1
    return found.required == given + 1 or found.names[given:given + 1] == (CALL,)


def takes(function: Callable[..., Any], given: int) -> bool:
    """Whether it can be called with so many arguments."""
    found = parameters_of(function)
    if found is None:
        return True
    can_take = found.takes_any or len(found.names) >= given
    return can_take and found.required <= given and not found.required_by_name


def parameters_of(function: Any) -> Parameters | None:
    """None where nobody can tell."""
    try:
        for _ in range(LONGEST_CHAIN):
            found = _parameters(function)
            wrapped = inspect.getattr_static(function, '__wrapped__', None)
            if not found.takes_any or wrapped is None:
                return found
            function = wrapped
    except Exception:  # in C, or it does not let itself be looked at
        pass
    return None


def _parameters(function: Any) -> Parameters:
    """Its own, whatever it wraps."""
    if type(function) is FunctionType:
        return _of_function(function)
    return _of_signature(inspect.signature(function, follow_wrapped=False))


def _of_function(function: FunctionType) -> Parameters:
    """As `_of_signature`, at a tenth of its time."""
    code = function.__code__
    names = code.co_varnames[:code.co_argcount]
    by_name = code.co_varnames[code.co_argcount:code.co_argcount + code.co_kwonlyargcount]
    required_by_name = tuple(name for name in by_name if name not in (function.__kwdefaults__ or {}))
    required = len(names) - len(function.__defaults__ or ())
    return Parameters(required, names, bool(code.co_flags & inspect.CO_VARARGS), required_by_name)


def _of_signature(signature: inspect.Signature) -> Parameters:
    parameters = signature.parameters.values()
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    by_name = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
    required = sum(one.default is one.empty for one in positional)
    takes_any = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    return Parameters(required, tuple(one.name for one in positional), takes_any, tuple(by_name))


def _why(handler: Callable[..., Any], given: int, found: Parameters) -> str:
    usual = ('request', 'start_response')[:given]
    wanted = f'({", ".join(usual)}) or ({", ".join((*usual, CALL))})'
    taken = f'takes ({", ".join(found.names)})'
    if found.required_by_name:
        taken = f'needs {", ".join(found.required_by_name)} by name'
    return f'{place_of(handler)}: {name_of(handler)} {taken}; a handler is called with {wanted}'


def name_of(function: Any) -> str:
    return str(getattr(_inner(function), '__qualname__', None) or type(function).__qualname__)


def place_of(function: Any) -> str:
    """File and line of a function, or the module of what has none."""
    inner = inspect.unwrap(_inner(function))
    code = getattr(inner, '__code__', None) or getattr(_call_of(inner), '__code__', None)
    return f'{code.co_filename}:{code.co_firstlineno}' if code else str(getattr(inner, '__module__', 'somewhere'))


def _call_of(instance: Any) -> Any:
    return inspect.getattr_static(type(instance), '__call__', None)


def shown(function: Any) -> str:
    """Name and place, for the log."""
    try:
        return f'{name_of(function)} at {place_of(function)}'
    except Exception:  # it does not let itself be looked at
        return type(function).__qualname__


def _inner(function: Any) -> Any:
    """Of a partial or a method, the function."""
    while isinstance(function, partial | MethodType):
        function = function.func if isinstance(function, partial) else function.__func__
    return function
