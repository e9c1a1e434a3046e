"""Who calls, as the environ of any WSGI server says it."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .headers import Pairs

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

PREFIX = 'HTTP_'
BARE = ('CONTENT_TYPE', 'CONTENT_LENGTH')


def path_of(environ: Environ) -> str:
    return str(environ.get('SCRIPT_NAME', '') + environ.get('PATH_INFO', ''))


class EnvironHost:
    """A WSGI server as the host of one call, and the caller that it has."""

    __slots__ = ('source',)
    explains = False
    is_trusted = False  # whom the server believes, it does not say

    def __init__(self, environ: Environ) -> None:
        self.source = environ

    def give_way(self) -> None:
        """What else there is to be done is the server's."""

    def caller(self) -> EnvironHost:
        return self

    @property
    def method(self) -> str:
        return str(self.source['REQUEST_METHOD'])

    @property
    def path(self) -> str:
        return path_of(self.source)

    @property
    def client(self) -> str:
        return str(self.source.get('REMOTE_ADDR') or '')

    @property
    def is_https(self) -> bool:
        return self.source.get('wsgi.url_scheme') == 'https'

    def headers(self) -> Pairs:
        for key, value in self.source.items():
            if key in BARE and value:
                yield key.replace('_', '-'), value
            elif key.startswith(PREFIX):
                yield key.removeprefix(PREFIX).replace('_', '-'), value
