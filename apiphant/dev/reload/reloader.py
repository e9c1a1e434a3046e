"""Reload what changed and what imports it: staged apart, then swapped with one assignment.

Look: the tree on disk, and other files that modules read, against what was last attempted; an event only says "look".
Stage: each module that changed, and each that imports one of them, is imported once into a new module.
Swap: a broken module, and what cannot do without it, stays as it was. All others become live, their routes with them.
A request that is running keeps the code that it began with. What was replaced is unloaded when they have ended.
"""
from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Set
from types import ModuleType
from typing import Any

import gevent
from gevent.lock import RLock

from ...api import actions, routing
from ...api.actions import Action
from ...api.application import Application
from ...api.product import Product
from ...api.routing import Target
from ...modules import names_of
from ...reload import UNLOADERS
from ...validation import ApiError
from . import plan
from .attempts import Attempt, Attempts
from .changes import Changes
from .graph import importers
from .importing import Finder
from .leftovers import generations_at_work
from .report import Reporter
from .stage import Modules, Stage, modules
from .unload import Unloader

TURN = 0.012  # seconds of importing after which others get their turn
BREATH = 0.001  # seconds: less than a timer does not let the loop look for what has arrived
LATER = 0.5  # seconds until greenlets of replaced modules should have ended


class Reloader:
    """Keeps the routes of `app` those of the product on disk.

    `look_again(seconds)` is asked to call `look` then, `restart(file)` for a new process where a module wants one;
    `running()` gives what is being answered.
    """

    def __init__(self, product: Product, app: Application, look_again: Callable[[float], Any],
                 restart: Callable[[str], Any], running: Callable[[], Collection[Hashable]]) -> None:
        self.product = product
        self._app = app
        self._restart = restart
        self._unloader = Unloader(running)
        self._attempts = Attempts(product.name)
        self._changes = Changes(product, self._attempts, look_again)
        self._finder = Finder(product.name, str(product.path), self._attempts, self._discard)
        self._reporter = Reporter(product.name, product.path, lambda: self._changes.tree)
        self._asked: dict[str, str] = {}  # digests of modules for which a restart was asked for
        self._lock = RLock()
        self._checking: Any = None

    def start(self) -> None:
        """Import everything for the first time."""
        sys.meta_path.insert(0, self._finder)
        with self._lock:
            self._changes.scan()
            self._changes.believe_all()
            self._reload(set(), self._changes.roots)

    def look(self, saved: Collection[str] = ()) -> bool:
        """Reload if something is not as it was. `saved` are paths known to be written whole.

        Returns whether something was reloaded.
        """
        with self._lock:
            started = time.perf_counter()
            self._changes.scan()
            changed = self._changes.find(frozenset(saved))
            files = self._changes.files_of(changed)
            names = self._swappable(changed - files | plan.readers(changed, self._attempts))
            if not names:
                return False
            swapped = self._reload(names, names & self._changes.roots)
            if swapped:
                shown = files | changed & swapped
                seconds = time.perf_counter() - started
                self._reporter.say_reloaded(shown, swapped - shown, len(swapped), seconds * 1000)
            return True

    @property
    def routes(self) -> list[str]:
        """URL paths that have an action, less those that only say that it could not be imported."""
        return sorted(route for route, action in self._app.routes.items() if action is not UNAVAILABLE)

    @property
    def broken(self) -> list[str]:
        """Modules that could not be imported."""
        return sorted(self._attempts.broken)

    @property
    def data(self) -> list[str]:
        """Paths of other files that modules read when they were imported."""
        return self._changes.data

    def _swappable(self, changed: set[str]) -> set[str]:
        """Those that can be imported anew: none while one of them would take a module along that says RESTART = True.

        A restart is asked for once. If it fails, what asked for it waits for its next change, and other changes go on.
        """
        digests = {name: self._changes.digest(name) for name in changed}
        new = {name for name in changed if self._asked.get(name) != digests[name]}
        if any(map(_wants_restart, importers(new, self._attempts.imports))):
            self._restart(', '.join(sorted(map(self._reporter.show, new))))
            self._asked.update({name: digests[name] for name in new})
            return set()
        return new

    # Stage and swap

    def _reload(self, changed: set[str], added: set[str]) -> set[str]:
        """Import anew what the change concerns. Returns the names that were swapped."""
        dirty = plan.dirty(changed, self._changes.fresh(changed), self._settled_imports(changed)) | added
        wanted = [name for name in sorted(dirty) if name in added or self._was_imported(name)]
        self._attempts.forget(name for name in dirty if not self._changes.digest(name))
        stage = self._stage(dirty, [name for name in wanted if name in self._changes.tree])
        broken = dirty & self._attempts.broken
        view = plan.choose(stage.live, stage.staged, dirty, broken, self._attempts.imports)
        stage.show(view)
        self._changes.believe(changed)
        self._app.routes = self._routes()
        swapped = {name for name in dirty if view.get(name) is not stage.live.get(name)}
        self._say(swapped & stage.live.keys(), dirty)
        self._unloader.unload([*_replaced(stage.live, view), *_replaced(stage.staged, view)])
        return swapped

    def _stage(self, dirty: set[str], wanted: Iterable[str]) -> Stage:
        kept = {name: module for name, module in modules(self.product.name).items()
                if name not in dirty and not dirty.isdisjoint(_packages_of(name))}
        with Stage(self.product.name, dirty | kept.keys()) as stage, self._finder.staging(kept):
            self._import_all(wanted)
        return stage

    def _was_imported(self, name: str) -> bool:
        return name in self._attempts or name in sys.modules

    def _settled_imports(self, changed: set[str]) -> dict[str, frozenset[str]]:
        """Of all but those that wait to be believed: once they are, they differ, whatever they hold then."""
        imports, waiting = self._attempts.imports, self._changes.waiting
        self._attempts.outdate(importers(changed, imports) & waiting & imports.keys())
        return {name: imported for name, imported in imports.items() if name not in waiting}

    def _import_all(self, names: Iterable[str]) -> None:
        resumed = time.perf_counter()
        targets = {target.module for target in self._changes.targets}
        for name in names:
            self._import(name, name in targets)
            if time.perf_counter() - resumed > TURN:
                gevent.sleep(BREATH)
                resumed = time.perf_counter()

    def _import(self, name: str, is_target: bool) -> None:
        """One unit of work: whatever a module raises, SystemExit and GreenletExit included, breaks only it."""
        try:
            if name not in sys.modules:  # else the import system would ask it for its spec
                importlib.import_module(name)
            if is_target:
                actions.actions_of(sys.modules[name])
        except BaseException as error:
            self._attempts.fail_outside(name, error, self._changes.digest(name), _packages_of(name))

    def _discard(self, module: ModuleType) -> None:
        self._unloader.unload([module])

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

    # Words

    def _say(self, again: Set[str], dirty: set[str]) -> None:
        """`again` are modules of which there was one before."""
        attempts, executed = self._attempts, self._attempts.take_executed()
        self._reporter.say_errors(attempts, sys.modules.keys() - self._unavailable() if self.broken else ())
        for name in attempts.keys() & executed:
            self._reporter.say_held(name, attempts[name].held)
        for name in again & set(executed):
            if not _has_unloader(name):
                self._reporter.warn_left(name, _left_by(attempts[name], dirty))
        if not self._checking:
            self._checking = gevent.spawn_later(LATER, self._check_greenlets)

    def _check_greenlets(self) -> None:
        self._checking = None
        names = {file.path: name for name, file in self._changes.tree.items()}
        for (path, kind), generations in generations_at_work(str(self.product.path)).items():
            if path in names and generations > 1 and not _has_unloader(names[path]):
                self._reporter.warn_left(names[path], [f'starts a {kind}'])


def _wants_restart(name: str) -> bool:
    return names_of(sys.modules.get(name)).get('RESTART') is True


def _replaced(modules: Modules, view: Modules) -> list[Any]:
    return [module for name, module in modules.items() if view.get(name) is not module]


def _has_unloader(name: str) -> bool:
    return UNLOADERS in names_of(sys.modules.get(name))


def _left_by(attempt: Attempt, dirty: set[str]) -> Set[str]:
    grown = {key for key in attempt.grown if key.rpartition('.')[0] not in dirty}
    patches = attempt.parsed.patches if attempt.parsed else frozenset()
    return attempt.left | {f'makes {key} longer' for key in grown} | {f'sets {key}' for key in patches}


def _packages_of(name: str) -> Iterable[str]:
    parts = name.split('.')
    return ('.'.join(parts[:size]) for size in range(1, len(parts)))


def _unavailable(request: Any) -> None:
    """In place of the actions of a target that could not be imported yet."""
    raise ApiError(503)


UNAVAILABLE = Action(_unavailable)
