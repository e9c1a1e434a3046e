"""What can be called, arranged for being looked up while typing. Pure."""
from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile

from ...api.actions import ACTIONS


def _order(path: str) -> tuple[str, int]:
    """Targets by name, their actions as CRUD has them."""
    target, _, action = path.rpartition('/')
    return target, ACTIONS.index(action) if action in ACTIONS else len(ACTIONS)


class Routes:
    """URL paths as versions, targets and actions."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(paths, key=_order)
        self._targets: dict[tuple[str, str], list[str]] = defaultdict(list)  # by version and action
        self._actions: dict[tuple[str, str], list[str]] = defaultdict(list)  # by version and target
        for path in self.paths:
            version, _, rest = path.removeprefix('/api/').partition('/')
            target, _, action = rest.rpartition('/')
            self._targets[version, action].append(target)
            self._actions[version, target].append(action)
        self.versions = sorted({version for version, _ in self._targets}, key=lambda version: int(version[1:]))

    def targets(self, version: str, action: str) -> Sequence[str]:
        """In order."""
        return self._targets.get((version, action), ())

    def actions(self, version: str, target: str) -> Sequence[str]:
        """As CRUD has them."""
        return self._actions.get((version, target), ())

    def has(self, version: str, target: str, action: str) -> bool:
        return action in self._actions.get((version, target), ())

    def around(self, target: str, version: str, action: str, most: int) -> Sequence[str]:
        """At most so many targets, from before and after the place that a target would have."""
        targets = self.targets(version, action)
        start = max(0, bisect_left(targets, target) - most // 2)
        return targets[start:start + most]

    def starting(self, prefix: str, version: str, action: str, most: int) -> list[str]:
        """At most so many targets that start with the prefix."""
        return list(islice(self._from(prefix, self.targets(version, action)), most))

    def segments(self, prefix: str, version: str, action: str) -> list[str]:
        """What may follow the prefix up to the next slash: 'shop/' of 'shop/items', or all of a target."""
        found: list[str] = []
        targets = self.targets(version, action)
        index = bisect_left(targets, prefix)
        while index < len(targets) and targets[index].startswith(prefix):
            end = targets[index].find('/', len(prefix))
            found.append(targets[index] if end < 0 else targets[index][:end + 1])
            index = bisect_left(targets, found[-1] + '\U0010ffff') if end >= 0 else index + 1
        return found

    @staticmethod
    def _from(prefix: str, targets: Sequence[str]) -> Iterator[str]:
        start = bisect_left(targets, prefix)
        following = (targets[index] for index in range(start, len(targets)))
        return takewhile(lambda target: target.startswith(prefix), following)
