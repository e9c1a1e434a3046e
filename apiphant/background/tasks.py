"""Background tasks: functions of the product, decorated with when to run them."""
from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, NoReturn, TypeVar
from zoneinfo import ZoneInfo

from ..api.product import BrokenProduct, Product, ProductError, add_to_path
from ..modules import names_of
from .callables import name_of, objection
from .generation import Generation, importing
from .on_error import OnError
from .schedule import Cron, Every, Schedule, fault_of, has_next

SHOWN = 100  # tasks in one line

Function = TypeVar('Function', bound=Callable[[], Any])

_tasks: dict[str, list[tuple[Generation, Task]]] = {}  # by name, with the import in which each was decorated
_every = lru_cache(Every)  # one for all tasks of a period


def load(product: Product) -> OnError:
    """Import the product's tasks. Returns its on_error. Raises ProductError."""
    add_to_path(product)
    name, none = f'{product.name}.api.background', f'{product.name} has no background tasks'
    try:
        module = import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise ProductError(f'{none}: there is no {product.api / "background.py"}') from None
        raise BrokenProduct({name: error}) from None
    if not tasks():
        raise ProductError(f'{none}: nothing in {name} is decorated with @seconds or @cron')
    on_error: OnError = getattr(module, 'on_error', None)
    return on_error


@dataclass(frozen=True, slots=True)
class Task:
    """A function to call by a schedule; `timeout` is in seconds."""
    function: Callable[[], Any]
    schedule: Schedule
    timeout: float | None = None

    @property
    def name(self) -> str:
        return name_of(self.function)


def tasks() -> list[Task]:
    """Those of the modules as they are imported now: where one was imported anew, its old tasks are gone."""
    live = [_live(name) for name in _tasks]
    return [entries[-1][1] for entries in live if entries]


def forget(modules: Collection[object]) -> None:
    """Let go of the tasks of modules that have been replaced, or failed."""
    specs = {id(names_of(module).get('__spec__')) for module in modules} - {id(None)}
    for entries in _tasks.values():
        entries[:] = [entry for entry in entries if id(entry[0].spec) not in specs]


def listed(todo: Sequence[Task]) -> str:
    """For a log line: each and its schedule, but not thousands."""
    shown = [f'{task.name} {task.schedule}' for task in todo[:SHOWN]]
    if len(todo) > SHOWN:
        shown.append(f'and {len(todo) - SHOWN} more')
    return ', '.join(shown)


def seconds(period: float, *, timeout: float | None = None, jitter: float = 0) -> Callable[[Function], Function]:
    """Run the decorated function, which takes nothing, every `period` seconds.

    A run that takes longer than `timeout` seconds is ended and counts as failed. Each run begins up to `jitter` seconds
    later. Raises ValueError where a number makes no sense.
    """
    _check_parentheses(period, '@seconds needs a period, as in @seconds(60)')

    def decorate(function: Function) -> Function:
        if not _is_number(period) or not period > 0:
            _refuse(function, f'seconds({period!r}) should be a number above 0')
        _check(function, timeout, jitter)
        return _add(function, _every(period, jitter), timeout, f'seconds({period!r})')
    return decorate


def cron(
    line: str, *, timezone: str = 'UTC', timeout: float | None = None, jitter: float = 0,
) -> Callable[[Function], Function]:
    """Run the decorated function when a cron line of five fields says so, by the clocks of a zone.

    Raises ValueError for a line that means nothing, an unknown zone, and numbers that make no sense.
    """
    _check_parentheses(line, "@cron needs a line of five fields, as in @cron('30 2 * * *')")

    def decorate(function: Function) -> Function:
        fault = fault_of(line) if isinstance(line, str) else fault_of('')
        if fault:
            _refuse(function, f'cron({line!r}) {fault}')
        _check_zone(function, timezone)
        _check(function, timeout, jitter)
        return _add(function, Cron(line, timezone, jitter), timeout, f'cron({line!r})')
    return decorate


def _check_parentheses(argument: Any, why: str) -> None:
    if callable(argument) or isinstance(argument, classmethod):
        _refuse(argument, why)


def _check_zone(function: Callable[[], Any], timezone: str) -> None:
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, KeyError, TypeError):
        _refuse(function, f'timezone={timezone!r} is no zone that is known here')


def _check(function: Callable[[], Any], timeout: float | None, jitter: float) -> None:
    if timeout is not None and (not _is_number(timeout) or not timeout > 0):
        _refuse(function, f'timeout={timeout!r} should be a number above 0')
    if not _is_number(jitter) or not jitter >= 0:
        _refuse(function, f'jitter={jitter!r} should be a number from 0')


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float('inf')


def _refuse(function: Callable[[], Any], why: str) -> NoReturn:
    raise ValueError(f'{name_of(function)}: {why}')


def _add(function: Function, schedule: Schedule, timeout: float | None, shown: str) -> Function:
    why = objection(function)
    if why:
        _refuse(function, why)
    if not has_next(schedule, time.time()):
        _refuse(function, f'{shown} has no next date: it would never run')
    task, generation = Task(function, schedule, timeout), importing()
    _check_name(task, generation)
    _tasks.setdefault(task.name, []).append((generation, task))
    return function


def _check_name(task: Task, generation: Generation) -> None:
    for held, _ in _live(task.name):
        if held.name != generation.name or held.spec is generation.spec:
            hint = 'if it is a decorator\'s own, use functools.wraps there'
            _refuse(task.function, f'there is a task of that name in {held.name} already; {hint}')


def _live(name: str) -> list[tuple[Generation, Task]]:
    return [(generation, task) for generation, task in _tasks.get(name, ()) if generation.is_live]
