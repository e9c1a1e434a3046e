"""What a call is answered with. Apart from `client`, since showing it takes no HTTP."""
from __future__ import annotations

import json
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

    @property
    def output(self) -> bytes:
        """What goes to a program or a file: the bytes as they came. JSON is a line, so that others may follow."""
        is_line = _is_json(self.body) and not self.body.endswith(b'\n')
        return self.body + b'\n' if is_line else self.body


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
