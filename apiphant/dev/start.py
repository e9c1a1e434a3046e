"""`apiphant dev`: the choice of how lines come: from a terminal, a pipe, `-c`, or not at all."""
from __future__ import annotations

import signal
import sys
from queue import SimpleQueue

from .. import address
from ..address import Address
from ..api import product
from .console import script
from .console.session import _take_any_text, started
from .gate import Stream


def run(path: str, place: Address, *, lines: list[str] | None, no_console: bool, poll: float | None, plain: bool) -> int:
    """Serve the product in the folder `path` until the lines end, or somebody ends it. Returns the exit status.

    Raises ProductError, AddressError.
    """
    found = product.find(path)
    _take_any_text()
    with address.listen(place) as listener:
        if no_console:
            ends = _signals()
            with started(found, listener, Stream(sys.stderr), poll) as session:
                Stream(sys.stderr).say(f'Serving {found.name} on {session.address.url}')
                ends.get()
            return 0
        if lines is None and sys.stdin.isatty() and sys.stdout.isatty():
            from .console import console  # noqa: PLC0415  # prompt_toolkit takes 0.2 s
            return console.run(found, listener, poll=poll, is_plain=plain)
        with started(found, listener, Stream(sys.stderr), poll) as session:
            return script.run(session, sys.stdin if lines is None else lines)


def _signals() -> SimpleQueue[int]:
    """Of the signals that end it. They are caught before anybody is told that it serves, and from then on.

    A handler runs in whatever the main thread does at the moment: an Event that is being waited for would lock it up.
    """
    caught: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: caught.put(number))
    return caught
