"""Reload what changed and what imports it: staged apart, then swapped with one assignment; or by a fresh process.

Look: the tree on disk, and other files that modules read, against what was last attempted; an event only says "look".
Decide: a swap, where that gives what a fresh start gives; else a fresh process is asked for.
Stage: each module that changed, and each that imports one of them, is imported once into a new module.
Swap: a broken module, and what cannot do without it, stays as it was. All others become live, their routes with them.
A request that is running keeps the code that it began with. What was replaced is unloaded when they have ended.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Mapping, Set
from typing import Any

from gevent.lock import RLock

from ...api.application import Application
from ...api.product import Product
from . import plan, side_effects
from .aftermath import Aftermath
from .attempts import Attempts
from .changes import Changes
from .decision import Decision, decide, is_in_use
from .fresh import FreshProcess, Restart
from .graph import importers
from .patience import Patience, tell_after
from .report import Reporter
from .survivors import Watched
from .swap import Swapper
from .unload import Unloader

UNSAID = 5.0  # seconds for which a start may take without a word


class Reloader:
    """Keeps the routes of `app` those of the product on disk.

    `look_again(seconds)` is asked to call `look` then, `restart(why, learned, is_quiet)` for a fresh process;
    `running()` gives what is being answered.
    """

    def __init__(self, product: Product, app: Application, look_again: Callable[[float], Any],
                 restart: Restart, running: Callable[[], Collection[Hashable]]) -> None:
        self.product = product
        self.patience = Patience()
        self._attempts = Attempts(product.name)
        self._changes = Changes(product, self._attempts, look_again)
        self._reporter = Reporter(product.name, product.path, lambda: self._changes.tree)
        unloader = Unloader(running, self._settle)
        self._swapper = Swapper(product, app, self._attempts, self._changes, unloader, self.patience)
        self._fresh = FreshProcess(self._attempts, self._changes, self._reporter, restart)
        self._aftermath = Aftermath(product, self._attempts, self._changes, self._fresh, self._renew)
        self._lock = RLock()

    def start(self, learned: Mapping[str, str]) -> None:
        """Import everything for the first time."""
        side_effects.tell(str(self.product.path), self._attempts)
        self._fresh.learned = learned
        began = time.monotonic()
        tell_after(UNSAID, lambda: self.patience.is_limited, self._what_is_imported)
        with self._lock:
            self._changes.scan(None)
            self._changes.believe_all()
            self._swapper.start()
            self._attempts.take_executed()
            self.patience.note_start(time.monotonic() - began)
            self._say()

    def _what_is_imported(self) -> str:
        return f'{self._reporter.show(self._attempts.latest)} is still being imported after {UNSAID:g} s'

    def say_errors(self) -> None:
        """What is broken, from now on at each reload."""
        self._reporter.is_silent = False
        self._reporter.say_errors(self._attempts, self._swapper.live)

    def look(self, saved: Collection[str] = (), changed: Collection[str] | None = ()) -> bool:
        """Reload if something is not as it was.

        `saved` are paths known to be written whole, `changed` others, folders with all that is in them; None for any.
        Returns whether something was reloaded.
        """
        with self._lock:
            started = time.perf_counter()
            self._changes.scan(None if changed is None else {*saved, *changed})
            found = self._changes.find(frozenset(saved))
            files = self._changes.files_of(found)
            names = self._fresh.without_asked(found - files | plan.readers(found, self._attempts))
            if not names:
                return False
            decision = self._decide(names)
            if not decision.is_swap:
                self._fresh.ask(names, decision)
                return False
            swapped = self._reload(names, decision.dirty)
            self._say_reloaded(files | found & swapped, swapped, started)
            return True

    def judged(self, reports: Mapping[str, str]) -> None:
        """A fresh process did not take over, since these are broken there."""
        with self._lock:
            self._attempts.judge(reports)
            self._reporter.say_elsewhere(reports, self._attempts)
            self.say_errors()

    # What there is

    @property
    def routes(self) -> list[str]:
        """URL paths that have an action, less those that only say that it could not be imported."""
        return self._swapper.paths

    @property
    def broken(self) -> list[str]:
        """Modules that could not be imported."""
        return sorted(self._attempts.broken)

    @property
    def dead(self) -> list[str]:
        """Those of them that have no good code."""
        live = self._swapper.live
        return [name for name in self.broken if name not in live]

    @property
    def reports(self) -> dict[str, str]:
        """What is wrong with those that are broken, by name."""
        return {name: self._attempts[name].report for name in self.broken}

    @property
    def clashes(self) -> list[str]:
        """Those that failed since something is in use, perhaps by another process."""
        return [name for name in self.broken if is_in_use(self._attempts[name].error)]

    @property
    def holds(self) -> bool:
        """Whether a module holds a port or a lock since its import."""
        return any(attempt.holds for attempt in self._attempts.values())

    @property
    def data(self) -> list[str]:
        """Paths of other files that modules have read."""
        return self._changes.data

    @property
    def late_reads(self) -> int:
        """How many of them were read by calls."""
        return self._attempts.late_reads

    # Swap, or a fresh process

    def _decide(self, names: set[str]) -> Decision:
        dirty = plan.dirty(names, self._changes.fresh(names), self._settled_imports(names))
        dirty |= names & self._changes.roots
        return decide(dirty, self._attempts.imports, self._attempts.effects, self._fresh.reasons)

    def _settled_imports(self, changed: set[str]) -> dict[str, frozenset[str]]:
        """Of all but those that wait to be believed: once they are, they differ, whatever they hold then."""
        imports, waiting = self._attempts.imports, self._changes.waiting
        self._attempts.outdate(importers(changed, imports) & waiting & imports.keys())
        return {name: imported for name, imported in imports.items() if name not in waiting}

    def _reload(self, names: set[str], dirty: Set[str]) -> set[str]:
        """Returns the names that were swapped."""
        swapped = self._swapper.swap(names, dirty)
        self._fresh.ask_about_failed(dirty, self.patience.longest)
        self._say()
        return swapped

    def _renew(self, cause: str, dirty: Set[str]) -> None:
        """These hold old code, because of a module that was swapped."""
        started = time.perf_counter()
        self._say_reloaded({cause}, self._reload(set(), dirty), started)

    def _settle(self, left: list[Watched]) -> None:
        with self._lock:
            self._aftermath.look_at(left)

    def _say(self) -> None:
        self._reporter.say_errors(self._attempts, self._swapper.live)
        self._aftermath.look_later()
        for name in self._attempts.keys() & self._attempts.take_executed():
            self._reporter.say_held(name, self._attempts[name].held)

    def _say_reloaded(self, causes: set[str], swapped: set[str], started: float) -> None:
        """What changed, and what was swapped along with it."""
        if swapped:
            milliseconds = (time.perf_counter() - started) * 1000
            self._reporter.say_reloaded(causes, swapped - causes, len(swapped), milliseconds)
