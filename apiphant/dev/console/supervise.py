"""The app process seen from the console: started, told, interrupted, started again when it dies, replaced by another.

Threads: for each app, one reads what it prints, and one its messages, and starts it again. Others come and go, to
restart it and to see whether an interrupt worked. The listening socket stays here: a call that comes while no app
accepts waits in its queue for the next one.
"""
from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from ...api.product import Product
from .app_state import AppState
from .apps import LAST_CALLS, Apps
from .child import App

PROMPTLY = 0.15  # seconds in which an app answers that runs nothing for long
START_TIMEOUT = 2.0  # seconds that one takes that starts
ANSWER_TIMEOUT = 2.0  # seconds that an interrupted app has to answer before it is killed
STOP_TIMEOUT = 1.0  # seconds that the app before has to accept no more calls
LONGEST_START = 60.0  # seconds that a fresh process may take
ENDLESS = 3.0  # seconds of a fresh process's start, after which the next save has another one started in its place


class Lender(Protocol):
    """Who has the terminal."""

    def lend(self, granted: Callable[[], None]) -> None:
        """Leave the terminal alone, and say so when that is done."""

    def take_back(self) -> None:
        """It is free again."""


@dataclass(frozen=True)
class Order:
    """A restart that is wanted. A quiet one is told of only when it is done."""
    why: str
    is_quiet: bool = False
    is_outside: bool = False  # what is not the product's changed: a standby may have the old of it
    learned: dict[str, str] = field(default_factory=dict)  # why modules need a fresh process, if it takes over
    broken: frozenset[str] = frozenset()  # modules that may be, in the fresh process, as they are now
    asked: float = field(default_factory=monotonic)


