"""The app process: serves and reloads the product; the console supervises it.

It has been patched by `__main__`. It leaves at once when the lifeline ends, SIGTERM ends it gracefully, SIGUSR1
interrupts the product's code that is running at the moment, SIGINT is the console's.
"""
from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from time import monotonic, process_time
from types import FrameType
from typing import Any

import gevent
from gevent.event import Event

from ... import logs, tracebacks
from ...api import origin, product
from ...api.application import Application
from ...api.origin import Origins
from ...api.request import convert
from ...background.run import NoTask, run_named
from ...background.tasks import tasks
from ...http.acceptor import Acceptor
from ...http.settings import Settings
from ...threads import leave_with_lifeline
from ...words import sentence
from ..control import Channel
from ..reload import side_effects
from ..reload.reloader import Reloader
from ..reload.restarts import Fixed
from . import debug
from .calls import Calls
from .evaluate import Evaluator

GRACEFUL_TIMEOUT = 8.0  # seconds
NICE = 5  # where somebody types beside it: keys come first when the machine is busy
REST = 250  # a look that found nothing is followed by so many times its CPU time without one that no event asks for

log = logging.getLogger(__name__)


def main(path: str, control: int, listener: int, lifeline: int, terminal: int) -> None:
    """Serve the product in the folder `path` on the socket `listener`; the numbers are inherited descriptors, -1 for no terminal."""
    leave_with_lifeline(lifeline)
    logs.setup(is_short=True)
    side_effects.install()
    found = product.find(path)
    product.add_to_path(found)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # not SIG_IGN: the product's children would inherit that
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the console starts this process without
    signal.signal(signal.SIGUSR1, lambda number, frame: _interrupt(frame, str(found.path) + os.sep))
    process = AppProcess(found, Channel(socket.socket(fileno=control)), terminal)
    if terminal >= 0:
        os.nice(NICE)
    process.run(socket.socket(fileno=listener))


def _origins() -> Origins:
    """As the console's process was told, and checked."""
    hosts = os.environ.get(origin.HOST_VARIABLE, '')
    return Origins(os.environ.get(origin.VARIABLE, ''), hosts, allows_local=True)


class AppProcess:
    """Routes, reloader and control channel, put together."""

    def __init__(self, found: product.Product, channel: Channel, terminal: int) -> None:
        self._product = found
        self._app = Application({}, _origins(), explains=True)
        self._channel = channel
        self._terminal = debug.Terminal(channel, terminal)
        self._evaluator = Evaluator(found.name)
        self._calls = Calls(lambda number: channel.send(served=number), lambda: self._app.routes)
        self._reloader = Reloader(found, self._app, self._look_again, self._ask_restart, lambda: self._acceptor.answering)
        self._fixed = Fixed(found, self._look_again)
        self._wanted = Event()  # whether the console wants this app to serve
        self._wake = Event()
        self._saved: set[str] = set()
        self._rested = 0.0  # when it is time for a look that no event asks for

    def run(self, listener: socket.socket) -> None:
        self._acceptor = Acceptor(listener, self._app, Settings(access=self._calls.note))
        debug.install(self._terminal)
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
            if 'tty' in message:
                self._terminal.granted(message['tty'])
            if 'ask' in message:
                gevent.spawn(self._answer, message)
            if 'ping' in message:
                self._channel.send(pong=message['ping'])
            if 'look' in message and (message['look'] or monotonic() > self._rested):
                self._saved.update(message['look'])
                self._wake.set()

    def _answer(self, message: dict[str, Any]) -> None:
        try:
            text, is_failed = QUESTIONS[message['what']](self, message), False
        except NoTask as error:
            text, is_failed = sentence(str(error)), True
        except TaskFailed:
            text, is_failed = '', True
        except BaseException as error:
            text, is_failed = tracebacks.format_error(error), True
        self._channel.send(answer=message['ask'], text=text, failed=is_failed)

    def _evaluate(self, message: dict[str, Any]) -> str:
        return self._evaluator.evaluate(message['text'], convert(message['last']) if isinstance(message['last'], dict) else message['last'])

    def _list_tasks(self, message: dict[str, Any]) -> str:
        return '\n'.join(f'{task.name} {task.schedule}' for task in tasks()) or 'There are no background tasks.'

    def _run_task(self, message: dict[str, Any]) -> str:
        """Its log lines tell how it went."""
        module = sys.modules.get(f'{self._product.name}.api.background')
        if not run_named(message['name'], getattr(module, 'on_error', None)):
            raise TaskFailed
        return ''

    def _set_level(self, message: dict[str, Any]) -> str:
        logging.getLogger().setLevel(message['level'].upper())
        return ''

    def _reload_forever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            saved, self._saved = self._saved, set()
            try:
                self._look(saved)
            except Exception:
                log.exception('Reloading failed; the next save is tried again:')

    def _look(self, saved: set[str]) -> None:
        started = process_time()
        if self._reloader.look(saved):
            self._tell_routes()
        else:
            self._rested = monotonic() + REST * (process_time() - started)
        if changed := self._fixed.changed():
            self._ask_restart(changed)


class TaskFailed(Exception):
    """A task was run and failed; the log says why."""


QUESTIONS: dict[str, Callable[[AppProcess, dict[str, Any]], str]] = {
    'py': AppProcess._evaluate, 'tasks': AppProcess._list_tasks, 'run': AppProcess._run_task, 'log': AppProcess._set_level}


def _interrupt(frame: FrameType | None, folder: str) -> None:
    """Raise in the product's code, if that is what runs: the hub and the server must not be hit."""
    while frame is not None:
        if frame.f_code.co_filename.startswith((folder, '<py>')):
            raise KeyboardInterrupt
        frame = frame.f_back


def arguments(words: list[str]) -> tuple[Any, ...]:
    """What the console gives on the command line."""
    path, *descriptors = words
    return (path, *map(int, descriptors))


def run() -> None:
    main(*arguments(sys.argv[1:]))
