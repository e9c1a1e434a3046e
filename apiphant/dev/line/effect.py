"""What a line can come to. Whoever has the terminal, or the pipe, does it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """Call an action with a request."""
    version: str
    target: str
    action: str
    request: dict[str, Any] = field(default_factory=dict)
    output: str = ''  # the shell command that gets the answer

    @property
    def path(self) -> str:
        return f'/api/{self.version}/{self.target}/{self.action}'


@dataclass(frozen=True, slots=True)
class Show:
    """Print a text, or a table that may be made narrower."""
    text: str
    output: str = ''
    is_table: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the app, and print what it says."""
    what: str
    details: Mapping[str, Any]
    output: str = ''


@dataclass(frozen=True, slots=True)
class Use:
    """Call this version from now on."""
    version: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Make this call again after each reload, or none any more."""
    call: Call | None


@dataclass(frozen=True, slots=True)
class Edit:
    """Edit a text in $EDITOR, and offer it as the next line."""
    text: str


@dataclass(frozen=True, slots=True)
class Open:
    """Open a file of the product in $EDITOR; '' for where the last traceback ended."""
    path: str
    line: int = 1


@dataclass(frozen=True, slots=True)
class Save:
    """Write the last call and its answer into the product's tests."""
    call: Call
    status: int
    answer: Any


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a value by a name."""
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Send:
    """Send these with each call from now on."""
    fields: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unsend:
    """And these no more."""
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Do:
    """Something that has no details: restart, clear or leave."""
    what: str


Effect = Call | Show | Ask | Use | Watch | Edit | Open | Save | Keep | Send | Unsend | Do | None
