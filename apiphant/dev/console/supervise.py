"""The app process seen from the console: started, told, interrupted, started again when it dies.

Threads: for each app, one reads what it prints, and one its messages, and starts it again; others come and go, to restart
it and to see whether an interrupt worked. The listening socket stays here, so a call that comes while no app is there waits for the next one.
"""
from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable
from itertools import count
from time import strftime
from typing import Any, Protocol

from ...api.product import Product
from ..line.route_index import Routes
from .child import App

PROMPTLY = 0.15  # seconds in which an app answers that runs nothing for long
START_TIMEOUT = 2.0  # seconds that one takes that starts
ANSWER_TIMEOUT = 2.0  # seconds that an interrupted app has to answer before it is killed


class Lender(Protocol):
    """Who has the terminal."""

    def lend(self, granted: Callable[[], None]) -> None:
        """Leave the terminal alone, and say so when that is done."""

    def take_back(self) -> None:
        """It is free again."""


class Supervisor:
    """Keeps an app process. `write(text)` gets whole lines that it prints, `say(text)` a word of the supervisor's own."""

    def __init__(self, product: Product, listener: socket.socket, write: Callable[[str], None], say: Callable[[str], None],
                 lender: Lender | None = None) -> None:
        self.routes = Routes([])
        self.last_reload = ''  # when that was, in words
        self.on_reload: Callable[[], object] = lambda: None
        self.served = 0  # calls, by the app, of others than the console
        self.files: frozenset[str] = frozenset()  # whose saving counts beside that of Python files
        self.ready = threading.Event()
        self.settled = threading.Event()  # ready, or known not to become it
        self.broken: frozenset[str] = frozenset()  # modules
        self._product = product
        self._listener = listener
        self._write = write
        self._say = say
        self._changed = threading.Event()
        self._answered = threading.Event()
        self._interrupting = threading.Lock()
        self.is_waiting = False  # for a change, since the app died while it started
        self._leaving = False
        self._lender = lender
        self._borrower: App | None = None
        self._answers: dict[int, tuple[str, bool]] = {}
        self._has_answer = threading.Condition()
        self._numbers = count()
        self._restarting = threading.Lock()
        self._is_restart_due = False  # one waits for the one before it
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # inherited: an app that starts has no handler yet, and should not die of it
        self._keep(self._start())

    def look(self, saved: Iterable[str]) -> None:
        """The tree may have changed; these paths were saved whole."""
        paths = list(saved)
        if paths:
            self._changed.set()
        self._app.channel.send(look=paths)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what keeps the app from answering; replace it if it does not answer then either.

        An app that answers runs nothing that has to be stopped: others' calls go on.
        """
        if not self.is_lent and self._interrupting.acquire(blocking=False):
            threading.Thread(target=self._interrupt, args=(self._app,), name='interrupt', daemon=True).start()

    def ask(self, what: str, **details: object) -> tuple[str, bool]:
        """The app's answer to a question, and whether it failed at it; '' if it died over it."""
        app, number = self._app, next(self._numbers)
        app.channel.send(ask=number, what=what, **details)
        with self._has_answer:
            self._has_answer.wait_for(lambda: number in self._answers or app is not self._app)
            return self._answers.pop(number, ('', True))

    @property
    def is_lent(self) -> bool:
        """Whether a debugger has the terminal."""
        return self._borrower is not None

    def settle(self, seconds: float) -> None:
        """Wait until what the app has printed so far is written, at most so long."""
        self._app.printed.settle(seconds)

    def stop(self) -> None:
        """End the app and see its last lines written."""
        self._leaving = True
        self._app.stop()

    def restart(self, why: str) -> None:
        """Start a new app beside the one that serves, which is ended when the new one is ready. Returns at once."""
        self._say(f'Restarting: {why}')
        if self._is_restart_due:
            return
        self._is_restart_due = True
        threading.Thread(target=self._restart, name='restart', daemon=True).start()

    def _restart(self) -> None:
        with self._restarting:
            self._is_restart_due = False  # what changes from here on is for the next
            app = self._start()
            message = next((message for message in app.channel if 'ready' in message), None)
            if message is None:
                self._say(f'The new app process {app.wait()} while it started. The one before goes on.')
            elif not self.broken.issuperset(message['broken']):
                self._say('The app process before goes on, since the new one is broken.')
                app.leave()
            else:
                with self._has_answer:  # so that none is kept in place of the one before when that dies just now
                    before = self._app
                    self._keep(app)
                    self._receive(message)
                before.leave()

    def _start(self) -> App:
        return App(self._product, self._listener, self._write, self._lender is not None)

    def _keep(self, app: App) -> None:
        with self._has_answer:
            self._app = app
            self._has_answer.notify_all()
        threading.Thread(target=self._follow, args=(app,), name='follow', daemon=True).start()

    def _follow(self, app: App) -> None:
        for message in app.channel:
            if 'tty' in message:
                self._lend_to(app, message['tty'])
            elif app is self._app:
                self._receive(message)
        self._lend_to(app, 'release')
        if self._serves(app):
            self._replace(app)

    def _lend_to(self, app: App, what: str) -> None:
        if what == 'release':
            if self._lender and app is self._borrower:
                self._borrower = None
                self._lender.take_back()
        elif self._lender and not self._borrower:
            self._borrower = app
            self._lender.lend(lambda: app.channel.send(tty=True))
        else:
            app.channel.send(tty=False)

    def _receive(self, message: dict[str, Any]) -> None:
        if 'pong' in message:
            self._answered.set()
        if 'served' in message:
            self.served = message['served']
        if 'answer' in message:
            with self._has_answer:
                self._answers[message['answer']] = message['text'], message['failed']
                self._has_answer.notify_all()
        if 'restart' in message:
            self.restart(message['restart'])
        if 'ready' in message:
            self.routes = Routes(message['ready'])
            self.files = frozenset(message['files'])
            self.broken = frozenset(message['broken'])
            if self.ready.is_set():
                self.last_reload = strftime('reloaded %H:%M:%S')
                self.on_reload()
            self._app.channel.send(serve=1)
            self.is_waiting = False
            self.ready.set()
            self.settled.set()

    def _serves(self, app: App) -> bool:
        """Whether no other has taken its place, and one is needed."""
        return app is self._app and not self._leaving

    def _replace(self, app: App) -> None:
        """An app that never was ready would only die again: that waits for a change."""
        how = app.wait()
        if self.ready.is_set():
            self._say(f'The app process {how}. Starting it again.')
        else:
            self._say(f'The app process {how} while it started. It is started again when a file is saved.')
            self._wait_for_change()
        if self._serves(app):
            self._take_place_of(app, self._start())

    def _wait_for_change(self) -> None:
        self._changed.clear()
        self.is_waiting = True
        self.settled.set()
        self._changed.wait()
        self.is_waiting = False

    def _take_place_of(self, dead: App, app: App) -> None:
        """Unless a restart has put another there meanwhile."""
        with self._has_answer:
            is_needed = self._serves(dead)
            if is_needed:
                self.ready.clear()
                self.settled.clear()
                self._keep(app)
        if not is_needed:
            app.leave()

    def _interrupt(self, app: App) -> None:
        try:
            if self._answers_within(app, PROMPTLY if self.ready.is_set() else START_TIMEOUT):
                return
            app.signal(signal.SIGUSR1)
            if not self._answers_within(app, ANSWER_TIMEOUT) and app is self._app and self.ready.is_set():
                self._say(f'The app process did not answer for {ANSWER_TIMEOUT:g} s.')
                app.signal(signal.SIGKILL)
        finally:
            self._interrupting.release()

    def _answers_within(self, app: App, seconds: float) -> bool:
        self._answered.clear()
        app.channel.send(ping=1)
        return self._answered.wait(seconds)
