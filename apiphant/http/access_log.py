"""The line of the access log."""
from __future__ import annotations

from ..words import printable
from .message import Message


def line(message: Message, status: int, size: int, seconds: float, client: str) -> str:
    """Method, path, status, bytes, ms, client: POST /api/v0/echo/read 200 38 0.4 127.0.0.1. Nothing can break it."""
    request = f'{message.method or "-"} {message.path or "-"}'
    return printable(f'{request} {status} {size} {seconds * 1000:.1f} {client or "-"}')
