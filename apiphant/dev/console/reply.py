"""What a call is answered with. Apart from `client`, since showing it takes no HTTP."""
from __future__ import annotations

from dataclasses import dataclass


class CallError(Exception):
    """No answer came; the text says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: `seconds` from connecting to its last byte."""
    status: int
    reason: str
    body: bytes
    seconds: float
