"""Reload what changed and what imports it: staged apart, then swapped with one assignment.

Look: the tree on disk, and other files that modules read, against what was last attempted; an event only says "look".
Stage: each module that changed, and each that imports one of them, is imported once into a new module.
Swap: a broken module, and what cannot do without it, stays as it was. All others become live, their routes with them.
A request that is running keeps the code that it began with. What was replaced is unloaded when they have ended.
"""
from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Set
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, Protocol

import gevent
from gevent.lock import RLock

from ...api import actions, routing
from ...api.actions import Action
from ...api.application import Application
from ...api.product import Product
from ...api.routing import Target
from ...modules import is_a, names_of
from ...validation import ApiError
from . import plan, side_effects
from .attempts import Attempt, Attempts
from .changes import Changes
from .decision import Change, Decision, decide, is_certain, is_in_use
from .graph import importers
from .importing import Finder
from .leftovers import generations_at_work
from .patience import Endless, Patience, tell_after
from .report import Reporter
from .stage import Modules, Stage, modules
from .survivors import LIBRARY, Watched, holders, watched
from .unload import Unloader

TURN = 0.012  # seconds of importing after which others get their turn
BREATH = 0.001  # seconds: less than a timer does not let the loop look for what has arrived
LATER = 0.5  # seconds until greenlets of replaced modules should have ended
WANTED = 'says RESTART = True'
LONGEST = 2.0  # seconds for which an import that is done again may hold calls, or other saves
MARGIN = 3  # times what all imports took at the start, if that is longer
UNSAID = 5.0  # seconds for which a start may take without a word
WORDS = 120  # characters of an error's


class Restart(Protocol):
    """Asks for a fresh process. What was learned counts if that takes over."""

    def __call__(self, why: str, learned: Mapping[str, str], *, in_doubt: Collection[str] = (),
                 is_quiet: bool) -> object: ...


