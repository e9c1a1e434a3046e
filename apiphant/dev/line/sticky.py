"""Fields and headers that go with each call from now on."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .effect import Send


@dataclass(frozen=True, slots=True)
class Sticky:
    """Fields and headers that each call gets; a field that the call has itself goes first."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_(self, effect: Send) -> Sticky:
        headers = _without(self.headers, effect.headers) | dict(effect.headers)
        return Sticky({**self.fields, **effect.fields}, headers)

    def without(self, names: tuple[str, ...]) -> Sticky:
        return Sticky({key: value for key, value in self.fields.items() if key not in names},
                      _without(self.headers, names))

    def has(self, name: str) -> bool:
        return name in self.fields or name.lower() in map(str.lower, self.headers)


def _without(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    gone = {name.lower() for name in names}
    return {name: value for name, value in headers.items() if name.lower() not in gone}
