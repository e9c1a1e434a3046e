"""Imports modules anew, apart from those that are live, then makes them and their routes live with one assignment."""
from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Iterable, Set
from types import ModuleType
from typing import Any

from ...api import actions, routing
from ...api.actions import Action
from ...api.application import Application
from ...api.around import Arounds
from ...api.product import Product
from ...api.routing import Target
from ...validation import ApiError
from . import plan
from .attempts import Attempts
from .changes import Changes
from .importing import Finder
from .patience import Patience
from .stage import Modules, Stage, modules
from .survivors import watched
from .turns import Turns
from .unload import Unloader


class Swapper:
    """Keeps `sys.modules` and the routes of `app`."""

    def __init__(self, product: Product, app: Application, attempts: Attempts, changes: Changes, unloader: Unloader,
                 patience: Patience) -> None:
        self._package = product.name
        self._app = app
        self._attempts = attempts
        self._changes = changes
        self._unloader = unloader
        self._patience = patience
        self._finder = Finder(product.name, str(product.path), attempts, self._discard)

    def start(self) -> None:
        """Import everything for the first time."""
        sys.meta_path.insert(0, self._finder)
        self.swap(set(), self._changes.roots)
        self._finder.is_serving = True

    def swap(self, changed: set[str], dirty: Set[str]) -> set[str]:
        """Import anew what a change concerns. Returns the names that were swapped: what is broken stays as it was."""
        self._forget([name for name in dirty if not self._changes.digest(name)])
        stage = self._stage(dirty)
        failed = dirty & self._attempts.failed
        view = plan.choose(stage.live, stage.staged, dirty, failed, self._attempts.imports)
        stage.show(view)
        self._changes.believe(changed)
        self._app.routes = self._routes()
        self._unload(stage, view)
        return {name for name in dirty if view.get(name) is not stage.live.get(name)}

    @property
    def paths(self) -> list[str]:
        """URL paths that have an action, less those that only say that it could not be imported."""
        return sorted(route for route, action in self._app.routes.items() if action is not UNAVAILABLE)

    @property
    def live(self) -> Collection[str]:
        """Modules that have good code, whatever came of the last attempt. Not told where nothing failed."""
        return sys.modules.keys() - self._unavailable() if self._attempts.failed else ()

    def _forget(self, gone: list[str]) -> None:
        self._attempts.forget(gone)
        self._finder.registries.forget(gone)

    def _unload(self, stage: Stage, view: Modules) -> None:
        replaced = {name: module for name, module in stage.live.items() if view.get(name) is not module}
        dropped = [module for name, module in stage.staged.items() if view.get(name) is not module]
        self._unloader.unload([*replaced.values(), *dropped], watched(replaced))

    def _discard(self, module: ModuleType) -> None:
        self._unloader.unload([module], [])

    # Import

    def _stage(self, dirty: Set[str]) -> Stage:
        kept = {name: module for name, module in modules(self._package).items()
                if name not in dirty and not dirty.isdisjoint(packages_of(name))}
        wanted = [name for name in self._in_order(dirty) if name in self._changes.tree]
        with Stage(self._package, dirty | kept.keys()) as stage, self._finder.staging(kept):
            self._import_all(wanted)
        return stage

    def _in_order(self, dirty: Set[str]) -> list[str]:
        """As at a start: first what nothing imports, by name; the rest is imported by those, most of it."""
        roots = self._changes.roots
        known = {name for name in dirty if name in roots or name in self._attempts or name in sys.modules}
        return sorted(known, key=lambda name: (name not in roots, name))

    def _import_all(self, names: Iterable[str]) -> None:
        turns = Turns()
        targets = {target.module for target in self._changes.targets}
        for name in names:
            self._import(name, name in targets)
            if self._finder.is_serving:
                turns.pause()

    def _import(self, name: str, is_target: bool) -> None:
        """One unit of work: whatever a module raises, SystemExit and GreenletExit included, breaks only it."""
        try:
            if name not in sys.modules:  # else the import system would ask it for its spec
                with self._patience.limit():
                    importlib.import_module(name)
        except BaseException as error:
            self._attempts.fail_outside(name, error, self._changes.digest(name), packages_of(name))
        else:
            if is_target:
                self._check_actions(name)

    def _check_actions(self, name: str) -> None:
        try:
            actions.actions_of(sys.modules[name])
        except Exception as error:
            self._attempts.fail(name, error, is_certain=True)

    # Routes

    def _routes(self) -> dict[str, Action]:
        arounds = Arounds()
        return routing.routes_of((target, self._actions(target, arounds)) for target in self._changes.targets)

    def _actions(self, target: Target, arounds: Arounds) -> dict[str, Action]:
        """Of one that cannot be imported or called, those that say so."""
        try:
            if target.module in sys.modules:
                return actions.actions_of(sys.modules[target.module], arounds.above(target.module))
        except Exception as error:
            self._attempts.fail(target.module, error)
        return dict.fromkeys(actions.ACTIONS, UNAVAILABLE)

    def _unavailable(self) -> set[str]:
        """Targets without a good generation, also where their module is there."""
        routes, action = self._app.routes, actions.ACTIONS[0]
        urls = {target.module: routing.url(target, action) for target in self._changes.targets}
        return {module for module, url in urls.items() if routes.get(url) is UNAVAILABLE}


def packages_of(name: str) -> Iterable[str]:
    parts = name.split('.')
    return ('.'.join(parts[:size]) for size in range(1, len(parts)))


def _unavailable(request: Any) -> None:
    """In place of the actions of a target that could not be imported yet."""
    raise ApiError(503)


UNAVAILABLE = Action(_unavailable)
