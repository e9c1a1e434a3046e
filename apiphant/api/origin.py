"""Whether a web page that calls is the server's own. Any page can make its browser post to a server, on localhost, too.

`Origin` says where the page came from; programs send none. It is the server's own if it names the host and port that
the server was asked as. It has to be HTTPS only where that is known to be spoken: an unknown proxy may have ended it.
"""
from __future__ import annotations

import logging
import re
from ipaddress import AddressValueError, IPv6Address
from time import monotonic

PORTS = {'http': 80, 'https': 443}
PLACE = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+;=%-]+)(?::([0-9]{0,5}))?")
SHOWN = 80  # characters of a header in a log line
QUIET = 60.0  # seconds between two lines about the same
MOST = 8  # lines in that time

log = logging.getLogger(__name__)
_said: dict[str, float] = {}  # what was said lately, and when


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


def say_refused(path: str, why: str) -> None:
    """A line in the log; a page may call over and over, and make up names."""
    now = monotonic()
    for old in [old for old, when in _said.items() if now - when > QUIET]:
        del _said[old]
    if why not in _said and len(_said) < MOST:
        _said[why] = now
        log.warning('Refused POST %s with 403: %s', path, why)
