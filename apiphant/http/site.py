"""What the connections of one listener have in common."""
from __future__ import annotations

from socket import AF_INET, AF_INET6
from typing import Any

from ..api.application import Application
from ..api.environ import Environ
from . import proxies
from .greenlets import Greenlets
from .heads import Clock
from .message import Message
from .remembered import Remembered
from .settings import Settings
from .transport import Transport


class Site:
    """What is served, and how. Connections count in it what they have answered."""

    def __init__(self, app: Application, settings: Settings, family: int, name: Any) -> None:
        self.app = app
        self.settings = settings
        self.clock = Clock()
        self.greenlets = Greenlets()
        self.remembered = Remembered(app, settings.max_body)
        self.is_stopping = False
        self.answered = 0  # requests
        self._has_addresses = family in (AF_INET, AF_INET6)
        self.checks_hosts = self._has_addresses and app.origins.checks_hosts
        self._name = name  # of the listener

    def origin_of(self, transport: Transport, message: Message) -> Environ:
        """REMOTE_ADDR, REMOTE_PORT, SERVER_NAME, SERVER_PORT, wsgi.url_scheme."""
        server, peer = (str(self._name), ''), ('', '')
        if self._has_addresses:
            server, peer = transport.socket.getsockname(), transport.peer
        return {
            'wsgi.url_scheme': 'https' if self.is_https(transport, message) else 'http',
            'SERVER_NAME': proxies.plain(server[0]),
            'SERVER_PORT': str(server[1]),
            'REMOTE_ADDR': proxies.plain(peer[0]),
            'REMOTE_PORT': str(peer[1]),
        }

    def is_https(self, transport: Transport, message: Message) -> bool:
        """Whether it is known that the client speaks HTTPS, to us or to a trusted proxy."""
        if transport.is_secure:
            return True
        return proxies.is_https(message, proxies.address_of(transport.peer), self.settings.trusted)

    def client_of(self, transport: Transport, message: Message) -> str:
        """The address of the client, behind proxies that are trusted."""
        return proxies.client_of(message, proxies.address_of(transport.peer), self.settings.trusted)
