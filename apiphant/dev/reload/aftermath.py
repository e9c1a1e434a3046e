"""After a swap: what is left of modules that were replaced, which a fresh start would not have."""
from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import gevent

from ...api.product import Product
from .attempts import Attempts
from .changes import Changes
from .decision import Change, decide
from .fresh import FreshProcess
from .leftovers import generations_at_work
from .survivors import LIBRARY, Watched, holders

LATER = 0.5  # seconds until greenlets of replaced modules should have ended


class Aftermath:
    """Has what holds old code imported anew, too, by `reload(cause, dirty)`; or a fresh process take over."""

    def __init__(self, product: Product, attempts: Attempts, changes: Changes, fresh: FreshProcess,
                 reload: Callable[[str, Set[str]], object]) -> None:
        self._product = product
        self._attempts = attempts
        self._changes = changes
        self._fresh = fresh
        self._reload = reload
        self._checking: Any = None

    def look_at(self, left: list[Watched]) -> None:
        """After the last call of what was replaced: whatever holds something of it, is not as after a fresh start."""
        for name, holder in holders(left, self._product.name).items():
            if name in self._attempts and name != holder:
                self._follow_up(name, holder)

    def _follow_up(self, name: str, holder: str) -> None:
        change = Change(holder, 'names')
        if holder == LIBRARY:
            self._fresh.ask_because(name, 'leaves code in a library', is_learned=True)
        elif change in self._attempts[name].changes or holder not in self._attempts:
            self._fresh.ask_because(name, f'leaves code in {holder}', is_learned=True)
        else:
            self._attempts.add_change(name, change)
            self._renew(name, holder)

    def _renew(self, name: str, holder: str) -> None:
        decision = decide({holder}, self._attempts.imports, self._attempts.effects, self._fresh.learned)
        if decision.is_swap:
            self._reload(name, decision.dirty)
        else:
            self._fresh.ask_because(name, f'leaves code in {holder}', is_learned=False)

    def look_later(self) -> None:
        """At greenlets and threads, once those of replaced modules should have ended. Returns at once."""
        if not self._checking:
            self._checking = gevent.spawn_later(LATER, self._look_at_greenlets)

    def _look_at_greenlets(self) -> None:
        """What a module's import started, another import would start once more."""
        self._checking = None
        names = {file.path: name for name, file in self._changes.tree.items()}
        for (path, kind), generations in generations_at_work(str(self._product.path)).items():
            name = names.get(path, '')
            if name in self._attempts:
                self._note_at_work(name, f'starts a {kind}', generations)

    def _note_at_work(self, name: str, what: str, generations: int) -> None:
        self._attempts.add_left(name, what)
        if generations > 1 and name in self._attempts.effects:
            self._fresh.ask_because(name, what, is_learned=True)
