"""Calls from the console: over HTTP, as anybody else's."""
from __future__ import annotations

import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from time import perf_counter
from urllib.parse import quote

from ...address import Address
from .reply import CallError, Reply


class UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__('localhost')
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def post(address: Address, path: str, body: bytes, agent: str, more: Mapping[str, str]) -> Reply:
    """POST a body, on a connection of its own; `agent` says who calls, `more` are headers. Raises CallError."""
    place = address.reachable
    connection = UnixConnection(place.path) if place.path else HTTPConnection(place.host, place.port)
    start = perf_counter()
    try:
        headers = {'Content-Type': 'application/json', 'Connection': 'close', 'User-Agent': agent, **more}
        connection.request('POST', quote(path), body, headers)
        response = connection.getresponse()
        return Reply(response.status, response.reason, response.read(), perf_counter() - start)
    except UnicodeEncodeError:
        raise CallError('no call: the target is no text') from None
    except (OSError, HTTPException) as error:
        raise CallError(f'no answer: {error or type(error).__name__}') from None
    finally:
        connection.close()
