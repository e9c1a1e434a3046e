"""What a module does while it is imported, besides defining names.

What it reads decides its values, as an import does: files, folders, modules that are named in the middle of its code.
What it leaves behind in the process stays there when it is imported anew: functions for the exit, handlers of signals
and logs, entries in another module's list. And all calls wait while it computes.
"""
from __future__ import annotations

import atexit
import functools
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from types import ModuleType
from typing import Any

import gevent

from ...modules import is_a, names_of
from .files import look_at

READING = ('open', 'os.listdir', 'os.scandir')
WRITING = os.O_WRONLY | os.O_RDWR
NOT_DATA = ('.py', '.pyc', '.so')
NOT_OURS = tuple(folder + os.sep for folder in ('/proc', '/sys', '/dev', sys.prefix, sys.base_prefix))
LEFT_BEHIND: list[tuple[Any, str, str]] = [
    (atexit, 'register', 'registers an atexit function'),
    (signal, 'signal', 'sets a signal handler'),
    (gevent, 'signal_handler', 'sets a signal handler'),
    (logging.Logger, 'addHandler', 'adds a logging handler'),
]


@dataclass(slots=True)
class Doings:
    """What one execution of a module's code did. `held` is the longest time in seconds for which it let nobody else run."""
    imports: set[str] = field(default_factory=set)
    reads: dict[str, str] = field(default_factory=dict)  # path -> digest
    left: set[str] = field(default_factory=set)
    grown: set[str] = field(default_factory=set)
    held: float = 0.0
    since: float = 0.0
    is_over: bool = False

    def hold(self, now: float) -> None:
        self.held = max(self.held, now - self.since)
        self.since = now

    @contextmanager
    def growth(self, names: Iterable[str]) -> Iterator[None]:
        """Note what gets longer in these modules meanwhile."""
        before = _sizes(names)
        yield
        self.grown = {key for key, size in _sizes(names).items() if size > before.get(key, size)}


_current: ContextVar[Doings | None] = ContextVar('doings', default=None)


@contextmanager
def observed(doings: Doings) -> Iterator[None]:
    """Note what the current greenlet does in this block, less what it does in blocks inside it."""
    outer, doings.since = _current.get(), perf_counter()
    if outer:
        outer.hold(doings.since)
    token = _current.set(doings)
    try:
        yield
    finally:
        _current.reset(token)
        now = perf_counter()
        doings.hold(now)
        doings.is_over = True
        if outer:
            outer.since = now


def was_away(since: float) -> None:
    """The greenlet that imports comes back: it let others run at that time."""
    if doings := _current.get():
        doings.hold(since)
        doings.since = perf_counter()


def install() -> None:
    """For the app process, before the product is imported. There is no way back."""
    sys.addaudithook(_audit)
    importlib.import_module = _noting_import(importlib.import_module)
    for owner, name, what in LEFT_BEHIND:
        setattr(owner, name, _noting_left(getattr(owner, name), what))


def _sizes(names: Iterable[str]) -> dict[str, int]:
    """Lengths of what can grow in the modules of these names, by full name."""
    return {f'{name}.{key}': len(value) for name in names if name in sys.modules
            for key, value in names_of(sys.modules[name]).copy().items()
            if type(value) in (list, set, dict) and is_a(key, str) and not key.startswith('__')}


def _doings() -> Doings | None:
    doings = _current.get()
    return doings if doings and not doings.is_over else None  # a greenlet started at import inherits it


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Python calls this for each `open` of the process; an error here would be raised there."""
    if event not in READING or not (doings := _doings()):
        return
    is_import = sys._getframe(1).f_code.co_filename.startswith('<frozen importlib')
    is_writing = event == 'open' and (arguments[2] or 0) & WRITING
    if not is_import and not is_writing:
        _note_read(doings, arguments[0])


def _note_read(doings: Doings, path: Any) -> None:
    name = os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else NOT_OURS[0]
    if not name.endswith(NOT_DATA) and not name.startswith(NOT_OURS):
        token = _current.set(None)
        doings.reads.setdefault(name, look_at(name).digest)
        _current.reset(token)


def _noting_import(import_module: Callable[..., ModuleType]) -> Callable[..., ModuleType]:
    @functools.wraps(import_module)
    def noting(name: str, package: str | None = None) -> ModuleType:
        if is_a(name, str) and (doings := _doings()):
            doings.imports.add(importlib.util.resolve_name(name, package) if package else name)
        return import_module(name, package)
    return noting


def _noting_left(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
        if doings := _doings():
            doings.left.add(what)
        return function(*args, **kwargs)
    return noting
