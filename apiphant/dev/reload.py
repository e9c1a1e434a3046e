"""Reload what changed and what imports it: staged apart, then swapped with one assignment.

Look: the tree on disk against what was last attempted; an event only says "look".
Stage: each module that changed, and each that imports one of them, is imported once into a new module.
Swap: a broken module, and what cannot do without it, stays as it was, all others become live, and the routes with them.
A request that is running keeps the code that it began with.
"""
from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from gevent.lock import RLock

from .. import routing
from ..app import Application
from ..product import Product
from ..routing import Action, Target
from ..validation import ApiError
from .graph import importers
from .loader import Attempt, Finder
from .stage import Modules, Stage
from .tree import File, Tree, scan

SETTLING = 0.1  # seconds that a file may be missing, empty or half written, as editors do it, before that is believed
NAMED = 8  # files that a log line names

log = logging.getLogger(__name__)


class Reloader:
    """Keeps the routes of `app` those of the product on disk. `look_again(seconds)` is asked to call `look` then."""

    def __init__(self, product: Product, app: Application, look_again: Callable[[float], Any]) -> None:
        self.product = product
        self._app = app
        self._look_again = look_again
        self._finder = Finder(product.name, str(product.path))
        self._tree: Tree = {}
        self._known: set[str] = set()  # names of the tree, as far as they are believed
        self._seen: dict[str, float] = {}  # since when a change waits to be believed
        self._targets: list[Target] = []
        self._reports: dict[str, str] = {}
        self._lock = RLock()

    def start(self) -> None:
        """Import all targets for the first time."""
        sys.meta_path.insert(0, self._finder)
        with self._lock:
            self._scan()
            self._known = set(self._tree)
            self._reload(set(), {target.module for target in self._targets})

    def look(self, saved: Collection[str] = ()) -> bool:
        """Reload if the tree is not as it was. `saved` are paths known to be written whole. Returns whether something was reloaded."""
        with self._lock:
            started = time.perf_counter()
            self._scan()
            changed = self._changed(frozenset(saved))
            if not changed:
                return False
            swapped = self._reload(changed, changed & {target.module for target in self._targets})
            self._log_reloaded(changed, swapped, (time.perf_counter() - started) * 1000)
            return True

    @property
    def routes(self) -> list[str]:
        """URL paths that have an action, less those that only say that it could not be imported."""
        return sorted(route for route, action in self._app.routes.items() if action is not UNAVAILABLE)

    def _scan(self) -> None:
        importlib.invalidate_caches()
        before, self._tree = self._tree, scan(self.product.path, self.product.name, self._tree)
        if _paths(before) != _paths(self._tree) or self._seen:
            self._scan_targets()

    def _scan_targets(self) -> None:
        waiting = [target for target in self._targets if target.module not in self._tree]
        self._targets = routing.scan(self.product)[0]
        listed = {target.module for target in self._targets}
        self._targets += [target for target in waiting if target.module not in listed]

    # What changed

    def _changed(self, saved: frozenset[str]) -> set[str]:
        """Names that differ from what was last attempted, less those that have to settle first."""
        attempts = self._finder.attempts
        changed = {name for name, attempt in attempts.items() if name in self._tree and self._tree[name].digest != attempt.digest}
        changed |= {name for name, attempt in attempts.items() if attempt.error and name in self._tree and self._tree[name].path in saved}
        changed |= self._known ^ self._tree.keys()
        now = time.monotonic()
        self._seen = {name: self._seen.get(name, now) for name in changed}
        waiting = {name for name in changed if not self._is_settled(name, saved, now - self._seen[name])}
        if waiting:
            self._look_again(SETTLING / 2)
        return changed - waiting

    def _is_settled(self, name: str, saved: frozenset[str], waited: float) -> bool:
        file = self._tree.get(name)
        if waited >= SETTLING:
            return True
        if file is None or (file.is_empty and name in self._known):
            return False
        return file.path in saved or not _is_being_written(file)

    # Stage and swap

    def _reload(self, changed: set[str], added: set[str]) -> set[str]:
        """Import anew what the change concerns. Returns the names that were swapped."""
        dirty = importers(changed, self._imports()) | added
        wanted = sorted(name for name in dirty if name in self._tree and (name in added or name in self._finder.attempts or name in sys.modules))
        for name in dirty - self._tree.keys():
            self._finder.attempts.pop(name, None)
        with Stage(self.product.name, dirty) as stage, self._finder.failing_once():
            for name in wanted:
                self._import(name)
        view = self._choose(stage, dirty)
        stage.show(view)
        self._known = (self._known - changed) | (changed & self._tree.keys())
        self._targets = [target for target in self._targets if target.module in self._known]
        self._app.routes = self._routes()
        self._log_errors()
        return {name for name in dirty if view.get(name) is not stage.live.get(name)}

    def _imports(self) -> dict[str, frozenset[str]]:
        return {name: attempt.imports for name, attempt in self._finder.attempts.items()}

    def _import(self, name: str) -> None:
        """One unit of work: whatever a module raises, SystemExit and GreenletExit included, breaks only that module."""
        try:
            module = importlib.import_module(name)
            routing.actions_of(module)
        except BaseException as error:
            attempts = self._finder.attempts
            if name not in attempts:  # a package that it is in is broken
                attempts[name] = Attempt(self._tree[name].digest, frozenset(_packages_of(name)))
            if attempts[name].error is not error:
                self._finder.fail(name, error)

    def _choose(self, stage: Stage, dirty: set[str]) -> Modules:
        """The modules to go on with: new ones, but those that are broken, or are still needed by such, as they were.

        What cannot do without a broken module is broken itself by now; what has another way goes it, as on a fresh start.
        """
        imports = self._imports()
        broken = {name for name in dirty if (attempt := self._finder.attempts.get(name)) and attempt.error}
        kept = broken & stage.live.keys()
        gone = {name for name in dirty & stage.live.keys() if name not in stage.staged and importers([name], imports) & kept}
        old = {name: stage.live[name] for name in kept | gone}
        clean = {name: module for name, module in stage.live.items() if name not in dirty}
        return {**clean, **stage.staged, **old}

    def _routes(self) -> dict[str, Action]:
        return routing.routes_of((target, self._actions(target)) for target in self._targets)

    def _actions(self, target: Target) -> dict[str, Action]:
        if target.module in sys.modules:
            return routing.actions_of(sys.modules[target.module])
        return dict.fromkeys(routing.ACTIONS, UNAVAILABLE)

    # Words

    def _log_errors(self) -> None:
        broken = {name: attempt for name, attempt in self._finder.attempts.items() if attempt.error}
        for name in self._reports.keys() - broken.keys():
            del self._reports[name]
            log.info('Mended: %s', self._show(name))
        for name, attempt in broken.items():
            if self._reports.get(name) != attempt.report:
                self._reports[name] = attempt.report
                if attempt.report:
                    log.error('Broken: %s%s\n%s', self._show(name), _consequence(name in sys.modules), attempt.report)

    def _log_reloaded(self, changed: set[str], swapped: set[str], milliseconds: float) -> None:
        if not swapped:
            return
        parts = [self._list(names) for names in (changed & swapped, swapped - changed) if names]
        log.info('Reloaded %d module%s in %.0f ms: %s', len(swapped), '' if len(swapped) == 1 else 's', milliseconds, ' -> '.join(parts))

    def _list(self, names: set[str]) -> str:
        files = sorted(map(self._show, names))
        return ', '.join(files[:NAMED]) + (f' and {len(files) - NAMED} more' if len(files) > NAMED else '')

    def _show(self, name: str) -> str:
        """The file of a module, from the product's folder on."""
        if name in self._tree:
            return str(Path(self._tree[name].path).relative_to(self.product.path))
        return name.removeprefix(self.product.name + '.').replace('.', '/') + ' (gone)'


def _paths(tree: Tree) -> dict[str, str]:
    return {name: file.path for name, file in tree.items()}


def _is_being_written(file: File) -> bool:
    """As far as stat tells: changed just now, and by writing into it (a rename leaves the time of writing older)."""
    if file.stamp:
        return False
    try:
        status = Path(file.path).stat()
    except OSError:
        return True
    return status.st_mtime_ns == status.st_ctime_ns


def _packages_of(name: str) -> Iterable[str]:
    parts = name.split('.')
    return ('.'.join(parts[:size]) for size in range(1, len(parts)))


def _consequence(has_good_generation: bool) -> str:
    return '; the code before this goes on' if has_good_generation else '; its calls are answered with 503'


def _unavailable(request: Any) -> None:
    """In place of the actions of a target that could not be imported yet."""
    raise ApiError(503)


UNAVAILABLE = Action(_unavailable)
