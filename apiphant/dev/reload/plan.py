"""What a change concerns, and which modules to go on with.

Pure: names, modules and attempts in, names and modules out.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from typing import Any, TypeVar

from .graph import importers

Module = TypeVar('Module')


def stale(attempts: Mapping[str, Any], digests: Mapping[str, str]) -> set[str]:
    """Files that a module read when it was imported, and that are not what they were. `digests` is by path."""
    reads = (read for attempt in attempts.values() for read in attempt.reads.items())
    return {path for path, digest in reads if digests.get(path, '') != digest}


def readers(paths: Collection[str], attempts: Mapping[str, Any]) -> set[str]:
    """Modules that read one of the files when they were imported."""
    return {name for name, attempt in attempts.items() if not attempt.reads.keys().isdisjoint(paths)}


def dirty(changed: Set[str], fresh: Set[str], imports: Mapping[str, Collection[str]]) -> set[str]:
    """What to import anew: the changed and what imports them.

    But not what is fresh, unless it imports a change that is not.
    """
    return importers(changed - fresh, imports) | (importers(changed, imports) - fresh)


def choose(live: Mapping[str, Module], staged: Mapping[str, Module], dirty: Set[str], broken: Set[str],
           imports: Mapping[str, Collection[str]]) -> dict[str, Module]:
    """The modules to go on with: new ones, but those that are broken, or are still needed by such, as they were.

    What cannot do without a broken module is broken itself by now; what has another way goes it, as on a fresh start.
    """
    kept = broken & live.keys()
    gone = {name for name in dirty & live.keys() if name not in staged and importers([name], imports) & kept}
    clean = {name: module for name, module in live.items() if name not in dirty}
    return {**clean, **staged, **{name: live[name] for name in kept | gone}}
