"""Reload what changed and what imports it: staged apart, then swapped with one assignment.

Look: the tree on disk, and other files that modules read, against what was last attempted; an event only says "look".
Stage: each module that changed, and each that imports one of them, is imported once into a new module.
Swap: a broken module, and what cannot do without it, stays as it was, all others become live, and the routes with them.
A request that is running keeps the code that it began with; what was replaced is unloaded when the last of them has ended.
"""
from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Set
from dataclasses import replace
from types import ModuleType
from typing import Any

import gevent
from gevent.lock import RLock

from ...api import actions, routing
from ...api.actions import Action
from ...api.application import Application
from ...api.around import Arounds
from ...api.product import Product
from ...api.routing import Target
from ...modules import names_of
from ...reload import UNLOADERS
from ...validation import ApiError
from . import plan
from .attempts import Attempt
from .changes import SETTLING, _is_being_written, _paths
from .files import File, Tree, look_at, scan
from .graph import importers
from .importing import Finder
from .leftovers import generations_at_work
from .report import Reporter
from .stage import Stage, modules
from .unload import Unloader

TURN = 0.012  # seconds of importing after which others get their turn
BREATH = 0.001  # seconds: less than a timer does not let the loop look for what has arrived
LATER = 0.5  # seconds until greenlets of replaced modules should have ended


