"""`apiphant dev`: the parts put together, and the choice of how lines come: from a terminal, a pipe, `-c`, or not at all.

The app is started first, so that it is ready when the rest of this process has been imported: prompt_toolkit takes
0.2 s, which is why a console is imported only where there is a terminal.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from .. import address, product
from ..address import Address
from ..product import Product
from .client import CallError, Reply, post
from .command import Call, Effect, Use, interpret, versions_of
from .supervise import Supervisor
from .watch import Watcher

SETTLE = 0.05  # seconds that log lines of a call have to come before its answer is shown
DEFAULT_VERSION = 'v0'


class Session:
    """A product being served, and what lines can do with it."""

    def __init__(self, found: Product, place: Address, supervisor: Supervisor) -> None:
        self.product = found
        self.address = place
        self.supervisor = supervisor
        self._version = ''

    @property
    def version(self) -> str:
        """What `use` said; else v0, or the first that there is."""
        versions = versions_of(self.supervisor.routes)
        return self._version or (DEFAULT_VERSION if DEFAULT_VERSION in versions or not versions else versions[0])

    def interpret(self, line: str) -> Effect:
        """The effect of a line, already had where it is only the session's. Raises BadLine."""
        if line.strip():
            self.supervisor.settled.wait()
        effect = interpret(line, self.version, self.supervisor.routes)
        if isinstance(effect, Use):
            self._version = effect.version
        return effect

    def call(self, call: Call) -> Reply:
        """Raises CallError."""
        if self.supervisor.is_waiting:
            raise CallError('no answer: the app process does not start; it is tried again when a file is saved')
        return post(self.address, call.path, json.dumps(call.request).encode())

    def settle(self) -> None:
        """Let log lines of what was just answered come first."""
        self.supervisor.settle(SETTLE)


def run(path: str, place: Address, *, lines: list[str] | None, no_console: bool, poll: float | None) -> int:
    """Serve the product in the folder `path` until the lines end, or somebody ends it. Returns the exit status.

    Raises ProductError, AddressError.
    """
    found = product.find(path)
    with address.listen(place) as listener:
        if no_console:
            with started(found, listener, _to_stderr, poll) as session:
                _say_serving(session)
                _wait_for_signal()
            return 0
        if lines is None and sys.stdin.isatty() and sys.stdout.isatty():
            return int(import_module('apiphant.dev.console').run(found, listener, poll))
        with started(found, listener, _to_stderr, poll) as session:
            return int(import_module('apiphant.dev.script').run(session, sys.stdin if lines is None else lines))


@contextmanager
def started(found: Product, listener: socket.socket, write: Callable[[str], None], poll: float | None) -> Iterator[Session]:
    """A session with its app and its watcher running; `write` gets what they have to say."""
    def say(text: str) -> None:
        write(f'{text}\n')
    supervisor = Supervisor(found, listener, write, say)
    try:
        Watcher(found.path, supervisor.look, lambda: supervisor.files, say, poll=poll).start()
        yield Session(found, address.of(listener), supervisor)
    finally:
        supervisor.stop()


def is_colour(stream: object) -> bool:
    """Whether colours go to a stream: a terminal that can, of a person that has not said no."""
    isatty = getattr(stream, 'isatty', None)
    return bool(isatty and isatty() and not os.environ.get('NO_COLOR') and os.environ.get('TERM') != 'dumb')


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _say_serving(session: Session) -> None:
    _to_stderr(f'Serving {session.product.name} on {session.address.url}\n')


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
