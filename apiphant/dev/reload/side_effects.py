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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from types import FrameType, ModuleType
from typing import Any, Protocol

import gevent

from ...modules import is_a
from .files import look_at

READING = ('open', 'os.listdir', 'os.scandir')
LEFT = {  # events of Python's audit, in words
    'subprocess.Popen': 'starts a process', 'os.fork': 'starts a process', 'os.posix_spawn': 'starts a process',
    'os.system': 'starts a process', '_thread.start_new_thread': 'starts a thread', 'socket.bind': 'binds a port',
    'fcntl.flock': 'locks a file', 'fcntl.lockf': 'locks a file'}
LASTING = {'os.putenv': 'changes the environment', 'os.unsetenv': 'changes the environment'}
HOLDING = ('socket.bind', 'fcntl.flock', 'fcntl.lockf')
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
class SideEffects:
    """What one execution of a module's code did.

    `held` is the longest time in seconds for which it let nobody else run.
    """
    imports: set[str] = field(default_factory=set)
    reads: dict[str, str] = field(default_factory=dict)  # path -> digest
    left: set[str] = field(default_factory=set)  # what on_unload may undo, in words
    lasting: set[str] = field(default_factory=set)  # what nothing undoes
    holds: bool = False  # a port or a lock
    held: float = 0.0
    since: float = 0.0
    is_over: bool = False

    def hold(self, now: float) -> None:
        self.held = max(self.held, now - self.since)
        self.since = now


_modules_before: list[int] = []  # how many there were when the product first changed how others are imported
_current: ContextVar[SideEffects | None] = ContextVar('effects', default=None)


@contextmanager
def observed(effects: SideEffects) -> Iterator[None]:
    """Note what the current greenlet does in this block, less what it does in blocks inside it."""
    outer, effects.since = _current.get(), perf_counter()
    if outer:
        outer.hold(effects.since)
    token = _current.set(effects)
    try:
        yield
    finally:
        _current.reset(token)
        now = perf_counter()
        effects.hold(now)
        effects.is_over = True
        if outer:
            outer.since = now


@contextmanager
def unobserved() -> Iterator[None]:
    """What is done in this block is not the module's that is being imported."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def was_away(since: float) -> None:
    """The greenlet that imports comes back: it let others run at that time."""
    if effects := _current.get():
        effects.hold(since)
        effects.since = perf_counter()


class Noted(Protocol):
    """Who is told what modules import and read that others execute: a function of theirs is called."""

    def add_import(self, module: str, imported: str) -> None: ...

    def add_read(self, module: str, path: str, digest: str) -> None: ...


_noted: list[tuple[str, Noted]] = []  # the product's folder, and who is told


def tell(folder: str, noted: Noted) -> None:
    _noted[:] = [(folder + os.sep, noted)]


def note_import(imported: str) -> None:
    """By all modules of the product whose code is running: at import, and during calls."""
    for _, noted in _noted:
        for module in _modules_at_work():
            noted.add_import(module, imported)


def _modules_at_work() -> set[str]:
    """Those on the stack."""
    found = set()
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_noted[0][0]):
            name = frame.f_globals.get('__name__')
            if type(name) is str:
                found.add(name)
        frame = frame.f_back
    return found


def install() -> None:
    """For the app process, before the product is imported. There is no way back."""
    sys.addaudithook(_audit)
    importlib.import_module = _noting_import(importlib.import_module)
    for owner, name, what in LEFT_BEHIND:
        setattr(owner, name, _noting_left(getattr(owner, name), what))


def note_change() -> None:
    """The product changes how packages may import, its environment for instance."""
    if not _modules_before:
        _modules_before.append(len(sys.modules))


def modules_before_changes() -> int | None:
    """How many modules there were then; None if that has not been so."""
    return _modules_before[0] if _modules_before else None


def _effects() -> SideEffects | None:
    effects = _current.get()
    return effects if effects and not effects.is_over else None  # a greenlet started at import inherits it


def _own_effects() -> SideEffects | None:
    """Unless a library does it when it is imported: that happens once."""
    effects = _effects()
    return None if effects and _is_library_imported() else effects


def _is_library_imported() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _noted:
        if frame.f_code.co_filename.startswith(_noted[0][0]):
            return False
        if frame.f_code.co_name == '<module>':
            return True
        frame = frame.f_back
    return False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Python calls this for each event of the process; an error here would be raised there."""
    if event in READING:
        _note_reading(event, arguments)
    elif event in LEFT and (effects := _own_effects()):
        effects.left.add(LEFT[event])
        effects.holds |= event in HOLDING
    elif event in LASTING and (effects := _own_effects()):
        effects.lasting.add(LASTING[event])
        note_change()


def _note_reading(event: str, arguments: tuple[Any, ...]) -> None:
    if not (effects := _effects()):
        return
    is_import = sys._getframe(2).f_code.co_filename.startswith('<frozen importlib')
    flags = (arguments[2] or 0) if event == 'open' else 0
    if is_import:
        return
    if not flags & WRITING:
        _note_read(effects, arguments[0])
    elif flags & os.O_EXCL and flags & os.O_CREAT:
        effects.holds = True


def _note_read(effects: SideEffects, path: Any) -> None:
    name = os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else NOT_OURS[0]
    if not name.endswith(NOT_DATA) and not name.startswith(NOT_OURS):
        with unobserved():
            digest = effects.reads.setdefault(name, look_at(name).digest)
        for _, noted in _noted:
            for module in _modules_at_work():
                noted.add_read(module, name, digest)


def _noting_import(import_module: Callable[..., ModuleType]) -> Callable[..., ModuleType]:
    @functools.wraps(import_module)
    def noting(name: str, package: str | None = None) -> ModuleType:
        if is_a(name, str):
            _note_import(importlib.util.resolve_name(name, package) if package else name)
        return import_module(name, package)
    return noting


def _note_import(name: str) -> None:
    if effects := _effects():
        effects.imports.add(name)
    note_import(name)


def _noting_left(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
        if effects := _own_effects():
            effects.left.add(what)
        return function(*args, **kwargs)
    return noting
