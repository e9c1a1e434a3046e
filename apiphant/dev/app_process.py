"""The app process: serves and reloads the product; the console supervises it.

It has been patched by `__main__`. It leaves at once when the lifeline ends, SIGTERM ends it gracefully, SIGUSR1
interrupts the product's code that is running at the moment, SIGINT is the console's.
"""
from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from time import monotonic, process_time
from types import FrameType
from typing import Any

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from .. import logs, product
from ..acceptor import Acceptor
from ..app import Application
from ..connection import Settings
from . import observe
from .control import Channel
from .fixed import Fixed
from .reload import Reloader

GRACEFUL_TIMEOUT = 8.0  # seconds
REST = 250  # a look that found nothing is followed by so many times its CPU time without one that no event asks for


def main(path: str, control: int, listener: int, lifeline: int) -> None:
    """Serve the product in the folder `path` on the socket `listener`, all three numbers being inherited descriptors."""
    get_original('_thread', 'start_new_thread')(_leave_with, (lifeline,))
    logs.setup(is_short=True)
    observe.install()
    found = product.find(path)
    product.add_to_path(found)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # not SIG_IGN: the product's children would inherit that
    signal.signal(signal.SIGUSR1, lambda number, frame: _interrupt(frame, str(found.path) + os.sep))
    AppProcess(found, Channel(socket.socket(fileno=control))).run(socket.socket(fileno=listener))


class AppProcess:
    """Routes, reloader and control channel, put together."""

    def __init__(self, found: product.Product, channel: Channel) -> None:
        self._app = Application({})
        self._channel = channel
        self._reloader = Reloader(found, self._app, self._look_again, self._ask_restart, lambda: self._acceptor.answering)
        self._fixed = Fixed(found, self._look_again)
        self._wanted = Event()  # whether the console wants this app to serve
        self._wake = Event()
        self._saved: set[str] = set()
        self._rested = 0.0  # when it is time for a look that no event asks for

    def run(self, listener: socket.socket) -> None:
        self._acceptor = Acceptor(listener, self._app, Settings())
        gc.freeze()  # so that looking for garbage after a reload takes no longer than the product is large
        self._reloader.start()
        self._fixed.changed()
        self._tell_routes()
        gevent.spawn(self._listen)
        gevent.spawn(self._reload_forever)
        stopped = Event()
        gevent.signal_handler(signal.SIGTERM, stopped.set)
        gevent.wait((self._wanted, stopped), count=1)
        if self._wanted.is_set():
            self._acceptor.start()
            stopped.wait()
            self._acceptor.stop(GRACEFUL_TIMEOUT)

    def _tell_routes(self) -> None:
        self._channel.send(ready=self._reloader.routes, files=[*self._reloader.data, *self._fixed.files], broken=self._reloader.broken)

    def _look_again(self, seconds: float) -> None:
        gevent.spawn_later(seconds, self._wake.set)

    def _ask_restart(self, what: str) -> None:
        self._channel.send(restart=f'{what} changed')

    def _listen(self) -> None:
        for message in self._channel:
            if 'serve' in message:
                self._wanted.set()
            if 'ping' in message:
                self._channel.send(pong=message['ping'])
            if 'look' in message and (message['look'] or monotonic() > self._rested):
                self._saved.update(message['look'])
                self._wake.set()

    def _reload_forever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            saved, self._saved = self._saved, set()
            started = process_time()
            if self._reloader.look(saved):
                self._tell_routes()
            else:
                self._rested = monotonic() + REST * (process_time() - started)
            if changed := self._fixed.changed():
                self._ask_restart(changed)


def _leave_with(lifeline: int) -> None:
    """In a real thread: a handler that spins must not keep the process."""
    os.read(lifeline, 1)
    os._exit(1)


def _interrupt(frame: FrameType | None, folder: str) -> None:
    """Raise in the product's code, if that is what runs: the hub and the server must not be hit."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(folder):
            raise KeyboardInterrupt
        frame = frame.f_back


def arguments(words: list[str]) -> tuple[Any, ...]:
    """What the console gives on the command line."""
    path, *descriptors = words
    return (path, *map(int, descriptors))


def run() -> None:
    main(*arguments(sys.argv[1:]))
