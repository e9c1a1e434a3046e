"""Bytes to and from a client, from a greenlet. Every limit on how long that takes lives here."""
from __future__ import annotations

CHUNK = 64 * 1024  # bytes

SEND_TIMEOUT = 60.0  # seconds without the client taking anything
