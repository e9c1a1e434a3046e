"""What can be chosen about connections."""
from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

from ..api.answer import MAX_BODY
from .message import Message

Access = Callable[[Message, int, int, float, str], None]  # status, bytes, seconds, client


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds, sizes in bytes; `access` is told of each request that was answered."""
    keep_alive: float = 75.0  # idle between two requests
    max_body: int = MAX_BODY
    access: Access | None = None
    trusted: Container[str] = frozenset()  # peers whose X-Forwarded-For and -Proto are believed
    head_timeout: float = 30.0  # for a whole head
    body_timeout: float = 60.0  # for a whole body; for one that is streamed, and one more for each `slowest` bytes
    slowest: int = 16 * 1024
    send_timeout: float = 60.0  # without the client taking anything
    linger_timeout: float = 2.0  # in which a client whose connection ends is still listened to
    silence: int = 30  # without a word between client and server, until the client is asked whether it is there
