"""One HTTP request, and a refusal of one."""
from __future__ import annotations

from functools import cached_property

from ..api.actions import Action


class Refusal(Exception):
    """The bytes are no request that is taken here: answer `status` and close."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Message:
    """One request. Whoever is told that it has begun sets `limit`, what its body may have in bytes, and `is_kept`."""

    method = ''
    target = ''
    path = ''
    version = '1.1'
    length = 0  # bytes of the body so far, kept or not
    limit = 0
    is_kept = True
    is_chunked = False
    is_complete = False
    is_answered = False  # the head of its answer is sent, and more may come
    keep_alive = True
    expects_continue = False
    offers_upgrade = False
    action: Action | None = None  # decided when its head was whole
    refusal: Refusal | None = None
    origin: bytes | None = None  # all of them, in lower case
    host = b''
    sent = 0  # bytes of the answer's body
    head = b''  # where no parser read it
    end = 0

    def __init__(self) -> None:
        self.headers = []
        self.body: list[bytes] = []

    @cached_property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names and values as they came."""
        lines = self.head[:-4].split(b'\r\n')[1:]
        return [(name, value.lstrip(b' \t')) for name, _, value in (line.partition(b':') for line in lines)]

    @property
    def awaits_continue(self) -> bool:
        """Whether the client waits to be told to send the body."""
        return self.expects_continue and self.is_kept and not self.length and not self.is_complete and not self.refusal
