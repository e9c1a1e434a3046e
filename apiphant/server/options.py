"""The options of the production server: one table for the command line, the environment and --help."""
from __future__ import annotations

import os
import re
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..api.answer import MAX_BODY
from ..api.origin import ALLOW_ORIGIN, check_list
from ..errors import UserError
from .peers import Peers

MASK = re.compile('[0-7]{1,4}')
LEVELS = ('debug', 'info', 'warning', 'error', 'critical')


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ArgumentTypeError(f'{text!r} should be a whole number, not negative')
    return int(text)


def _above_zero(text: str) -> int:
    number = _number(text)
    if not number:
        raise ArgumentTypeError('it should be above 0')
    return number


def _file(text: str) -> str:
    if not os.access(text, os.R_OK):
        raise ArgumentTypeError(f'{text!r} cannot be read')
    return text


def _level(text: str) -> str:
    if text not in LEVELS:
        raise ArgumentTypeError(f'{text!r} should be one of {", ".join(LEVELS)}')
    return text


def _peers(text: str) -> str:
    """'*', or addresses and networks with commas between."""
    try:
        Peers(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def _origins(text: str) -> str:
    """'*', or origins with commas between."""
    try:
        return check_list(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _mask(text: str) -> int:
    """Octal, as the shell's umask has it."""
    if not MASK.fullmatch(text):
        raise ArgumentTypeError(f'{text!r} should be octal, like 007')
    return int(text, 8)


class BadOption(UserError):
    """An option, or a variable of the environment, has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Option:
    """`--name VALUE` or APIPHANT_NAME. `gunicorn` is its name there, where gunicorn has it.

    `platform` is a variable that platforms set, and that is taken where nothing else is given.
    """
    name: str
    metavar: str
    kind: Callable[[str], Any]
    default: Any
    help: str
    gunicorn: str = ''
    platform: str = ''

    @property
    def key(self) -> str:
        return self.name.replace('-', '_')

    @property
    def variable(self) -> str:
        return f'APIPHANT_{self.key.upper()}'


GROUPS: dict[str, tuple[Option, ...]] = {
    'processes': (
        Option('workers', 'N', _above_zero, 1, 'processes that serve', 'workers', 'WEB_CONCURRENCY'),
        Option('timeout', 'SECONDS', _number, 30, 'a worker that blocks for so long is replaced; 0: never', 'timeout'),
        Option('graceful-timeout', 'SECONDS', _number, 8,
               'what running requests get to end when the server is told to stop', 'graceful_timeout'),
        Option('max-requests', 'N', _number, 0, 'replace a worker after so many requests; 0: never', 'max_requests'),
        Option('max-requests-jitter', 'N', _number, 0,
               'and up to so many more, so that not all are replaced at once', 'max_requests_jitter'),
        Option('pid', 'FILE', str, None, 'write the number of the master process to a file', 'pidfile'),
        Option('fd', 'N', _number, None, 'listen on an inherited descriptor in place of HOST:PORT'),
        Option('umask', 'OCTAL', _mask, None,
               'who may not connect to unix:PATH: 0 lets all users, 007 owner and group; default: as it is inherited'),
    ),
    'limits': (
        Option('keep-alive', 'SECONDS', _above_zero, 75,
               'close a connection that is idle for so long; keep it above what the proxy before it has'),
        Option('max-connections', 'N', _number, 0, 'connections of a worker; 0: what its descriptors allow'),
        Option('max-body', 'BYTES', _number, MAX_BODY,
               'larger requests are answered with 413; @raw_environ(max_body=...) has its own'),
    ),
    'web pages': (Option('allow-origin', 'LIST', _origins, None, ALLOW_ORIGIN),),
    'logs': (
        Option('access-log', 'FILE', str, None,
               'a line for each request; - is standard output. USR1 reopens the file', 'accesslog'),
        Option('log-level', 'LEVEL', _level, 'info', f'one of {", ".join(LEVELS)}', 'loglevel'),
    ),
    'TLS and proxies': (
        Option('certfile', 'FILE', _file, None, 'serve HTTPS with this certificate', 'certfile'),
        Option('keyfile', 'FILE', _file, None, 'and this key', 'keyfile'),
        Option('forwarded-allow-ips', 'LIST', _peers, '127.0.0.1,::1',
               'peers whose X-Forwarded-For and -Proto are believed, addresses and networks like 10.0.0.0/8 with '
               'commas between; *: all'),
    ),
}
OPTIONS = tuple(option for group in GROUPS.values() for option in group)


def add_to(parser: ArgumentParser) -> None:
    """Add the options in groups. An option that is not given will not be in the namespace."""
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            group.add_argument(
                f'--{option.name}', metavar=option.metavar, type=option.kind, default=SUPPRESS, help=_help(option))


def _help(option: Option) -> str:
    return option.help if option.default is None else f'{option.help} (default {option.default})'


def resolve(given: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Each option by key: as given, else from the environment, else the default. Raises BadOption, TypeError."""
    for unknown in given.keys() - {option.key for option in OPTIONS}:
        near = get_close_matches(unknown, [option.key for option in OPTIONS], 1)
        hint = f'; {near[0]!r} is one' if near else ''
        raise TypeError(f'serve() got an unexpected keyword argument {unknown!r}{hint}')
    return {option.key: _value(option, given, environment) for option in OPTIONS}


def check_platform(environment: Mapping[str, str]) -> None:
    """What platforms set, whether or not it is taken: gunicorn reads it when it is imported. Raises BadOption."""
    for option in OPTIONS:
        text = environment.get(option.platform)
        if text is not None:
            _read(option, text, option.platform)


def _value(option: Option, given: Mapping[str, Any], environment: Mapping[str, str]) -> Any:
    if option.key in given:
        value = given[option.key]
        return _read(option, value, option.key) if isinstance(value, str) else value
    for variable in (option.variable, option.platform):
        text = environment.get(variable)
        if text:
            return _read(option, text, variable)
    return option.default


def _read(option: Option, text: str, name: str) -> Any:
    try:
        return option.kind(text)
    except ArgumentTypeError as error:
        raise BadOption(f'{name}: {error}') from None
