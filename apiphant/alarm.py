"""How often `on_error` hears of errors: of each different one at once, then at most once a minute, with a count. Pure: the clock is an argument."""
from __future__ import annotations

from dataclasses import dataclass, field

QUIET = 60.0  # seconds
MOST = 1000  # different errors that are remembered

Key = tuple[str, str, str]  # task, type and last line of an error


@dataclass(slots=True)
class Alarm:
    """Counts the errors that were not told."""
    _told: dict[Key, float] = field(default_factory=dict)
    _untold: dict[Key, int] = field(default_factory=dict)

    def count(self, key: Key, now: float) -> int:
        """How many errors like this one are to be told now, itself with them; 0 while that has to wait."""
        number = self._untold.get(key, 0) + 1
        if now - self._told.get(key, -QUIET) < QUIET:
            self._untold[key] = number
            return 0
        self._untold.pop(key, None)
        self._told.pop(key, None)
        self._told[key] = now  # the last now, in order
        while len(self._told) > MOST:
            forgotten = next(iter(self._told))
            del self._told[forgotten]
            self._untold.pop(forgotten, None)
        return number
