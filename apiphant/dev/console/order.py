"""What is known of a restart that is wanted."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import monotonic


@dataclass(frozen=True)
class Order:
    """A restart that is wanted. A quiet one is told of only when it is done."""
    why: str
    is_quiet: bool = False
    is_outside: bool = False  # what is not the product's changed: a standby may have the old of it
    learned: dict[str, str] = field(default_factory=dict)  # why modules need a fresh process, if it takes over
    doubt: frozenset[str] = frozenset()  # modules that failed: the fresh process is to tell whether they are broken
    asked: float = field(default_factory=monotonic)

    def along_with(self, other: Order | None) -> Order:
        """This one, which also does what another is for that was not begun."""
        if other is None:
            return self
        return replace(
            self, is_outside=self.is_outside or other.is_outside, learned={**other.learned, **self.learned},
            doubt=self.doubt | other.doubt, asked=other.asked)


@dataclass(frozen=True)
class Debt:
    """A restart that could not be done, and the modules that were in its way."""
    order: Order
    in_the_way: frozenset[str]
