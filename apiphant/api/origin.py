"""Which web pages may call. Any page can make its browser post to a server, on localhost, too.

`Origin` says where the page came from; programs send none. It is the server's own if it names the host and port that
the server was asked as. It has to be HTTPS only where that is known to be spoken: an unknown proxy may have ended it.
Others may call if they are allowed, and their browsers are told so. In dev, pages of this machine are; and the server
answers to names of this machine only, since the owner of any other could let it lead here.
"""
from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from time import monotonic

from ..words import printable
from .call import Caller
from .headers import NAME, Headers

PORTS = {'http': 80, 'https': 443}
PLACE = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+;=%-]+)(?::([0-9]{0,5}))?")
HOST = re.compile(r'[a-z0-9]([a-z0-9._-]*[a-z0-9])?')
WANTED = re.compile(rf'{NAME.pattern}(?:[ \t]*,[ \t]*{NAME.pattern})*')
LONGEST_WANTED = 1024  # characters of header names that a page wants to send
SHOWN = 80  # characters of a header in a log line
QUIET = 60.0  # seconds between two lines about the same
MOST = 8  # lines in that time
ANY = '*'
VARIABLE = 'APIPHANT_ALLOW_ORIGIN'
HOST_VARIABLE = 'APIPHANT_ALLOW_HOST'
ALLOW_ORIGIN = (
    'origins whose pages may call, besides those of the server, like https://app.example.com, with commas between; '
    '*: all, without cookies')
PREFLIGHT_AGE = '600'  # seconds for which a browser need not ask again

Pairs = tuple[tuple[str, str], ...]
Origin = tuple[str, str, int]  # scheme, host, port

log = logging.getLogger(__name__)
_said: dict[str, float] = {}  # what was said lately, and when


@dataclass(frozen=True, slots=True)
class Page:
    """The page that calls, or none. `why_foreign`: it may not; `headers` let its browser show it the answer."""
    why_foreign: str = ''
    headers: Pairs = ()
    is_preflight: bool = False  # its browser asks whether it may call


PROGRAM = Page()


class Origins:
    """Which pages may call. `allowed` is '*', or origins with commas between; `hosts` are names, None for any."""

    def __init__(self, allowed: str = '', hosts: str | None = None, *, allows_local: bool = False) -> None:
        self._is_any = allowed.strip() == ANY
        self._allowed = frozenset() if self._is_any else frozenset(map(parse_origin, split(allowed)))
        self._hosts = frozenset(map(parse_host, split(hosts))) if hosts is not None else None
        self._allows_local = allows_local

    @property
    def checks_hosts(self) -> bool:
        return self._hosts is not None

    def why_not_host(self, host: str) -> str:
        """Why the server does not answer to that name; '' if it does."""
        found = _place(host.lower(), 'http')
        if not host or (found and (is_local_name(found[0]) or self._is_known(found[0]))):
            return ''
        name = found[0] if found and len(found[0]) <= SHOWN else 'NAME'
        return f'asked as {_shown(host)}, which is no name of this machine; --allow-host {name} allows it'

    def _is_known(self, name: str) -> bool:
        return _is_address(name) or name in (self._hosts or ())

    def page(self, origin: str, host: str, caller: Caller) -> Page:
        """Of a call with an Origin."""
        why = foreign(origin, host, caller.is_https)
        if not why:
            return PROGRAM
        if not self._allows(origin.lower()):
            return Page(why)
        headers = self._headers(origin.lower())
        asked = Headers(caller.headers()) if caller.method == 'OPTIONS' else {}
        if 'access-control-request-method' not in asked:
            return Page(headers=headers)
        return Page(headers=headers + _preflight(asked), is_preflight=True)

    def _allows(self, origin: str) -> bool:
        if self._is_any:
            return True
        found = _origin(origin)
        if found is None:
            return False
        return found in self._allowed or (self._allows_local and _is_loopback(found[1]))

    def _headers(self, origin: str) -> Pairs:
        if self._is_any:
            return (('Access-Control-Allow-Origin', ANY), ('Vary', 'Origin'))
        return (
            ('Access-Control-Allow-Origin', origin), ('Access-Control-Allow-Credentials', 'true'), ('Vary', 'Origin'))


def _preflight(asked: Mapping[str, str]) -> Pairs:
    wanted = asked.get('access-control-request-headers', '')
    may_send = len(wanted) <= LONGEST_WANTED and WANTED.fullmatch(wanted)
    names = (('Access-Control-Allow-Headers', wanted),) if may_send else ()
    return (('Access-Control-Allow-Methods', 'POST'), *names, ('Access-Control-Max-Age', PREFLIGHT_AGE))


def split(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(',')] if text.strip() else []


def check_list(text: str) -> str:
    """'*' or a list of origins, as it is. Raises ValueError."""
    Origins(text)
    return text


def check_hosts(text: str) -> str:
    """A list of names, as it is. Raises ValueError."""
    Origins(hosts=text)
    return text


def parse_origin(text: str) -> Origin:
    """Raises ValueError."""
    found = _origin(text.lower())
    if found is None or ANY in text:
        raise ValueError(f'{text!r} is no origin: it should be like https://example.com')
    return found


def parse_host(text: str) -> str:
    """Raises ValueError."""
    name = text.lower().removesuffix('.')
    if not HOST.fullmatch(name):
        raise ValueError(f'{text!r} is no name of a host: it should be like shop.example')
    return name


def _origin(text: str) -> Origin | None:
    scheme, _, place = text.partition('://')
    found = _place(place, scheme) if scheme in PORTS else None
    return (scheme, *found) if found else None


def is_local_name(name: str) -> bool:
    return name == 'localhost' or name.endswith('.localhost')


def _is_loopback(name: str) -> bool:
    if is_local_name(name) or name == '::1':
        return True
    try:
        return IPv4Address(name).is_loopback
    except AddressValueError:
        return False


def _is_address(name: str) -> bool:
    for kind in (IPv4Address, IPv6Address):
        try:
            kind(name)
            return True
        except AddressValueError:
            pass
    return False


def foreign(origin: str, host: str, is_https: bool) -> str:
    """Why the page that an Origin names is not of the server that was asked as `host`; '' if it is."""
    scheme, _, place = origin.lower().partition('://')
    if scheme in PORTS and (scheme == 'https' or not is_https):
        found = _place(place, scheme)
        if found and found == _place(host.lower(), scheme):
            return ''
    return f'a page of {_shown(origin)} is not of this server, asked as {_shown(host)}{" by HTTPS" if is_https else ""}'


def _place(text: str, scheme: str) -> tuple[str, int] | None:
    """Name and port; None for what is neither."""
    found = PLACE.fullmatch(text)
    return (_name(found[1]), int(found[2] or PORTS[scheme])) if found else None


def _name(text: str) -> str:
    """One that is the same for all ways to write it."""
    try:
        return str(IPv6Address(text[1:-1])) if text.startswith('[') else text.removesuffix('.')
    except AddressValueError:
        return text


def _shown(value: str) -> str:
    return ascii(value if len(value) <= SHOWN else value[:SHOWN] + '...')


def say_refused(method: str, path: str, why: str) -> None:
    """A line in the log; a page may call over and over, and make up names."""
    now = monotonic()
    for old in [old for old, when in _said.items() if now - when > QUIET]:
        del _said[old]
    if why not in _said and len(_said) < MOST:
        _said[why] = now
        log.warning('Refused %s %s with 403: %s', printable(method), printable(path), why)
