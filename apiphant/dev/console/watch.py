"""Watches the product's tree and says "look", with the paths that were saved whole. Never imports, prints or serves.

Reacts to what ends a save: a file closed after writing, moved to its name, deleted. `created` counts when nothing
opened the file for writing: it was moved in from elsewhere. A look without paths every second is the safety net, where
there are no events (network mounts, limits of inotify).
"""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from ...words import reason

QUIET = 0.004  # seconds without events that end a save
MANY = 5  # files, from which on this is no person saving but a tool, a checkout for instance
MANY_QUIET = 0.05  # seconds
GIT_LONGEST = 2.0  # seconds for which git's lock is waited for while it changes the tree
GIT_STALE = 10.0  # seconds after which a lock is one that was left behind
LONGEST = 0.2  # seconds after which it is taken to have ended
SWEEP = 1.0  # seconds


class Watcher(FileSystemEventHandler):
    """Calls `look(paths)` from a thread of its own; `say(text)` gets trouble.

    `also()` gives paths that count beside Python files. With `poll` there are no events, only a look so often, in
    seconds.
    """

    def __init__(
        self, folder: Path, look: Callable[[Iterable[str]], None], also: Callable[[], Container[str]],
        say: Callable[[str], None], *, poll: float | None = None,
    ) -> None:
        self._folder = folder
        self._look = look
        self._also = also
        self._say = say
        self._poll = poll
        self._saved: set[str] = set()
        self._created: set[str] = set()
        self._wake = threading.Event()
        self._last = 0.0
        self._lock = threading.Lock()
        self._observer: Any = None
        self._flat: set[str] = set()  # folders watched without what is below them
        self._new: list[Path] = []  # folders that appeared in those

    def start(self) -> None:
        """Watch from now on. Trouble is a log line, and then only the sweep remains."""
        threading.Thread(target=self._run, name='watcher', daemon=True).start()
        if self._poll:
            return
        threading.excepthook = self._note_death
        try:
            self._observer = Observer()
            self._schedule(self._folder)
            self._observer.start()
        except OSError as error:
            self._say(f'No events from the file system ({reason(error)}): looking for changes once a second.')

    def _schedule(self, folder: Path) -> None:
        for path, is_recursive in roots(folder):
            self._observer.schedule(self, str(path), recursive=is_recursive)
            if not is_recursive:
                self._flat.add(str(path))

    def _watch_new(self, folder: Path) -> None:
        if not _is_heavy(folder):
            with suppress(OSError):  # gone already
                self._schedule(folder)

    def _note_death(self, what: threading.ExceptHookArgs) -> None:
        """A thread of watchdog's ended by an error that it did not expect."""
        if type(what.thread).__module__.startswith('watchdog'):
            why = what.exc_type.__name__
            self._say(f'No events from the file system any more ({why}): looking for changes once a second.')
        else:
            threading.__excepthook__(what)

    def dispatch(self, event: FileSystemEvent) -> None:
        note = NOTES.get(event.event_type)
        paths = [str(path) for path in (event.dest_path, event.src_path) if path]
        if event.is_directory and event.event_type in ('created', 'moved') and os.path.dirname(paths[0]) in self._flat:
            self._new.append(Path(paths[0]))
        if note and (any(path.endswith('.py') or path in self._also() for path in paths) or _is_tree_change(event)):
            with self._lock:
                note(self, paths[0])

    def _note_saved(self, path: str) -> None:
        self._saved.add(path)
        self._last = time.monotonic()
        self._wake.set()

    def _note_created(self, path: str) -> None:
        self._created.add(path)
        self._note_saved(path)

    def _note_opened(self, path: str) -> None:
        if path in self._created:
            self._saved.discard(path)

    def _run(self) -> None:
        while True:
            self._wake.wait(self._poll or SWEEP)
            self._wait_for_quiet()
            while self._new:
                self._watch_new(self._new.pop())
            with self._lock:
                saved, self._saved, self._created = self._saved, set(), set()
                self._wake.clear()
            self._look(saved)

    def _wait_for_quiet(self) -> None:
        start = time.monotonic()
        while self._saved and time.monotonic() - start < GIT_LONGEST and is_git_at_work(self._folder):
            time.sleep(QUIET)
        start = time.monotonic()
        while (left := self._last + self._quiet() - time.monotonic()) > 0 and time.monotonic() - start < LONGEST:
            time.sleep(left)

    def _quiet(self) -> float:
        return QUIET if len(self._saved) < MANY else MANY_QUIET


def roots(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Folders to watch, and whether with all that is below them; not what is heavy and holds no code of the product."""
    try:
        folders = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:  # gone, or not for us to read
        return
    light = [path for path in folders if not _is_heavy(path)]
    below = [list(roots(path)) for path in light]
    if len(light) == len(folders) and all(is_recursive for found in below for _, is_recursive in found):
        yield folder, True
    else:
        yield folder, False
        for found in below:
            yield from found


def _is_heavy(folder: Path) -> bool:
    return folder.name.startswith('.') or folder.name == 'node_modules' or (folder / 'pyvenv.cfg').exists()


def is_git_at_work(folder: Path) -> bool:
    """Whether git holds its lock on the tree that the folder is in, as it does for the whole of a checkout."""
    for parent in (folder, *folder.parents):
        try:
            return time.time() - (parent / '.git/index.lock').stat().st_mtime < GIT_STALE
        except OSError:
            continue
    return False


def _is_tree_change(event: FileSystemEvent) -> bool:
    return event.is_directory and event.event_type in ('created', 'moved', 'deleted')


NOTES: dict[str, Callable[[Watcher, str], None]] = {
    'created': Watcher._note_created,
    'opened': Watcher._note_opened,
    'closed': Watcher._note_saved,
    'moved': Watcher._note_saved,
    'deleted': Watcher._note_saved,
}
