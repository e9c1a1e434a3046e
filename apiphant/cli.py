"""The commands `apiphant` and `apiphant-background`: arguments to one call.

Commands patch the process here, except for the server: its workers patch themselves when they have been forked. What a
command needs is imported when it is known which one it is. So the console does not pay for gevent (0.17 s), and
production never sees the console.
"""
from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import NoReturn, ParamSpec

from . import __version__, address, logs
from .address import Address, AddressError
from .api import origin
from .errors import UserError

Arguments = ParamSpec('Arguments')

USAGE = 2
FAILED = 1
MANY_SECONDS = 86400
PORTS = 65536
PUBLIC = '0.0.0.0'
LOCAL = '127.0.0.1'

SERVE_EPILOG = """commands:
  apiphant dev PRODUCT      development console: serves, reloads on save, calls from a prompt
  apiphant new PRODUCT      make a product: an API with tests, and what it takes to deploy it
  apiphant check PRODUCT    import everything and print the routes
  apiphant openapi PRODUCT  print what the actions take and answer, as OpenAPI
  "apiphant COMMAND --help" tells more. A product that is called like a command is given as ./dev

environment:
  APIPHANT_WORKERS and so on: each option of the server has a variable
  PORT, WEB_CONCURRENCY     what platforms set: where to listen, and how many workers
  NO_COLOR                  no colours in the console
  APIPHANT_STYLE            its colours: the name of a pygments style
"""


UNKNOWN = 'unrecognized arguments: '
WORD = re.compile('--[a-z-]+|-[a-z]')
PORT = 'the port stands after the product: {} PRODUCT 9000'
HOST = 'the address stands after the product: {} PRODUCT 0.0.0.0:80'
RELOAD = 'apiphant dev PRODUCT reloads on save and shows what fails'
WORKERS = 'it is --workers 2'
HINTS = {  # words of gunicorn, uvicorn and flask
    '--port': PORT, '-p': PORT, '--host': HOST, '-h': HOST, '-b': HOST, '--bind': HOST, '--uds': HOST,
    '-w': WORKERS, '--threads': WORKERS, '-t': 'it is --timeout 60', '--reload': RELOAD, '--debug': RELOAD,
    '--ssl-certfile': 'it is --certfile FILE', '--ssl-keyfile': 'it is --keyfile FILE',
    '-c': 'options are given as words or as variables APIPHANT_...',
    '--config': 'options are variables APIPHANT_..., too',
}


class Parser(ArgumentParser):
    """A usage error is one line."""

    def error(self, message: str) -> NoReturn:
        hint = _hint(self.prog, message)
        self.exit(USAGE, f'{self.prog}: {message}; {hint}see {self.prog} --help\n')


def _hint(program: str, message: str) -> str:
    """What to write in place of a word that other servers know; '' for others."""
    said, _, words = message.partition(UNKNOWN)
    found = WORD.match(words)
    hint = HINTS.get(found[0], '') if found and not said else ''
    return f'{hint.format(program)}; ' if hint else ''


