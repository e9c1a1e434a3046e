"""Headers and cookies of a call: those of the request, to be read, and those of the answer, which are checked."""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from http.cookies import Morsel, SimpleCookie
from typing import Any

NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(r'[\t\x20-\x7e\x80-\xff]*')
COOKIE = re.compile(r'[\x20-\x7e]*')
PATH = re.compile(r'/[\x20-\x3a\x3c-\x7e]*')
SAME_SITE = ('Lax', 'Strict', 'None')
LONGEST_COOKIE = 4096  # bytes that browsers keep
SERVERS = frozenset((
    'connection', 'content-length', 'date', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding',
    'upgrade'))

Pairs = Iterable[tuple[str, str]]


class Headers(Mapping[str, str]):
    """Those of a request, by name in any case. One that came several times is one, with commas between.

    A name with an underscore is left out: proxies take it for the same with a hyphen.
    """

    def __init__(self, pairs: Pairs) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if '_' not in name:
                self._add(name.lower(), value.strip(' \t'))

    def _add(self, name: str, value: str) -> None:
        separator = '; ' if name == 'cookie' else ', '
        before = self._values.get(name)
        self._values[name] = value if before is None else before + separator + value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f'Headers({list(self)})'  # values may be secret


def cookies_of(header: str) -> dict[str, str]:
    """What a browser sent as `Cookie`: of a name that comes twice the first, which is of the nearest path."""
    found: dict[str, str] = {}
    for part in header.split(';'):
        name, equals, value = part.strip(' \t').partition('=')
        if equals and NAME.fullmatch(name) and name not in found:
            found[name] = SimpleCookie().value_decode(value)[0]
    return found


class AnswerHeaders(MutableMapping[str, str]):
    """Those that a handler gives its answer, by name in any case. Raises ValueError for what cannot be sent."""

    def __init__(self) -> None:
        self._pairs: dict[str, tuple[str, str]] = {}

    def __getitem__(self, name: str) -> str:
        return self._pairs[name.lower()][1]

    def __setitem__(self, name: str, value: str | int) -> None:
        key = _checked_name(name)
        text = str(value) if type(value) is int else value
        if not isinstance(text, str) or not VALUE.fullmatch(text):
            raise ValueError(f'{value!r} cannot be the value of a header: {name} takes one line of Latin-1')
        self._pairs[key] = name, text

    def __delitem__(self, name: str) -> None:
        del self._pairs[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """As they were written."""
        return list(self._pairs.values())


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f'{name!r} cannot be the name of a header')
    key = name.lower()
    if key in SERVERS:
        raise ValueError(f"{name!r} is the server's own")
    if key == 'set-cookie':
        raise ValueError('a cookie is set by call.set_cookie(name, value)')
    return key


def cookie_line(
    name: str, value: str, *, max_age: int | None, http_only: bool, secure: bool, same_site: str, path: str,
) -> str:
    """The value of `Set-Cookie`. Raises ValueError for what cannot be one."""
    _check_cookie(name, value)
    _check_attributes(max_age, secure, same_site, path)
    morsel: Morsel[str] = SimpleCookie({name: value})[name]
    attributes: dict[str, Any] = {'path': path, 'samesite': same_site, 'httponly': http_only, 'secure': secure}
    morsel.update(attributes)
    if max_age is not None:
        morsel['max-age'] = max_age
    line = morsel.OutputString()
    if len(line) > LONGEST_COOKIE:
        raise ValueError(f'the cookie {name!r} has {len(line)} bytes, browsers keep {LONGEST_COOKIE}')
    return line


def _check_cookie(name: str, value: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f'{name!r} cannot be the name of a cookie')
    if not isinstance(value, str) or not COOKIE.fullmatch(value):
        raise ValueError(f'{value!r} cannot be the value of a cookie: it should be a line of ASCII')


def _check_attributes(max_age: int | None, secure: bool, same_site: str, path: str) -> None:
    if max_age is not None and type(max_age) is not int:
        raise ValueError(f'max_age={max_age!r} is no whole number of seconds')
    if same_site not in SAME_SITE:
        raise ValueError(f'same_site={same_site!r} should be one of {", ".join(SAME_SITE)}')
    if same_site == 'None' and not secure:
        raise ValueError("same_site='None' is for cookies with secure=True only, browsers say")
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise ValueError(f'path={path!r} should begin with / and have no semicolon')
