"""The app process seen from the console: started, told, started again when it dies.

Threads: for each app, one reads what it prints, and one its messages, and starts it again. Others come and go, to
restart it and to see whether an interrupt worked. The listening socket stays here: a call that comes while no app
accepts waits in its queue for the next one.
"""
from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Collection
from typing import Any

from ...api.product import Product
from .app_state import AppState
from .apps import Apps
from .child import App
from .interrupter import Interrupter
from .lending import Lender, Lending
from .order import Order
from .place import Place
from .restarter import Restarter


class Supervisor:
    """Keeps an app process. `write(text)` gets whole lines that it prints, `say(text)` those of the supervisor."""

    def __init__(self, product: Product, listener: socket.socket, write: Callable[[str], None],
                 say: Callable[[str], None], lender: Lender | None = None) -> None:
        self.state = AppState()
        self.on_reload: Callable[[], object] = lambda: None
        self._say = say
        self._saved = threading.Event()
        self._is_leaving = False
        self._lending = Lending(lender)
        self._apps = Apps(product, listener, write, lender is not None)
        self._place = Place(self.state, self._follow)
        self._interrupter = Interrupter(self._place, self.state, say)
        self._restarter = Restarter(self._place, self.state, self._apps, say, self._receive)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # inherited: an app that starts has no handler yet
        self._place.take(self._apps.first())

    def look(self, saved: Collection[str], changed: Collection[str] | None) -> None:
        """The first paths were saved whole, the others may be half written; None for any path."""
        paths = [*saved, *(changed or ())]
        if paths:
            self._saved.set()
        with self._place.lock:
            self._restarter.note_saved(paths)
            self._place.app.channel.send(look=list(saved), changed=None if changed is None else list(changed))
        self._restarter.give_up_endless()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what keeps the app from answering, unless a debugger has the terminal."""
        if not self.is_lent:
            self._interrupter.interrupt()

    def ask(self, what: str, **details: object) -> tuple[str, bool]:
        """The app's answer to a question, and whether it failed at it; '' if it died over it."""
        with self._place.lock:
            number, generation = self.state.question()
            self._place.app.channel.send(ask=number, what=what, **details)
        return self.state.answer(number, generation)

    def restart(self, order: Order) -> None:
        """Have a fresh app take over. Returns at once."""
        self._restarter.restart(order)

    @property
    def is_lent(self) -> bool:
        """Whether a debugger has the terminal."""
        return self._lending.is_lent

    def settle(self, seconds: float) -> None:
        """Wait until what the app has printed so far is written, at most so long."""
        self._place.app.printed.settle(seconds)

    def stop(self) -> None:
        """End the apps and see their last lines written."""
        self._is_leaving = True
        self._restarter.stop()
        self._apps.stop()
        self._place.app.stop()

    # What an app says

    def _follow(self, app: App) -> None:
        for message in app.channel:
            if 'tty' in message:
                self._lend(app, message['tty'])
            elif 'stopped' in message:
                app.stopped.set()
            elif app is self._place.app:
                self._receive(message)
        app.stopped.set()
        self._lending.release(app)
        if self._is_missing(app):
            self._replace(app)

    def _lend(self, app: App, what: str) -> None:
        if what == 'release':
            self._lending.release(app)
        else:
            self._lending.ask(app)

    def _receive(self, message: dict[str, Any]) -> None:
        if 'pong' in message:
            self._interrupter.note_answer()
        if 'served' in message:
            self.state.served = message['served']
        if 'files' in message:
            self.state.files = frozenset(message['files'])
        if 'answer' in message:
            self.state.note_answer(message)
        if 'restart' in message:
            self.restart(_order(message))
        if 'broken' in message:
            self.state.note_broken(message)
        if 'ready' in message:
            self._note_ready(message)

    def _note_ready(self, message: dict[str, Any]) -> None:
        if self.state.note_ready(message):
            self.on_reload()
            self._restarter.pay()
        else:
            self._restarter.note_start(self._place.app)
            self._apps.prepare(lambda: self.state.packages)
        self._place.app.channel.send(serve=1)

    # An app that died

    def _is_missing(self, app: App) -> bool:
        return self._place.is_empty_without(app) and not self._is_leaving

    def _replace(self, app: App) -> None:
        """An app that never was ready would only die again: that waits for a change."""
        how = app.wait()
        if self.state.ready.is_set():
            self._say(f'The app process {how}. Starting it again.')
        else:
            self._say(f'The app process {how} while it started. It is started again when a file is saved.')
            self.state.wait_for_save(self._saved)
        if self._is_missing(app):
            self._take_place_of(app, self._apps.first())

    def _take_place_of(self, dead: App, app: App) -> None:
        """Unless a restart has put another there meanwhile."""
        with self._place.lock:
            is_needed = self._is_missing(dead)
            if is_needed:
                self._place.take_early(app)
                app.channel.send(look=[], changed=None)  # what was told meanwhile, nobody heard
        if not is_needed:
            app.leave()


def _order(message: dict[str, Any]) -> Order:
    return Order(
        message['restart'], message['quiet'], message['outside'], message['learned'], frozenset(message['doubt']))