def main(arguments: list[str] | None = None) -> int:
    """The command `apiphant`. Returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    command = COMMANDS.get(words[0]) if words else None
    return command(words[1:]) if command else _serve(words)


def background(arguments: list[str] | None = None) -> int:
    """The command `apiphant-background`. Returns the exit status."""
    parser = _parser('apiphant-background', 'Run the background tasks of a product, on this machine or with others.')
    _add_background_options(parser)
    given = parser.parse_args(arguments)
    if given.engine and given.one_by_one:
        parser.error('argument --one-by-one: not allowed with --engine')
    _patch()
    from .background import commands  # noqa: PLC0415
    if given.list:
        return _run(commands.show, given.product, engine=given.engine, state=given.state, as_json=given.json)
    if given.run:
        return _run(commands.run_now, given.product, given.run)
    if given.health:
        return _run(commands.health, given.product, state=given.state)
    if given.engine:
        return _run(commands.run_with_others, given.product, given.engine, state=given.state)
    return _run(commands.run, given.product, state=given.state, one_by_one=given.one_by_one)


def _add_background_options(parser: Parser) -> None:
    parser.add_argument(
        '--engine', metavar='URL', default=os.environ.get('APIPHANT_ENGINE'),
        help='spread the tasks over all machines that say so: redis://HOST:PORT/DB; '
             'default: the variable APIPHANT_ENGINE')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--one-by-one', action='store_true', help='never run two tasks at the same time')
    what.add_argument(
        '--list', action='store_true', help='show the tasks, when each ran last and when it is due, and leave')
    what.add_argument('--run', metavar='NAME', help='run a task once, and leave; exit 1 if it failed')
    what.add_argument('--health', action='store_true', help='exit 0 if the runner of this product is alive, 1 if not')
    parser.add_argument('--json', action='store_true', help='with --list, as JSON')
    parser.add_argument(
        '--state', metavar='FOLDER',
        help='where to keep the last runs and the ticks; default: XDG_STATE_HOME, or ~/.local/state')


def _serve(words: list[str]) -> int:
    from .server import options  # noqa: PLC0415
    parser = _parser('apiphant', 'Serve a product: the folder of a Python package with an "api" package in it.')
    parser.epilog = SERVE_EPILOG
    _add_address(parser, PUBLIC)
    parser.add_argument('--version', action='version', version=f'apiphant {__version__}')
    options.add_to(parser)
    given = vars(parser.parse_args(words))
    if _run(options.check_platform, os.environ):
        return FAILED
    from .server.start import serve  # noqa: PLC0415
    return _run(serve, given.pop('product'), given.pop('address'), **given)


def _check(words: list[str]) -> int:
    parser = _parser(
        'apiphant check',
        'Import everything, print the routes and what was passed over; exit 1 if something is broken.')
    product = parser.parse_args(words).product
    _patch()
    from .check import check  # noqa: PLC0415
    return _run(check, product)


def _dev(words: list[str]) -> int:
    parser = _parser('apiphant dev', 'Serve a product, reload it on save, and call it from a prompt.')
    _add_address(parser, LOCAL)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        '-c', dest='lines', metavar='LINE', action='append',
        help='run a line and leave, exit 1 if a call failed; repeatable')
    how.add_argument('--no-console', action='store_true', help='serve and reload until signalled, no prompt')
    parser.add_argument(
        '--poll', metavar='SECONDS', type=_positive,
        help='look for changes so often, where the file system tells of none')
    _add_pages(parser)
    parser.add_argument('--plain', action='store_true', help='no colours and no toolbar')
    given = vars(parser.parse_args(words))
    for variable in (origin.VARIABLE, origin.HOST_VARIABLE):
        os.environ[variable] = given.pop(variable)  # the app process has them from there
    from .dev.start import run  # noqa: PLC0415
    return _run(run, given.pop('product'), given.pop('address'), **given)


def _openapi(words: list[str]) -> int:
    parser = _parser(
        'apiphant openapi',
        'Print what the actions take and answer, as an OpenAPI 3.1 document: fields as the handlers name them to\n'
        'field(), examples from api/test*.py.')
    parser.add_argument(
        '--check', metavar='FILE', help='print only how the product differs from this document, exit 1 if it does')
    given = parser.parse_args(words)
    _patch()
    from .openapi.command import openapi  # noqa: PLC0415
    return _run(openapi, given.product, given.check)


def _new(words: list[str]) -> int:
    parser = _parser(
        'apiphant new',
        'Make a product: an API with tests, and what it takes to deploy it. The last part of its path is its name.')
    from .new.scaffold import new  # noqa: PLC0415
    return _run(new, parser.parse_args(words).product)


COMMANDS: dict[str, Callable[[list[str]], int]] = {'check': _check, 'dev': _dev, 'new': _new, 'openapi': _openapi}


def _parser(name: str, description: str) -> Parser:
    parser = Parser(prog=name, description=description, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument('product', metavar='PRODUCT', help='path of the product')
    return parser


def _add_address(parser: Parser, host: str) -> None:
    parser.add_argument(
        'address', metavar='HOST:PORT', nargs='?', type=_address, default=_default_address(parser, host),
        help='where to listen, also [IPV6]:PORT, PORT or unix:PATH; port 0 is any free one; '
             f'default {host}:$PORT if there is that variable, else {address.DEFAULT}')


def _default_address(parser: Parser, host: str) -> Address:
    """Platforms say in PORT where they reach a server."""
    port = os.environ.get('PORT')
    if not port:
        return address.parse(address.DEFAULT)
    if not (port.isascii() and port.isdecimal() and int(port) < PORTS):
        parser.error(f'the variable PORT is {port!r}, no port')
    return Address(host, int(port))


def _add_pages(parser: Parser) -> None:
    parser.add_argument(
        '--allow-origin', metavar='LIST', dest=origin.VARIABLE, default=os.environ.get(origin.VARIABLE, ''),
        type=_checked_by(origin.check_list), help=f'{origin.ALLOW_ORIGIN}; pages of this machine always may')
    parser.add_argument(
        '--allow-host', metavar='LIST', dest=origin.HOST_VARIABLE, default=os.environ.get(origin.HOST_VARIABLE, ''),
        type=_checked_by(origin.check_hosts),
        help='names that the server may be asked as, besides addresses and localhost, with commas between')


def _checked_by(check: Callable[[str], str]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        try:
            return check(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None
    return checked


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < MANY_SECONDS:
        raise ArgumentTypeError(f'{text!r} is no number of seconds')
    return number


def _address(text: str) -> Address:
    try:
        return address.parse(text)
    except AddressError as error:
        raise ArgumentTypeError(str(error)) from None


def _run(
        call: Callable[Arguments, int | None], *arguments: Arguments.args, **options: Arguments.kwargs) -> int:
    """Call it. Returns the exit status. Its error is told in one line, after the tracebacks of the user's own code."""
    try:
        return call(*arguments, **options) or 0
    except UserError as error:
        if error.tracebacks:
            print(error.tracebacks, file=sys.stderr)
        print(f'apiphant: {error}', file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return FAILED


def _patch() -> None:
    """Before anything is imported that has to be patched."""
    from . import patched  # noqa: F401, PLC0415
    logs.setup()


if __name__ == '__main__':
    sys.exit(main())