class Reloader:
    """Keeps the routes of `app` those of the product on disk.

    `look_again(seconds)` is asked to call `look` then, `restart(why, learned, is_quiet)` for a fresh process;
    `running()` gives what is being answered.
    """

    def __init__(self, product: Product, app: Application, look_again: Callable[[float], Any],
                 restart: Restart, running: Callable[[], Collection[Hashable]]) -> None:
        self.product = product
        self._app = app
        self._restart = restart
        self._unloader = Unloader(running, self._settle)
        self._attempts = Attempts(product.name)
        self._changes = Changes(product, self._attempts, look_again, self._breathe)
        self._finder = Finder(product.name, str(product.path), self._attempts, self._discard)
        self._reporter = Reporter(product.name, product.path, lambda: self._changes.tree)
        self._asked: dict[str, str] = {}  # digests of modules for which a restart was asked for
        self._learned: Mapping[str, str] = {}  # why modules need a fresh process
        self.patience = Patience()
        self._longest = math.inf  # seconds that an import may take; no limit at first
        self._lock = RLock()
        self._checking: Any = None
        self._resumed = 0.0  # when others had their turn

    def start(self, learned: Mapping[str, str]) -> None:
        """Import everything for the first time."""
        sys.meta_path.insert(0, self._finder)
        side_effects.tell(str(self.product.path), self._attempts)
        self._learned = learned
        began = time.monotonic()
        tell_after(UNSAID, lambda: self._longest < math.inf, self._what_is_imported)
        with self._lock:
            self._changes.scan(None)
            self._changes.believe_all()
            self._import_anew(set(), self._changes.roots)
            self._attempts.take_executed()
            self._finder.is_serving = True
            self._longest = max(LONGEST, (time.monotonic() - began) * MARGIN)
            self._say()

    def _what_is_imported(self) -> str:
        return f'{self._reporter.show(self._attempts.latest)} is still being imported after {UNSAID:g} s'

    def say_errors(self) -> None:
        """What is broken, from now on at each reload."""
        self._reporter.is_silent = False
        self._reporter.say_errors(self._attempts, self._live())

    def look(self, saved: Collection[str] = (), changed: Collection[str] | None = ()) -> bool:
        """Reload if something is not as it was.

        `saved` are paths known to be written whole, `changed` others, folders with all that is in them; None for any.
        Returns whether something was reloaded.
        """
        with self._lock:
            started = self._resumed = time.perf_counter()
            self._changes.scan(None if changed is None else {*saved, *changed})
            found = self._changes.find(frozenset(saved))
            files = self._changes.files_of(found)
            names = self._new(found - files | plan.readers(found, self._attempts))
            decision = self._decide(names)
            if not names or not decision.is_swap:
                self._ask(names, decision)
                return False
            swapped = self._reload(names, decision.dirty)
            if swapped:
                shown = files | found & swapped
                seconds = time.perf_counter() - started
                self._reporter.say_reloaded(shown, swapped - shown, len(swapped), seconds * 1000)
            return True

    def judged(self, reports: Mapping[str, str]) -> None:
        """A fresh process did not take over, since these are broken there."""
        with self._lock:
            self._attempts.judge(reports)
            self._reporter.say_elsewhere(reports, self._attempts)
            self.say_errors()

    @property
    def routes(self) -> list[str]:
        """URL paths that have an action, less those that only say that it could not be imported."""
        return sorted(route for route, action in self._app.routes.items() if action is not UNAVAILABLE)

    @property
    def broken(self) -> list[str]:
        """Modules that could not be imported."""
        return sorted(self._attempts.broken)

    @property
    def reports(self) -> dict[str, str]:
        """What is wrong with those, by name."""
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

    def _new(self, changed: set[str]) -> set[str]:
        """Less those for which a fresh process was asked for already: if it fails, they wait for their next change."""
        return {name for name in changed if self._asked.get(name) != self._changes.digest(name)}

    def _decide(self, names: set[str]) -> Decision:
        marked = {name: WANTED for name in self._attempts if _wants_restart(name)}
        dirty = plan.dirty(names, self._changes.fresh(names), self._settled_imports(names))
        dirty |= names & self._changes.roots
        return decide(dirty, self._attempts.imports, self._attempts.effects, {**self._learned, **marked})

    def _ask(self, names: set[str], decision: Decision) -> None:
        """For a fresh process. It is asked for once."""
        if not names:
            return
        self._asked.update({name: self._changes.digest(name) for name in names})
        files = ', '.join(sorted(map(self._reporter.show, names)))
        if decision.reason == WANTED:
            self._restart(f'{files} changed', {}, is_quiet=False)
        else:
            self._restart(f'{self._reporter.show(decision.module)} {decision.reason}', {}, is_quiet=True)

    def _doubt(self, dirty: Set[str]) -> None:
        """Whether what failed is an error, a fresh process decides."""
        failed = {name: self._attempts[name] for name in dirty & self._attempts.failed}
        doubtful = {name for name, attempt in failed.items() if not self._is_certain(attempt)}
        for name, attempt in failed.items():
            if is_a(attempt.error, Endless) and attempt.report:
                self._reporter.say_endless(name, self._longest)
        if doubtful:
            self._attempts.doubt(doubtful)
            causes = sorted(name for name in doubtful if failed[name].report) or sorted(doubtful)
            why = f'cannot be imported again ({_in_words(failed[causes[0]])})'
            why_here = f'{self._reporter.show(causes[0])} {why}'
            self._restart(why_here, dict.fromkeys(causes, why), in_doubt=sorted(doubtful), is_quiet=True)

    def _is_certain(self, attempt: Attempt) -> bool:
        return attempt.is_certain or is_certain(attempt.error, self._is_missing)

    def _is_missing(self, name: str) -> bool:
        return name.startswith(f'{self.product.name}.') and name not in self._changes.tree

    def _settle(self, left: list[Watched]) -> None:
        """After the last call of what was replaced: whatever holds something of it, is not as after a fresh start."""
        with self._lock:
            held = holders(left, self.product.name)
            for name, holder in held.items():
                self._follow_up(name, holder)

    def _follow_up(self, name: str, holder: str) -> None:
        change = Change(holder, 'names')
        if name not in self._attempts or name == holder:
            return
        if holder == LIBRARY or change in self._attempts[name].changes or holder not in self._attempts:
            why = 'leaves code in a library' if holder == LIBRARY else f'leaves code in {holder}'
            self._restart(f'{self._reporter.show(name)} {why}', {name: why}, is_quiet=True)
            return
        self._attempts.add_change(name, change)
        decision = decide({holder}, self._attempts.imports, self._attempts.effects, self._learned)
        if decision.is_swap:
            started = time.perf_counter()
            swapped = self._reload(set(), set(decision.dirty))
            milliseconds = (time.perf_counter() - started) * 1000
            self._reporter.say_reloaded({name}, swapped - {name}, len(swapped), milliseconds)
        else:
            self._restart(f'{self._reporter.show(name)} leaves code in {holder}', {}, is_quiet=True)

    # Stage and swap

    def _reload(self, changed: set[str], dirty: Set[str]) -> set[str]:
        """Import anew what a change concerns. Returns the names that were swapped."""
        swapped = self._import_anew(changed, dirty)
        self._doubt(dirty)
        self._say()
        for name in self._attempts.keys() & self._attempts.take_executed():
            self._reporter.say_held(name, self._attempts[name].held)
        return swapped

    def _import_anew(self, changed: set[str], dirty: Set[str]) -> set[str]:
        wanted = [name for name in self._in_order(dirty) if name in self._changes.tree]
        gone = [name for name in dirty if not self._changes.digest(name)]
        self._attempts.forget(gone)
        self._finder.registries.forget(gone)
        stage = self._stage(dirty, wanted)
        failed = dirty & self._attempts.failed
        view = plan.choose(stage.live, stage.staged, dirty, failed, self._attempts.imports)
        stage.show(view)
        self._changes.believe(changed)
        self._app.routes = self._routes()
        swapped = {name for name in dirty if view.get(name) is not stage.live.get(name)}
        replaced = {name: module for name, module in stage.live.items() if view.get(name) is not module}
        self._unloader.unload([*replaced.values(), *_dropped(stage.staged, view)], watched(replaced))
        return swapped

    def _in_order(self, dirty: Set[str]) -> list[str]:
        """As at a start: first what nothing imports, by name; the rest is imported by those, most of it."""
        roots = self._changes.roots
        known = {name for name in dirty if name in roots or name in self._attempts or name in sys.modules}
        return sorted(known, key=lambda name: (name not in roots, name))

    def _stage(self, dirty: Set[str], wanted: Iterable[str]) -> Stage:
        kept = {name: module for name, module in modules(self.product.name).items()
                if name not in dirty and not dirty.isdisjoint(_packages_of(name))}
        with Stage(self.product.name, dirty | kept.keys()) as stage, self._finder.staging(kept):
            self._import_all(wanted)
        return stage

    def _settled_imports(self, changed: set[str]) -> dict[str, frozenset[str]]:
        """Of all but those that wait to be believed: once they are, they differ, whatever they hold then."""
        imports, waiting = self._attempts.imports, self._changes.waiting
        self._attempts.outdate(importers(changed, imports) & waiting & imports.keys())
        return {name: imported for name, imported in imports.items() if name not in waiting}

    def _breathe(self) -> None:
        """Others get their turn."""
        if self._finder.is_serving and time.perf_counter() - self._resumed > TURN:
            gevent.sleep(BREATH)
            self._resumed = time.perf_counter()

    def _import_all(self, names: Iterable[str]) -> None:
        self._resumed = time.perf_counter()
        targets = {target.module for target in self._changes.targets}
        for name in names:
            self._import(name, name in targets)
            self._breathe()

    def _import(self, name: str, is_target: bool) -> None:
        """One unit of work: whatever a module raises, SystemExit and GreenletExit included, breaks only it."""
        try:
            if name not in sys.modules:  # else the import system would ask it for its spec
                with self._limit():
                    importlib.import_module(name)
        except BaseException as error:
            self._attempts.fail_outside(name, error, self._changes.digest(name), _packages_of(name))
        else:
            if is_target:
                self._check_actions(name)

    def _limit(self) -> AbstractContextManager[None]:
        return self.patience.limit(self._longest) if self._longest < math.inf else nullcontext()

    def _check_actions(self, name: str) -> None:
        try:
            actions.actions_of(sys.modules[name])
        except Exception as error:
            self._attempts.fail(name, error, is_certain=True)

    def _discard(self, module: ModuleType) -> None:
        self._unloader.unload([module], [])

    def _routes(self) -> dict[str, Action]:
        return routing.routes_of((target, self._actions(target)) for target in self._changes.targets)

    def _actions(self, target: Target) -> dict[str, Action]:
        """Of one that cannot be imported or called, those that say so."""
        try:
            if target.module in sys.modules:
                return actions.actions_of(sys.modules[target.module])
        except Exception as error:
            self._attempts.fail(target.module, error)
        return dict.fromkeys(actions.ACTIONS, UNAVAILABLE)

    def _unavailable(self) -> set[str]:
        """Targets without a good generation, also where their module is there."""
        routes, action = self._app.routes, actions.ACTIONS[0]
        urls = {target.module: routing.url(target, action) for target in self._changes.targets}
        return {module for module, url in urls.items() if routes.get(url) is UNAVAILABLE}

    def _live(self) -> Collection[str]:
        return sys.modules.keys() - self._unavailable() if self._attempts.failed else ()

    # Words

    def _say(self) -> None:
        self._reporter.say_errors(self._attempts, self._live())
        if not self._checking:
            self._checking = gevent.spawn_later(LATER, self._check_greenlets)

    def _check_greenlets(self) -> None:
        """What a module's import started, another import would start once more."""
        self._checking = None
        names = {file.path: name for name, file in self._changes.tree.items()}
        for (path, kind), generations in generations_at_work(str(self.product.path)).items():
            name = names.get(path, '')
            if name in self._attempts:
                self._note_at_work(name, f'starts a {kind}', generations)

    def _note_at_work(self, name: str, what: str, generations: int) -> None:
        self._attempts.add_left(name, what)
        if generations > 1 and name in self._attempts.effects:
            self._restart(f'{self._reporter.show(name)} {what}', {name: what}, is_quiet=True)


def _wants_restart(name: str) -> bool:
    return names_of(sys.modules.get(name)).get('RESTART') is True


def _dropped(staged: Modules, view: Modules) -> list[Any]:
    return [module for name, module in staged.items() if view.get(name) is not module]


def _in_words(attempt: Attempt) -> str:
    """The last line of its traceback."""
    return (attempt.report.splitlines() or [type(attempt.error).__name__])[-1][:WORDS]


def _packages_of(name: str) -> Iterable[str]:
    parts = name.split('.')
    return ('.'.join(parts[:size]) for size in range(1, len(parts)))


def _unavailable(request: Any) -> None:
    """In place of the actions of a target that could not be imported yet."""
    raise ApiError(503)


UNAVAILABLE = Action(_unavailable)