class Supervisor:
    """Keeps an app process. `write(text)` gets whole lines that it prints, `say(text)` those of the supervisor."""

    def __init__(self, product: Product, listener: socket.socket, write: Callable[[str], None],
                 say: Callable[[str], None], lender: Lender | None = None) -> None:
        self.state = AppState()
        self.on_reload: Callable[[], object] = lambda: None
        self._say = say
        self._saved = threading.Event()
        self._answered = threading.Event()
        self._interrupting = threading.Lock()
        self._is_leaving = False
        self._lender = lender
        self._borrower: App | None = None
        self._changing = threading.RLock()  # the app
        self._ordering = threading.Lock()
        self._restarting = threading.Lock()
        self._due: Order | None = None  # waits for the restart before it
        self._candidate: App | None = None
        self._missed: set[str] = set()  # paths saved since the candidate began
        self._wanted: list[dict[str, Any]] = []  # restarts that it asked for itself
        self._retired: App | None = None  # it was told to end before the next one begins
        self._apps = Apps(product, listener, write, lender is not None)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # inherited: an app that starts has no handler yet
        self._keep(self._apps.first())

    def look(self, saved: Collection[str], changed: Collection[str] | None) -> None:
        """The first paths were saved whole, the others may be half written; None for any path."""
        paths = [*saved, *(changed or ())]
        if paths:
            self._saved.set()
        with self._changing:
            self._missed.update(paths if self._candidate else ())
            self._app.channel.send(look=list(saved), changed=None if changed is None else list(changed))
        self._give_up_endless()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what keeps the app from answering; replace it if it does not answer then either.

        An app that answers runs nothing that has to be stopped: others' calls go on.
        """
        if not self.is_lent and self._interrupting.acquire(blocking=False):
            threading.Thread(target=self._interrupt, args=(self._app,), name='interrupt', daemon=True).start()

    def ask(self, what: str, **details: object) -> tuple[str, bool]:
        """The app's answer to a question, and whether it failed at it; '' if it died over it."""
        with self._changing:
            number, generation = self.state.question()
            self._app.channel.send(ask=number, what=what, **details)
        return self.state.answer(number, generation)

    @property
    def is_lent(self) -> bool:
        """Whether a debugger has the terminal."""
        return self._borrower is not None

    def settle(self, seconds: float) -> None:
        """Wait until what the app has printed so far is written, at most so long."""
        self._app.printed.settle(seconds)

    def stop(self) -> None:
        """End the apps and see their last lines written."""
        self._is_leaving = True
        self._apps.stop()
        if candidate := self._candidate:
            candidate.kill()
        self._app.stop()

    # A fresh process

    def restart(self, order: Order) -> None:
        """Start a fresh app beside the one that serves, which is ended when that is ready. Returns at once."""
        if not order.is_quiet:
            self._say(f'Restarting: {order.why}')
        with self._ordering:
            is_due, self._due = self._due is not None, order
        if not is_due:
            threading.Thread(target=self._restart, name='restart', daemon=True).start()

    def restart_as_asked(self) -> None:
        self.restart(Order('as you asked', broken=self.state.broken))

    def _restart(self) -> None:
        with self._restarting:
            with self._ordering:
                order, self._due = self._due, None  # what changes from here on is for the next
            if order and not self._is_leaving:
                self._try(order)

    def _try(self, order: Order) -> None:
        app = self._fresh(order)
        message = self._ready(app)
        while message is not None and set(message['broken']) <= order.broken:
            if self._hand_over(app, message):
                self.state.learned.update(order.learned)
                self._say_restarted(order)
                break
            message = self._catch_up(app)
        else:
            self._candidate = None
            self._go_on(order, app, message)
        self._apps.prepare(lambda: self.state.packages)
        for wanted in self._wanted:
            self._receive(wanted)

    def _fresh(self, order: Order) -> App:
        if order.is_outside:
            self._apps.discard_standby()
        with self._changing:
            self._missed.clear()
            self._wanted = []
            app = self._candidate = self._apps.fresh({**self.state.learned, **order.learned})
        _after(ENDLESS, self._give_up_endless)
        _after(LONGEST_START, lambda: self._give_up(app))
        return app

    def _ready(self, app: App) -> dict[str, Any] | None:
        """What an app says when it is ready to serve, None if it dies before that."""
        for message in app.channel:
            if 'ready' in message:
                return message
            self._wanted += [message] if 'restart' in message else []
        return None

    def _catch_up(self, app: App) -> dict[str, Any] | None:
        with self._changing:
            missed = list(self._missed)
            self._missed.clear()
        app.channel.send(catch_up=missed)
        return self._ready(app)

    def _go_on(self, order: Order, app: App, message: dict[str, Any] | None) -> None:
        """With the app before, unless it is its fault: it holds what the fresh one needs, so it has to end first."""
        if message is None:
            self._note_death(app)
        elif self.state.holds and set(message['broken']) - order.broken <= set(message['clashes']):
            app.kill()
            self._end_first()
            self._say_restarted(order)
        else:
            app.kill()
            self._app.channel.send(judged=message['reports'])
            if not order.is_quiet:
                self._say('The app process before goes on, since the new one is broken.')

    def _note_death(self, app: App) -> None:
        how = app.wait()
        if self._due or self._is_leaving:  # it took too long, and another one is about to be tried
            return
        if monotonic() - app.begun > LONGEST_START:
            how = f'was not ready after {LONGEST_START:g} s'
        self._say(f'The new app process {how} while it started. The one before goes on.')
        self._app.channel.send(judged={})

    def _hand_over(self, app: App, message: dict[str, Any]) -> bool:
        """The app before stops accepting before the fresh one begins: nobody sees new code, and old code after that.

        Returns False if something was saved meanwhile.
        """
        with self._changing:
            if self._missed:
                return False
            before = self._app
            before.channel.send(leave=LAST_CALLS)
            before.stopped.wait(STOP_TIMEOUT)
            self._candidate = None
            self._keep(app)
            self._receive(message)
        self._apps.retire(before)
        return True

    def _end_first(self) -> None:
        """Meanwhile calls wait in the queue of the listening socket."""
        before = self._retired = self._app
        before.channel.send(leave=LAST_CALLS)
        before.wait()
        with self._changing:
            self.state.begin()
            self._keep(self._apps.fresh(self.state.learned))
        self.state.settled.wait()

    def _say_restarted(self, order: Order) -> None:
        milliseconds = (monotonic() - order.asked) * 1000
        why = f': {order.why}' if order.is_quiet else ''
        self._say(f'Restarted in {milliseconds:.0f} ms{why}')

    def _give_up_endless(self) -> None:
        """A fresh process that does not get ready gives way to one that begins with what was saved since."""
        candidate = self._candidate
        if candidate and self._missed and monotonic() - candidate.begun > ENDLESS and not self._due:
            why = 'its imports did not end before the next save'
            self.restart(Order(why, is_quiet=True, broken=self.state.broken))
            threading.Thread(target=self._give_up, args=(candidate,), name='give up', daemon=True).start()

    def _give_up(self, app: App) -> None:
        if app is self._candidate:
            app.kill()

    # The app that serves

    def _keep(self, app: App) -> None:
        with self._changing:
            self._app = app
            self.state.succeed()
        threading.Thread(target=self._follow, args=(app,), name='follow', daemon=True).start()

    def _follow(self, app: App) -> None:
        for message in app.channel:
            if 'tty' in message:
                self._lend_to(app, message['tty'])
            elif 'stopped' in message:
                app.stopped.set()
            elif app is self._app:
                self._receive(message)
        app.stopped.set()
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
            self.state.served = message['served']
        if 'files' in message:
            self.state.files = frozenset(message['files'])
        if 'answer' in message:
            self.state.note_answer(message)
        if 'restart' in message:
            self.restart(self._order(message))
        if 'ready' in message:
            self._note_ready(message)

    def _order(self, message: dict[str, Any]) -> Order:
        broken = self.state.broken.difference(message['doubt'])
        return Order(message['restart'], message['quiet'], message['outside'], message['learned'], broken)

    def _note_ready(self, message: dict[str, Any]) -> None:
        if self.state.note_ready(message):
            self.on_reload()
        else:
            self._apps.prepare(lambda: self.state.packages)
        self._app.channel.send(serve=1)

    def _serves(self, app: App) -> bool:
        """Whether no other has taken its place, and one is needed."""
        return app is self._app and app is not self._retired and not self._is_leaving

    def _replace(self, app: App) -> None:
        """An app that never was ready would only die again: that waits for a change."""
        how = app.wait()
        if self.state.ready.is_set():
            self._say(f'The app process {how}. Starting it again.')
        else:
            self._say(f'The app process {how} while it started. It is started again when a file is saved.')
            self.state.wait_for_save(self._saved)
        if self._serves(app):
            self._take_place_of(app, self._apps.first())

    def _take_place_of(self, dead: App, app: App) -> None:
        """Unless a restart has put another there meanwhile."""
        with self._changing:
            is_needed = self._serves(dead)
            if is_needed:
                self.state.begin()
                self._keep(app)
                app.channel.send(look=[], changed=None)  # what was told meanwhile, nobody heard
        if not is_needed:
            app.leave()

    def _interrupt(self, app: App) -> None:
        try:
            if self._answers_within(app, PROMPTLY if self.state.ready.is_set() else START_TIMEOUT):
                return
            app.signal(signal.SIGUSR1)
            if not self._answers_within(app, ANSWER_TIMEOUT) and app is self._app and self.state.ready.is_set():
                self._say(f'The app process did not answer for {ANSWER_TIMEOUT:g} s.')
                app.signal(signal.SIGKILL)
        finally:
            self._interrupting.release()

    def _answers_within(self, app: App, seconds: float) -> bool:
        self._answered.clear()
        app.channel.send(ping=1)
        return self._answered.wait(seconds)


def _after(seconds: float, do: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()
