"""Events of folders as the kernel tells them: `inotify(7)`. Knows nothing of Python files and of saves.

A watch is of one folder, without what is below it, and belongs to the folder, not to its path: one that is moved takes
it along, and one that is linked to is watched once under all of its paths.
"""
from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct

CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF = 8, 64, 128, 256, 512, 1024, 2048
OVERFLOW, IGNORED, ONLY_FOLDERS, IS_FOLDER = 0x4000, 0x8000, 0x1000000, 0x40000000
WANTED = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | ONLY_FOLDERS
HEAD = Struct('iIII')  # watch, mask, cookie, length of the name
CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a path. '' is any path: events were lost."""
    path: str
    mask: int

    @property
    def is_whole(self) -> bool:
        """A file was written to its end, or came as it is."""
        return bool(self.mask & (CLOSE_WRITE | MOVED_TO)) and not self.is_folder

    @property
    def is_folder(self) -> bool:
        return bool(self.mask & (IS_FOLDER | DELETE_SELF | MOVE_SELF))

    @property
    def is_new(self) -> bool:
        """A name that was not there: of a file that is about to be written, most often."""
        return bool(self.mask & (CREATE | MOVED_TO))


class Inotify:
    """Raises OSError where there is none, or no more."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._paths: dict[int, set[str]] = {}  # of each watch
        self._watches: dict[str, int] = {}

    def watch(self, folder: str) -> None:
        """Raises OSError: ENOSPC when there are as many watches as the system allows."""
        name = ctypes.c_char_p(os.fsencode(folder))
        watch = self._checked(self._library.inotify_add_watch(self._descriptor, name, ctypes.c_uint32(WANTED)))
        if self._watches.get(folder, watch) != watch:
            self.forget(folder)
        self._watches[folder] = watch
        self._paths.setdefault(watch, set()).add(folder)

    def forget(self, folder: str) -> None:
        """Nothing is told of it any more, unless it is watched under another path."""
        watch = self._watches.pop(folder, -1)
        paths = self._paths.get(watch, set())
        paths.discard(folder)
        if not paths and self._paths.pop(watch, None) is not None:
            self._library.inotify_rm_watch(self._descriptor, watch)

    def read(self, seconds: float) -> list[Event]:
        """What has happened; waits for it, at most so long."""
        if not self._poll.poll(max(0.0, seconds) * 1000):
            return []
        with suppress(BlockingIOError):
            return list(self._events(os.read(self._descriptor, CHUNK)))
        return []

    def close(self) -> None:
        os.close(self._descriptor)

    def _events(self, content: bytes) -> Iterator[Event]:
        position = 0
        while position < len(content):
            watch, mask, _, length = HEAD.unpack_from(content, position)
            position += HEAD.size + length
            name = os.fsdecode(content[position - length:position].rstrip(b'\0'))
            if mask & OVERFLOW:
                yield Event('', mask)
            for folder in tuple(self._paths.get(watch, ())):
                yield from self._event(folder, name, mask)

    def _event(self, folder: str, name: str, mask: int) -> Iterator[Event]:
        if mask & IGNORED:  # the kernel has dropped the watch
            self._paths.pop(self._watches.pop(folder, -1), None)
        else:
            yield Event(os.path.join(folder, name) if name else folder, mask)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
