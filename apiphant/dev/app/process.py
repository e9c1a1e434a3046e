"""The app process: serves and reloads the product; the console supervises it.

It has been patched by `__main__`. It leaves at once when the lifeline ends, SIGTERM ends it gracefully, SIGUSR1
interrupts the product's code that is running at the moment, SIGINT is the console's.
"""
from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Collection, Mapping
from types import FrameType
from typing import Any

import gevent
from gevent.event import AsyncResult, Event

from ... import logs, tracebacks
from ...api import origin, product
from ...api.application import Application
from ...api.origin import Origins
from ...api.public import Public
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
from ..reload.restarts import RestartFiles
from . import debug, standby
from .calls import Calls
from .evaluate import Evaluator

GRACEFUL_TIMEOUT = 8.0  # seconds
NICE = 5  # where somebody types beside it: keys come first when the machine is busy
TELLING = 1.0  # seconds after which the console knows of files that calls have read

log = logging.getLogger(__name__)


def main(path: str, control: int, listener: int, lifeline: int, terminal: int, begin: str = '') -> None:
    """Serve the product in the folder `path` on the socket `listener`.

    The numbers are inherited descriptors, -1 for no terminal. `begin` is JSON that says how; without it, the console
    says so later, and until then this is a standby.
    """
    leave_with_lifeline(lifeline)
    logs.setup(is_short=True)
    side_effects.install()
    found = product.find(path)
    product.add_to_path(found)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # not SIG_IGN: the product's children would inherit that
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})  # as it was started
    process = AppProcess(found, Channel(socket.socket(fileno=control)), terminal)
    signal.signal(signal.SIGUSR1, lambda number, frame: process.interrupt(frame))
    if terminal >= 0:
        os.nice(NICE)
    process.run(socket.socket(fileno=listener), json.loads(begin or 'null'))


def _origins() -> Origins:
    """As the console's process was told, and checked."""
    hosts = os.environ.get(origin.HOST_VARIABLE, '')
    return Origins(os.environ.get(origin.VARIABLE, ''), hosts, allows_local=True)