class Reloader:
    """Keeps the routes of `app` those of the product on disk.

    `look_again(seconds)` is asked to call `look` then; `restart(file)` for a process of its own where a module wants that;
    `running()` what is being answered.
    """

    def __init__(self, product: Product, app: Application, look_again: Callable[[float], Any], restart: Callable[[str], Any],
                 running: Callable[[], Collection[Hashable]]) -> None:
        self.product = product
        self._app = app
        self._look_again = look_again
        self._restart = restart
        self._unloader = Unloader(running)
        self._finder = Finder(product.name, str(product.path), self._discard)
        self._reporter = Reporter(product.name, product.path)
        self._tree: Tree = {}
        self._data: dict[str, File] = {}  # other files that modules read when they were imported, by path
        self._known: dict[str, str] = {}  # paths of the tree, as far as they are believed
        self._seen: dict[str, float] = {}  # since when a change waits to be believed
        self._asked: dict[str, str] = {}  # digests of modules for which a restart was asked for
        self._targets: list[Target] = []
        self._lock = RLock()
        self._resumed = 0.0
        self._checking: Any = None

    def start(self) -> None:
        """Import everything for the first time."""
        sys.meta_path.insert(0, self._finder)
        with self._lock:
            self._scan()
            self._known = _paths(self._tree)
            self._reload(set(), self._roots())

    def look(self, saved: Collection[str] = ()) -> bool:
        """Reload if something is not as it was. `saved` are paths known to be written whole. Returns whether something was reloaded."""
        with self._lock:
            started = time.perf_counter()
            self._scan()
            changed = self._changed(frozenset(saved))
            names = self._swappable({name for name in changed if name not in self._data} | plan.readers(changed, self._finder.attempts))
            if not names:
                return False
            swapped = self._reload(names, names & self._roots())
            if swapped:
                shown = {name for name in changed if name in self._data or name in swapped}
                self._reporter.say_reloaded(shown, swapped - shown, len(swapped), (time.perf_counter() - started) * 1000)
            return True

    @property
    def routes(self) -> list[str]:
        """URL paths that have an action, less those that only say that it could not be imported."""
        return sorted(route for route, action in self._app.routes.items() if action is not UNAVAILABLE)

    @property
    def broken(self) -> list[str]:
        """Modules that could not be imported."""
        return sorted(name for name, attempt in self._finder.attempts.items() if attempt.error is not None)

    @property
    def data(self) -> list[str]:
        """Paths of other files that modules read when they were imported."""
        return sorted(self._data)

    def _roots(self) -> set[str]:
        """What is imported though nothing imports it."""
        return {target.module for target in self._targets} | {f'{self.product.name}.api.background'} & self._tree.keys()

    def _scan(self) -> None:
        importlib.invalidate_caches()
        before, self._tree = self._tree, scan(self.product.path, self.product.name, self._tree)
        self._reporter.tree = self._tree
        if _paths(before) != _paths(self._tree) or self._seen.keys() - self._known:
            self._scan_targets()
        paths = {path for attempt in self._finder.attempts.values() for path in attempt.reads}
        self._data = {path: look_at(path, self._data.get(path)) for path in paths}

    def _scan_targets(self) -> None:
        waiting = [target for target in self._targets if target.module not in self._tree]
        self._targets = routing.scan(self.product)[0]
        listed = {target.module for target in self._targets}
        self._targets += [target for target in waiting if target.module not in listed]

    # What changed

    def _changed(self, saved: frozenset[str]) -> set[str]:
        """Names and paths that differ from what was last attempted, less those that have to settle first."""
        attempts = self._finder.attempts
        changed = {name for name, attempt in attempts.items() if name in self._tree and self._tree[name].digest != attempt.digest}
        changed |= {name for name, attempt in attempts.items()
                    if attempt.error is not None and name in self._tree and self._tree[name].path in saved}
        changed |= {name for name, _ in self._known.items() ^ _paths(self._tree).items()}
        changed |= plan.stale(attempts, {path: file.digest for path, file in self._data.items()})
        now = time.monotonic()
        waiting = {name for name in changed if not self._is_settled(name, saved, now - self._seen.get(name, now))}
        self._seen = {name: self._seen.get(name, now) for name in waiting}
        if waiting:
            self._look_again(SETTLING / 2)
        return changed - waiting

    def _is_settled(self, name: str, saved: frozenset[str], waited: float) -> bool:
        file = self._tree.get(name) or self._data.get(name)
        if waited >= SETTLING:
            return True
        if file is None or (file.is_empty and (name in self._known or name in self._data)):
            return False
        return file.path in saved or not _is_being_written(file)

    def _swappable(self, changed: set[str]) -> set[str]:
        """Those that can be imported anew: none while one of them would take a module along that says RESTART = True.

        A restart is asked for once. If it fails, what asked for it waits for its next change, and other changes go on.
        """
        digests = {name: self._tree[name].digest if name in self._tree else '' for name in changed}
        new = {name for name in changed if self._asked.get(name) != digests[name]}
        if any(names_of(sys.modules.get(name)).get('RESTART') is True for name in importers(new, self._imports())):
            self._restart(', '.join(sorted(map(self._reporter.show, new))))
            self._asked.update({name: digests[name] for name in new})
            return set()
        return new

    # Stage and swap

    def _reload(self, changed: set[str], added: set[str]) -> set[str]:
        """Import anew what the change concerns. Returns the names that were swapped."""
        dirty = plan.dirty(changed, self._fresh(changed), self._settled_imports(changed)) | added
        wanted = sorted(name for name in dirty if name in self._tree and (name in added or name in self._finder.attempts or name in sys.modules))
        for name in dirty:
            if name not in self._tree or not self._tree[name].digest:
                self._finder.attempts.pop(name, None)
        kept = {name: module for name, module in modules(self.product.name).items() if name not in dirty and not dirty.isdisjoint(_packages_of(name))}
        with Stage(self.product.name, dirty | kept.keys()) as stage, self._finder.staging(kept):
            self._import_all(wanted)
        broken = {name for name in dirty if (attempt := self._finder.attempts.get(name)) and attempt.error is not None}
        view = plan.choose(stage.live, stage.staged, dirty, broken, self._imports())
        stage.show(view)
        self._known = {name: path for name, path in self._known.items() if name not in changed}
        self._known |= {name: self._tree[name].path for name in changed & self._tree.keys()}
        self._targets = [target for target in self._targets if target.module in self._known]
        self._app.routes = self._routes()
        swapped = {name for name in dirty if view.get(name) is not stage.live.get(name)}
        self._say(swapped & stage.live.keys(), dirty)
        self._unloader.unload([module for modules in (stage.live, stage.staged) for name, module in modules.items() if view.get(name) is not module])
        return swapped

    def _fresh(self, changed: set[str]) -> set[str]:
        """Those that something else imported already as they are now."""
        attempts = self._finder.attempts
        return {name for name in changed - self._known.keys() if name in attempts and name in self._tree
                and attempts[name].digest == self._tree[name].digest and attempts[name].error is None}

    def _settled_imports(self, changed: set[str]) -> dict[str, frozenset[str]]:
        """Of all but those that wait to be believed: once they are, they are not as they were, whatever they hold then."""
        imports = self._imports()
        for name in importers(changed, imports) & self._seen.keys() & imports.keys():
            self._finder.attempts[name] = replace(self._finder.attempts[name], digest='')
        return {name: imported for name, imported in imports.items() if name not in self._seen}

    def _imports(self) -> dict[str, frozenset[str]]:
        return {name: attempt.imports for name, attempt in self._finder.attempts.items()}

    def _import_all(self, names: Iterable[str]) -> None:
        self._resumed = time.perf_counter()
        targets = {target.module for target in self._targets}
        for name in names:
            self._import(name, name in targets)
            if time.perf_counter() - self._resumed > TURN:
                gevent.sleep(BREATH)
                self._resumed = time.perf_counter()

    def _import(self, name: str, is_target: bool) -> None:
        """One unit of work: whatever a module raises, SystemExit and GreenletExit included, breaks only that module."""
        try:
            if name not in sys.modules:  # else the import system would ask it for its spec
                importlib.import_module(name)
            if is_target:
                actions.actions_of(sys.modules[name])
        except BaseException as error:
            attempts = self._finder.attempts
            if name not in attempts:  # a package that it is in is broken
                attempts[name] = Attempt(self._tree[name].digest, frozenset(_packages_of(name)))
            if attempts[name].error is not error:
                self._finder.fail(name, error)

    def _discard(self, module: ModuleType) -> None:
        self._unloader.unload([module])

    def _routes(self) -> dict[str, Action]:
        arounds = Arounds()
        return routing.routes_of((target, self._actions(target, arounds)) for target in self._targets)

    def _actions(self, target: Target, arounds: Arounds) -> dict[str, Action]:
        """Of one that cannot be imported or called, those that say so."""
        try:
            if target.module in sys.modules:
                return actions.actions_of(sys.modules[target.module], arounds.above(target.module))
        except Exception as error:
            self._finder.fail(target.module, error)
        return dict.fromkeys(actions.ACTIONS, UNAVAILABLE)

    def _unavailable(self) -> set[str]:
        """Targets without a good generation, also where their module is there."""
        routes, action = self._app.routes, actions.ACTIONS[0]
        return {target.module for target in self._targets if routes.get(routing.url(target, action)) is UNAVAILABLE}

    # Words

    def _say(self, again: Set[str], dirty: set[str]) -> None:
        """`again` are modules of which there was one before."""
        attempts, executed = self._finder.attempts, self._finder.executed
        self._finder.executed = []
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
        names = {file.path: name for name, file in self._tree.items()}
        for (path, kind), generations in generations_at_work(str(self.product.path)).items():
            if path in names and generations > 1 and not _has_unloader(names[path]):
                self._reporter.warn_left(names[path], [f'starts a {kind}'])


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
