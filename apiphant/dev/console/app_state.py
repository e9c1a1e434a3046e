"""What the app that serves has said of itself, as the console's threads see it."""
from __future__ import annotations

import threading
from itertools import count
from time import strftime
from typing import Any

from ..line.route_index import Routes


class AppState:
    """The last that is known of the app: what it serves, what is broken, and its answers to questions."""

    def __init__(self) -> None:
        self.routes = Routes([])
        self.last_reload = ''  # when that was, in words
        self.served = 0  # calls, by the app, of others than the console
        self.files: frozenset[str] = frozenset()  # whose saving counts beside that of Python files
        self.broken: frozenset[str] = frozenset()  # modules
        self.dead: frozenset[str] = frozenset()  # those of them that have no good code
        self.packages: tuple[str, ...] = ()  # those that the product imports and that are not its own
        self.learned: dict[str, str] = {}  # modules that only a fresh process can follow, and why
        self.holds = False  # whether it has a port or a lock that another process may want
        self.is_waiting = False  # for a change, since the app died while it started
        self.ready = threading.Event()
        self.settled = threading.Event()  # ready, or known not to become it
        self._answers: dict[int, tuple[str, bool]] = {}
        self._changed = threading.Condition()
        self._numbers = count()
        self._generation = 0  # of the app

    def begin(self) -> None:
        """Another app is there, not ready yet."""
        self.ready.clear()
        self.settled.clear()
        self.succeed()

    def succeed(self) -> None:
        """Another app takes the place; what the one before was asked, nobody answers any more."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def note_ready(self, message: dict[str, Any]) -> bool:
        """It serves, or has reloaded. Returns whether one served before."""
        self.routes = Routes(message['ready'])
        self.holds = message['holds']
        self.packages = tuple(message.get('packages', self.packages))
        self.is_waiting = False
        was_ready = self.ready.is_set()
        if was_ready:
            self.last_reload = strftime('reloaded %H:%M:%S')
        self.ready.set()
        self.settled.set()
        return was_ready

    def note_broken(self, message: dict[str, Any]) -> None:
        self.broken = frozenset(message['broken'])
        self.dead = frozenset(message['dead'])

    def note_answer(self, message: dict[str, Any]) -> None:
        with self._changed:
            self._answers[message['answer']] = message['text'], message['failed']
            self._changed.notify_all()

    def wait_for_save(self, saved: threading.Event) -> None:
        """The app died while it started: it would only die again before something is saved."""
        saved.clear()
        self.is_waiting = True
        self.settled.set()
        saved.wait()
        self.is_waiting = False

    def question(self) -> tuple[int, int]:
        """Number and generation of a question that is about to be asked."""
        return next(self._numbers), self._generation

    def answer(self, number: int, generation: int) -> tuple[str, bool]:
        """Wait for the answer, and whether the app failed at it; '' if it died over it."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or generation != self._generation)
            return self._answers.pop(number, ('', True))
