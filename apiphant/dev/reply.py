"""What a call is answered with. Apart from `client`, since showing it takes no HTTP."""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


class CallError(Exception):
    """No answer came; the text says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: `seconds` from connecting to its last byte."""
    status: int
    reason: str
    body: bytes
    seconds: float


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON that can be written: halves of surrogate pairs stay escapes."""
    return json.dumps(value, indent=indent, ensure_ascii=False).encode('utf-8', 'backslashreplace').decode()
