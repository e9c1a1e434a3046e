"""Events of folders as the kernel tells them, by way of watchdog. Knows nothing of Python files and of saves.

A watch is of one folder, without what is below it, and belongs to the folder, not to its path: one that is moved takes
it along, and one that is linked to is watched once, and tells of each event under all of its paths.

watchdog's observers are not used: they watch whole trees, node_modules too, and say that a file was created, whole or
half, which they only found in a folder that they had just begun to watch.
"""
from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue

from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchDescriptor
from watchdog.observers.inotify_c import InotifyConstants as Bits

WANTED = Mask(
    Bits.IN_CLOSE_WRITE | Bits.IN_MOVED_FROM | Bits.IN_MOVED_TO | Bits.IN_CREATE | Bits.IN_DELETE
    | Bits.IN_DELETE_SELF | Bits.IN_MOVE_SELF | Bits.IN_ONLYDIR)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a path. '' is any path: events were lost."""
    path: str
    mask: int

    @property
    def is_whole(self) -> bool:
        """A file was written to its end, or came as it is."""
        return bool(self.mask & (Bits.IN_CLOSE_WRITE | Bits.IN_MOVED_TO)) and not self.is_folder

    @property
    def is_folder(self) -> bool:
        return bool(self.mask & (Bits.IN_ISDIR | Bits.IN_DELETE_SELF | Bits.IN_MOVE_SELF))

    @property
    def is_new(self) -> bool:
        """A name that was not there: of a file that is about to be written, most often."""
        return bool(self.mask & (Bits.IN_CREATE | Bits.IN_MOVED_TO))


LOST = Event('', 0)


@dataclass(frozen=True, slots=True)
class Unwatched:
    """The kernel has dropped a watch: its folder is gone."""
    folder: str
    watch: WatchDescriptor


Heard = SimpleQueue[Event | Unwatched]


@dataclass(frozen=True, slots=True)
class Listener:
    """What the thread of watchdog calls for one path of a folder."""
    folder: str
    heard: Heard

    def on_event(self, event: InotifyEvent) -> None:
        name = os.fsdecode(event.name)
        self.heard.put(Event(os.path.join(self.folder, name) if name else self.folder, event.mask))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        self.heard.put(Unwatched(self.folder, wd))

    def on_queue_overflow(self) -> None:
        self.heard.put(LOST)


class Inotify:
    """Raises OSError where there is none, or no more."""

    def __init__(self) -> None:
        logging.getLogger('watchdog').addHandler(logging.NullHandler())  # it logs lost events, which are told here
        self._kernel = InotifyFD()
        self._heard: Heard = SimpleQueue()
        self._watches: dict[str, tuple[WatchDescriptor, CallbackId]] = {}
        self._numbers = count()
        self._kernel.start()

    def watch(self, folder: str) -> None:
        """Raises OSError: ENOSPC when there are as many watches as the system allows."""
        number = CallbackId(next(self._numbers))
        listener = Listener(folder, self._heard)
        watch = self._kernel.add_callback(os.fsencode(folder), WANTED, listener, number)
        self.forget(folder)
        self._watches[folder] = watch, number
        if watch < 0:  # as watchdog has it where a folder may not be read
            self.forget(folder)
            raise PermissionError(folder)

    def forget(self, folder: str) -> None:
        """Nothing is told of it any more, unless it is watched under another path."""
        if folder in self._watches:
            self._kernel.remove_callbacks([self._watches.pop(folder)])

    def read(self, seconds: float) -> list[Event]:
        """What has happened; waits for it, at most so long. That events were lost is said once."""
        heard = list(self._take(seconds))
        lost = [LOST] if LOST in heard else []
        return lost + [event for event in heard if event != LOST]

    def _take(self, seconds: float) -> Iterator[Event]:
        try:
            item = self._heard.get(timeout=max(0.0, seconds))
            while True:
                if isinstance(item, Event):
                    yield item
                else:
                    self._drop(item)
                item = self._heard.get_nowait()
        except Empty:
            pass

    def _drop(self, gone: Unwatched) -> None:
        """Unless its path is a new folder's, which has a watch already."""
        if self._watches.get(gone.folder, (-1, 0))[0] == gone.watch:
            del self._watches[gone.folder]

    def close(self) -> None:
        self._kernel.stop()
