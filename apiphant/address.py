"""Where to listen: HOST:PORT, [IPV6]:PORT, PORT or unix:PATH; and the socket that does."""
from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from .errors import UserError
from .words import reason

DEFAULT = '127.0.0.1:8888'
FORM = re.compile(r'(?:(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]]+):)?(?P<port>[0-9]{1,5})')
OWN = {'0.0.0.0': '127.0.0.1', '::': '::1'}
BACKLOG = 2048


class AddressError(UserError):
    """The address is not one, or nobody can listen there."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port (0 for any free one), or `path` of a unix socket."""
    host: str = ''
    port: int = 0
    path: str = ''

    def __str__(self) -> str:
        if self.path:
            return f'unix:{self.path}'
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{host}:{self.port}'

    @property
    def url(self) -> str:
        return str(self) if self.path else f'http://{self}'

    @property
    def reachable(self) -> Address:
        """Where a client on this machine calls: nobody can call 0.0.0.0 or ::, which mean each address there is."""
        return Address(OWN.get(self.host, self.host), self.port, self.path)


def parse(text: str) -> Address:
    """Raises AddressError."""
    if text.startswith('unix:') and len(text) > len('unix:'):
        return Address(path=text.removeprefix('unix:'))
    match = FORM.fullmatch(text)
    if not match or int(match['port']) > 65535:
        raise AddressError(f'bad address {text!r}: it should be HOST:PORT, [IPV6]:PORT, PORT or unix:PATH')
    return Address((match['host'] or '127.0.0.1').strip('[]'), int(match['port']))


def listen(address: Address, umask: int | None = None) -> socket.socket:
    """A listening socket. The connections that it accepts have TCP_NODELAY. Raises AddressError.

    A unix socket has the rights that `umask` leaves: who may not write to it cannot connect.
    """
    try:
        return _listen_unix(address.path, umask) if address.path else _listen_tcp(address)
    except OSError as error:
        raise AddressError(f'cannot listen on {address}: {_reason(error)}') from None


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return 'no permission; ports under 1024 are for root'
    return reason(error)


def _listen_tcp(address: Address) -> socket.socket:
    places = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, place = places[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Linux hands it on to accepted sockets
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _listen_unix(path: str, umask: int | None) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _masked(umask):
            listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def _masked(umask: int | None) -> Iterator[None]:
    before = os.umask(umask) if umask is not None else None
    try:
        yield
    finally:
        if before is not None:
            os.umask(before)


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on: a killed server left it. Anything else is not ours to remove."""
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise FileExistsError(0, 'a file that is not a socket is there already')
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise FileExistsError(0, 'another server listens there already')


def remove(name: object) -> None:
    """Remove the file of a unix socket that is closed, if it is still there. Other names have none."""
    if isinstance(name, str):
        with suppress(OSError):
            os.unlink(name)


def of(listener: socket.socket) -> Address:
    """The address that a socket listens on, with the port that it got."""
    name = listener.getsockname()
    return Address(path=name) if isinstance(name, str) else Address(name[0], name[1])