class AppProcess:
    """Routes, reloader and control channel, put together."""

    def __init__(self, found: product.Product, channel: Channel, terminal: int) -> None:
        self._product = found
        self._app = Application({}, _origins(), Public(found.public, 0), explains=True)
        self._channel = channel
        self._terminal = debug.Terminal(channel, terminal)
        self._evaluator = Evaluator(found.name)
        self._calls = Calls(lambda number: channel.send(served=number), lambda: self._app.routes)
        self._reloader = Reloader(
            found, self._app, self._look_again, self._ask_restart, lambda: self._acceptor.answering)
        self._restart_files = RestartFiles(found, self._look_again)
        self._packages: AsyncResult[list[str]] = AsyncResult()  # to import as a standby
        self._begun: AsyncResult[dict[str, Any]] = AsyncResult()
        self._told: list[str] = []  # packages
        self._told_files: list[str] = []
        self._late_reads = 0  # when files were told
        self._wanted = Event()  # whether the console wants this app to serve
        self._stopped = Event()
        self._patience = GRACEFUL_TIMEOUT
        self._wake = Event()
        self._saved: set[str] = set()
        self._changed: set[str] | None = set()  # None for any path

    def run(self, listener: socket.socket, begin: dict[str, Any] | None) -> None:
        self._acceptor = Acceptor(listener, self._app, Settings(access=self._calls.note))
        debug.install(self._terminal)
        gevent.spawn(self._listen)
        begin = begin or self._stand_by()
        gc.freeze()  # so that looking for garbage after a reload takes no longer than the product is large
        if not begin['trial']:
            self._reloader.say_errors()
        self._reloader.start(begin['learned'])
        self._restart_files.changed()
        self._tell_ready()
        self._tell_files()
        gevent.spawn(self._reload_forever)
        gevent.signal_handler(signal.SIGTERM, self._stopped.set)
        gevent.wait((self._wanted, self._stopped), count=1)
        if self._wanted.is_set():
            self._serve()

    def _stand_by(self) -> dict[str, Any]:
        gevent.wait((self._packages, self._begun), count=1)
        if self._packages.ready():
            standby.warm(self._packages.get() or (), self._rest)
        known = standby.stamps()
        begin: dict[str, Any] = self._begun.get() or {}
        if standby.is_outdated(known):
            standby.begin_anew(begin)
        return begin

    def _rest(self, seconds: float) -> bool:
        gevent.wait((self._begun,), timeout=seconds)
        return self._begun.ready()

    def _serve(self) -> None:
        """Until it is to stop. What has begun then ends in its time."""
        self._acceptor.start()
        self._reloader.say_errors()
        self._stopped.wait()
        self._channel.send(stopped=1)
        if not self._acceptor.stop(self._patience, is_taken_over=self._patience > GRACEFUL_TIMEOUT):
            log.warning('Calls that had begun before were cut after %g s', self._patience)

    def interrupt(self, frame: FrameType | None) -> None:
        """An import that takes too long, or else what the product's code does."""
        if not self._reloader.patience.interrupt():
            _interrupt(frame, str(self._product.path) + os.sep)

    def _tell_ready(self) -> None:
        reloader = self._reloader
        packages = standby.packages(self._product.name, side_effects.modules_before_changes())
        news = {'packages': packages} if packages != self._told else {}
        self._told = packages
        self._channel.send(
            ready=reloader.routes, broken=reloader.broken, dead=reloader.dead, reports=reloader.reports,
            clashes=reloader.clashes, holds=reloader.holds, **news)

    def _tell_files(self) -> None:
        self._late_reads = self._reloader.late_reads
        files = [*self._reloader.data, *self._restart_files.files]
        if files != self._told_files:
            self._told_files = files
            self._channel.send(files=files)

    def _look_again(self, seconds: float) -> None:
        gevent.spawn_later(seconds, self._wake.set)

    def _ask_restart(self, why: str, learned: Mapping[str, str], *, in_doubt: Collection[str] = (),
                     is_quiet: bool = False, is_outside: bool = False) -> None:
        self._channel.send(
            restart=why, learned=learned, doubt=list(in_doubt), quiet=is_quiet, outside=is_outside)

    def _listen(self) -> None:
        for message in self._channel:
            for what, value in message.items():
                if do := MESSAGES.get(what):
                    do(self, value)
            if 'ask' in message:
                gevent.spawn(self._answer, message)

    def _leave(self, seconds: float) -> None:
        self._patience = seconds
        self._stopped.set()

    def _note_saved(self, paths: list[str]) -> None:
        self._saved.update(paths)
        self._wake.set()

    def _note_changed(self, paths: list[str] | None) -> None:
        if paths is None:
            self._changed = None
        elif self._changed is not None:
            self._changed.update(paths)

    def _judge(self, reports: dict[str, str]) -> None:
        self._reloader.judged(reports)
        self._channel.send(broken=self._reloader.broken, dead=self._reloader.dead)

    def _catch_up(self, saved: list[str]) -> None:
        try:
            self._reloader.look(saved)
        except Exception:
            log.exception('Reloading failed; the next save is tried again:')
        self._tell_ready()

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
        last = message['last']
        return self._evaluator.evaluate(message['text'], convert(last) if isinstance(last, dict) else last)

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
        while not self._stopped.is_set():
            if not self._wake.wait(TELLING):
                if self._late_reads != self._reloader.late_reads:
                    self._tell_files()
                continue
            self._wake.clear()
            saved, self._saved = self._saved, set()
            changed, self._changed = self._changed, set()
            try:
                self._look(saved, changed)
            except Exception:
                log.exception('Reloading failed; the next save is tried again:')

    def _look(self, saved: set[str], changed: set[str] | None) -> None:
        if self._reloader.look(saved, changed):
            self._tell_ready()
        if outside := self._restart_files.changed():
            self._ask_restart(f'{outside} changed', {}, is_outside=True)
        self._tell_files()


class TaskFailed(Exception):
    """A task was run and failed; the log says why."""


MESSAGES: dict[str, Callable[[AppProcess, Any], object]] = {
    'warm': lambda app, names: app._packages.set(names),
    'begin': lambda app, how: app._begun.set(how),
    'serve': lambda app, _: app._wanted.set(),
    'leave': AppProcess._leave,
    'judged': lambda app, reports: gevent.spawn(app._judge, reports),
    'tty': lambda app, is_granted: app._terminal.granted(is_granted),
    'ping': lambda app, number: app._channel.send(pong=number),
    'look': AppProcess._note_saved,
    'changed': AppProcess._note_changed,
    'catch_up': lambda app, saved: gevent.spawn(app._catch_up, saved)}
QUESTIONS: dict[str, Callable[[AppProcess, dict[str, Any]], str]] = {
    'py': AppProcess._evaluate, 'tasks': AppProcess._list_tasks,
    'run': AppProcess._run_task, 'log': AppProcess._set_level}


def _interrupt(frame: FrameType | None, folder: str) -> None:
    """Raise in the product's code, if that is what runs: the hub and the server must not be hit."""
    while frame is not None:
        if frame.f_code.co_filename.startswith((folder, '<py>')):
            raise KeyboardInterrupt
        frame = frame.f_back


def arguments(words: list[str]) -> tuple[Any, ...]:
    """What the console gives on the command line."""
    path, control, listener, lifeline, terminal, *begin = words
    return (path, *map(int, (control, listener, lifeline, terminal)), *begin)


def run() -> None:
    main(*arguments(sys.argv[1:]))
