"""`apiphant dev`: the choice of how lines come: from a terminal, a pipe, `-c`, or not at all.

The console is imported only where there is a terminal, since prompt_toolkit takes 0.2 s.
"""
from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from queue import SimpleQueue
from socket import socket

from .. import address
from ..address import Address
from ..api import product
from ..api.product import Product
from .console import script
from .console.session import started
from .escapes import StreamOut


def run(path: str, place: Address, *, lines: list[str] | None, no_console: bool, poll: float | None,
        plain: bool) -> int:
    """Serve the product in the folder `path` until the lines end, or somebody ends it. Returns the exit status.

    Raises ProductError, AddressError.
    """
    served = product.find(path)
    _take_any_text()
    with address.listen(place) as listener:
        if not no_console and lines is None and sys.stdin.isatty() and sys.stdout.isatty():
            from .console import console  # noqa: PLC0415
            return console.run(served, listener, poll=poll, is_plain=plain)
        if no_console:
            return _serve(served, listener, poll)
        with started(served, listener, StreamOut(sys.stderr), poll) as session:
            return script.run(session, sys.stdin if lines is None else lines)


def _serve(served: Product, listener: socket, poll: float | None) -> int:
    """Until a signal ends it."""
    ends = _signals()
    out = StreamOut(sys.stderr)
    with started(served, listener, out, poll) as session:
        out.say(f'Serving {served.name} on {session.address.url}')
        ends.get()
    return 0


def _signals() -> SimpleQueue[int]:
    """Of the signals that end it. They are caught before anybody is told that it serves, and from then on.

    A handler runs in whatever the main thread does at the moment: an Event that is being waited for would lock it up.
    """
    caught: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: caught.put(number))
    return caught


def _take_any_text() -> None:
    """What the standard streams cannot decode or encode is no error: it is kept when read, and escaped when written."""
    _set_errors(sys.stdin, 'surrogateescape')
    _set_errors(sys.stdout, 'backslashreplace')
    _set_errors(sys.stderr, 'backslashreplace')


def _set_errors(stream: object, errors: str) -> None:
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors=errors)
