"""Who calls, as a connection knows it."""
from __future__ import annotations

from ..api.headers import Pairs
from .message import Message
from .proxies import address_of
from .site import Site
from .transport import Transport


class HttpCaller:
    """Of one request. What it says is looked for when somebody asks."""

    __slots__ = ('_site', '_transport', 'source')

    def __init__(self, site: Site, transport: Transport, message: Message) -> None:
        self.source = message
        self._site = site
        self._transport = transport

    @property
    def method(self) -> str:
        return self.source.method

    @property
    def path(self) -> str:
        return self.source.path

    @property
    def client(self) -> str:
        return self._site.client_of(self._transport, self.source)

    @property
    def is_https(self) -> bool:
        return self._site.is_https(self._transport, self.source)

    @property
    def is_trusted(self) -> bool:
        return address_of(self._transport.peer) in self._site.settings.trusted

    def headers(self) -> Pairs:
        return [(name.decode('latin-1'), value.decode('latin-1')) for name, value in self.source.headers]
