"""`apiphant dev`: the choice of how lines come: from a terminal, a pipe, `-c`, or not at all."""
from __future__ import annotations

import signal
import sys
import threading

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
            with started(found, listener, Stream(sys.stderr), poll) as session:
                Stream(sys.stderr).say(f'Serving {found.name} on {session.address.url}')
                _wait_for_signal()
            return 0
        if lines is None and sys.stdin.isatty() and sys.stdout.isatty():
            from .console import console  # noqa: PLC0415  # prompt_toolkit takes 0.2 s
            return console.run(found, listener, poll=poll, is_plain=plain)
        with started(found, listener, Stream(sys.stderr), poll) as session:
            return script.run(session, sys.stdin if lines is None else lines)


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
