"""What may come next on a line. Pure: the text before the cursor and the routes in, words out."""
from __future__ import annotations

from collections.abc import Sequence

from ..routing import ACTIONS
from .command import WORDS, versions_of


def complete(text: str, version: str, routes: Sequence[str]) -> list[str]:
    """Words that may replace the one at the end of `text`, in order."""
    *before, word = text.lstrip().split(' ') if text.strip() else ['']
    return [candidate for candidate in _candidates([part for part in before if part], version, routes) if candidate.startswith(word)]


def _candidates(before: list[str], version: str, routes: Sequence[str]) -> list[str]:
    if not before:
        return sorted({*WORDS} - {'exit'})
    if before == ['use']:
        return versions_of(routes)
    if len(before) == 1 and before[0] in ACTIONS:
        return targets_of(before[0], version, routes)
    return []


def targets_of(action: str, version: str, routes: Sequence[str]) -> list[str]:
    """Targets of a version that have the action."""
    prefix, suffix = f'/api/{version}/', f'/{action}'
    return sorted(route.removeprefix(prefix).removesuffix(suffix) for route in routes if route.startswith(prefix) and route.endswith(suffix))
