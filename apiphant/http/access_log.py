"""The line of the access log."""
from __future__ import annotations

from ..words import printable
from .message import Message


def line(message: Message, status: int, size: int, seconds: float, client: str) -> str:
    """POST /api/v0/echo/read 200 38 0.4 127.0.0.1 - method, path, status, bytes, ms, client; nothing in it can break the line."""
    return printable(f'{message.method or "-"} {message.path or "-"} {status} {size} {seconds * 1000:.1f} {client or "-"}')
