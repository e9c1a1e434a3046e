"""Who the client is, behind proxies that are trusted."""
from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from .message import Message

MAPPED = '::ffff:'


def address_of(peer: Any) -> str:
    """'' for a client on a unix socket."""
    return plain(peer[0]) if isinstance(peer, tuple) else ''


def plain(address: str) -> str:
    """An IPv4 address as such, where a socket that takes both kinds says ::ffff:1.2.3.4."""
    return address[len(MAPPED):] if address.startswith(MAPPED) and '.' in address else address


def client_of(message: Message, peer: str, trusted: Container[str]) -> str:
    """The nearest that is no trusted proxy's: X-Forwarded-For is read from its end, as far as it is believed."""
    hops = [peer, *reversed(_forwarded(message.headers))]
    return next((hop for hop in hops if hop not in trusted), hops[-1])


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    value = b','.join(value for name, value in headers if name.lower() == b'x-forwarded-for')
    return [hop.decode('latin-1') for part in value.split(b',') if (hop := part.strip(b' \t'))]


def is_https(message: Message, peer: str, trusted: Container[str]) -> bool:
    """Whether a trusted proxy says that its client came by HTTPS."""
    if peer not in trusted:
        return False
    said = [value for name, value in message.headers if name.lower() == b'x-forwarded-proto']
    return any(value.strip().lower() == b'https' for value in said)
