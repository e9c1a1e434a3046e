"""Watches the product's tree and tells what changed, once a save has ended. Never imports, prints or serves.

Events of the kernel tell of most changes at once. A sweep finds the others: those on network mounts, those of which the
kernel had no room to tell. All of them come out through one gate, which waits until nothing more changes: for a moment
after a save, longer while many files change, and until git has let go of its lock. So nobody looks at half a checkout.
"""
from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from time import monotonic
from typing import Protocol

from ...words import reason
from ..product_files import ENVIRONMENT, is_ignored, is_module
from .burst import Burst
from .inotify import Event, Inotify
from .sweep import Sweep
from .tree import Tree

SWEEP = 1.0  # seconds
POLLED = 0.02  # seconds between two looks at everything while something changes, where there are no events
ONCE_A_SECOND = 'looking for changes once a second.'
LIMITS = {errno.ENOSPC: 'max_user_watches', errno.EMFILE: 'max_user_instances'}


class Look(Protocol):
    """Gets paths that were saved whole, and others that may be half written; a folder counts with all that is in it.

    None for any path.
    """

    def __call__(self, saved: Collection[str], changed: Collection[str] | None) -> object: ...


class Say(Protocol):
    """Gets trouble."""

    def __call__(self, text: str, /) -> object: ...


class Others(Protocol):
    """Gives the paths that count beside Python files, those of folders for the names in them."""

    def __call__(self) -> Collection[str]: ...


class Watcher:
    """Calls `look` from a thread of its own. With `poll` there are no events, only a look so often, in seconds."""

    def __init__(self, folder: str, look: Look, others: Others, say: Say, *, poll: float | None = None) -> None:
        self._folder = folder
        self._look = look
        self._others = others
        self._say = say
        self._wants_events = not poll
        self._events: Inotify | None = None
        self._is_full = False
        self._tree = Tree(folder, self._watch, self._forget)
        self._sweep = Sweep(self._tree, poll or SWEEP, others)
        self._burst = Burst()

    def start(self) -> None:
        """Watch from now on. Trouble is a log line, and then only the sweep remains."""
        threading.Thread(target=self._run, name='watcher', daemon=True).start()

    def _run(self) -> None:
        self._try(self._begin)
        while True:
            self._try(self._take_turn)

    def _try(self, do: Callable[[], object]) -> None:
        """Whatever goes wrong, changes are found, if late."""
        try:
            do()
        except Exception as error:
            self._deafen(f'No events from the file system any more ({reason(error)}): {ONCE_A_SECOND}')
            time.sleep(SWEEP)

    def _begin(self) -> None:
        self._listen()
        self._tree.note(self._folder)
        self._look((), None)  # it may have changed before it was watched

    def _take_turn(self) -> None:
        self._hear(self._sweep.due - monotonic())
        if not self._burst and monotonic() >= self._sweep.due:
            self._burst.add(self._sweep.step(), is_unheard=True)
        if self._burst:
            self._wait_for_quiet()
            self._look(*self._burst.take())

    def _wait_for_quiet(self) -> None:
        while (left := self._burst.left()) > 0:
            if self._events and not self._burst.is_unheard:
                self._hear(left)
            else:
                time.sleep(max(left, POLLED))
                self._hear(0)
                self._burst.add(self._sweep.everything(), is_unheard=True)

    # Events

    def _listen(self) -> None:
        if self._wants_events:
            try:
                self._events = Inotify()
            except OSError as error:
                self._say(f'No events from the file system ({_limit(error)}): {ONCE_A_SECOND}')

    def _deafen(self, why: str) -> None:
        if self._events:
            self._say(why)
            self._events.close()
            self._events = None

    def _watch(self, folder: str) -> None:
        """Where the system allows no more of that, the sweep finds what changes."""
        try:
            if self._events:
                self._events.watch(folder)
        except (FileNotFoundError, NotADirectoryError, PermissionError):  # gone meanwhile, or not for us to read
            pass
        except OSError as error:
            self._say_full(folder, error)

    def _say_full(self, folder: str, error: OSError) -> None:
        if folder == self._folder:
            self._deafen(f'No events from the file system ({_limit(error)}): {ONCE_A_SECOND}')
        elif not self._is_full:
            where = os.path.relpath(folder, os.path.dirname(self._folder))
            self._say(f'No more events from the file system ({_limit(error)}): in {where} and others, {ONCE_A_SECOND}')
        self._is_full = True

    def _forget(self, folder: str) -> None:
        if self._events:
            self._events.forget(folder)

    def _hear(self, seconds: float) -> None:
        """What has happened; waits for it, at most so long."""
        if self._events:
            for event in self._events.read(seconds):
                self._note(event)
        elif seconds > 0:
            time.sleep(seconds)

    def _note(self, event: Event) -> None:
        path, name = event.path, os.path.basename(event.path)
        if not path:  # events were lost
            self._burst.add(self._sweep.everything(), is_unheard=True)
        elif self._is_folder(event, name):
            self._tree.note(path)
            self._burst.add([path])
        elif name == ENVIRONMENT:
            self._tree.note(os.path.dirname(path))
            self._burst.add([os.path.dirname(path)])
        elif is_module(name) or path in self._others():
            self._note_file(event)
        if os.path.dirname(path) in self._others():
            self._burst.add([os.path.dirname(path)])

    def _is_folder(self, event: Event, name: str) -> bool:
        """One that counts, or a link to it."""
        if is_ignored(name) or is_module(name):
            return False
        return event.is_folder or event.path in self._tree.folders or (event.is_new and os.path.isdir(event.path))

    def _note_file(self, event: Event) -> None:
        """That one is about to be written is no news."""
        if event.is_whole or not (event.is_new and _is_plain(event.path)):
            self._tree.note(event.path)
            self._sweep.note([event.path])
            self._burst.add([event.path], is_whole=event.is_whole)


def _is_plain(path: str) -> bool:
    """A file that whoever made it will close, which is told then; not a link."""
    with suppress(OSError):
        return os.lstat(path).st_nlink == 1 and not os.path.islink(path)
    return False


def _limit(error: OSError) -> str:
    """In words that help: the system's own speak of a disk, or of files."""
    name = LIMITS.get(error.errno or 0)
    return f'the limit fs.inotify.{name} is reached' if name else reason(error)
