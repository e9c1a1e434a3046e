"""A fresh app in the place of the one that serves: tried beside it, and put there if it can do as much.

Nobody is refused by that: the app before accepts until the fresh one is ready, and ends the calls that it has begun.
Where a module is broken in the fresh one that has good code in the one before, that goes on, and the restart is owed:
it is tried again when that module may be mended.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from time import monotonic
from typing import Any

from .app_state import AppState
from .apps import LAST_CALLS, Apps
from .child import App
from .order import Debt, Order
from .place import Place

STOP_TIMEOUT = 1.0  # seconds that the app before has to accept no more calls
LONGEST_START = 60.0  # seconds that a fresh process may take
ENDLESS = 3.0  # seconds of a fresh process's start, after which the next save has another one started in its place
SLOWER = 3  # times as long as the longest start before: so long may one take all the same


class Restarter:
    """Does one restart after the other. `receive(message)` is told what an app wants that has taken over."""

    def __init__(self, place: Place, state: AppState, apps: Apps, say: Callable[[str], None],
                 receive: Callable[[dict[str, Any]], None]) -> None:
        self._place = place
        self._state = state
        self._apps = apps
        self._say = say
        self._receive = receive
        self._ordering = threading.Lock()
        self._restarting = threading.Lock()
        self._order: Order | None = None  # the last that was begun
        self._due: Order | None = None  # waits for the restart before it
        self._debt: Debt | None = None
        self._candidate: App | None = None
        self._patience = ENDLESS
        self._missed: set[str] = set()  # paths saved since the candidate began
        self._wanted: list[dict[str, Any]] = []  # restarts that it asked for itself
        self._said = ''  # of debts
        self._is_over = False

    def restart(self, order: Order) -> None:
        """Returns at once."""
        if not order.is_quiet:
            self._say(f'Restarting: {order.why}')
        with self._ordering:
            due, self._due = self._due, order.along_with(self._due)
        if due is None:
            threading.Thread(target=self._restart, name='restart', daemon=True).start()

    def note_saved(self, paths: Collection[str]) -> None:
        """A fresh app that is starting may have read what was there before. To be called with the place's lock."""
        if self._candidate:
            self._missed.update(paths)

    def note_start(self, app: App) -> None:
        """It is ready: others of this product, on this machine, are not endless for taking as long."""
        self._patience = min(max(self._patience, SLOWER * (monotonic() - app.begun)), LONGEST_START)

    def pay(self) -> None:
        """Something was reloaded: try again what is owed, unless all that was in the way is broken still."""
        debt = self._debt
        if debt and not debt.in_the_way <= self._state.broken:
            self._debt = None
            self.restart(replace(debt.order, is_quiet=True, asked=monotonic()))

    def stop(self) -> None:
        self._is_over = True
        if candidate := self._candidate:
            candidate.kill()

    def _restart(self) -> None:
        with self._restarting:
            with self._ordering:
                order, self._due = self._due, None  # what changes from here on is for the next
            if order and not self._is_over:
                self._try(order)

    def _try(self, order: Order) -> None:
        self._order = order
        app = self._begin(order)
        message = self._outcome(app)
        if self._place.app is app:
            self._note_restarted(order)
        elif message is None:
            self._note_death(app)
        else:
            self._go_on(order, app, message)
        self._apps.prepare(lambda: self._state.packages)

    def _begin(self, order: Order) -> App:
        if order.is_outside:
            self._apps.discard_standby()
        with self._place.lock:
            self._missed.clear()
            self._wanted = []
            app = self._candidate = self._apps.fresh({**self._state.learned, **order.learned})
        _after(self._patience, self.give_up_endless)
        _after(LONGEST_START, lambda: self._give_up(app))
        return app

    def _outcome(self, app: App) -> dict[str, Any] | None:
        """What an app said last that is ready, or even serves by now. None if it died before that."""
        message = self._ready(app)
        if message is not None:
            self.note_start(app)
        while message is not None and not self._in_the_way(message) and not self._hand_over(app, message):
            message = self._catch_up(app)
        if self._place.app is not app:
            with self._place.lock:
                self._candidate = None
        return message

    def _ready(self, app: App) -> dict[str, Any] | None:
        for message in app.channel:
            if 'ready' in message:
                return message
            self._wanted += [message] if 'restart' in message else []
        return None

    def _catch_up(self, app: App) -> dict[str, Any] | None:
        with self._place.lock:
            missed = list(self._missed)
            self._missed.clear()
        app.channel.send(catch_up=missed)
        return self._ready(app)

    def _in_the_way(self, message: dict[str, Any]) -> frozenset[str]:
        """Modules that the fresh app lacks, and the one that serves does not."""
        return frozenset(message['broken']) - self._state.dead if self._state.ready.is_set() else frozenset()

    def _hand_over(self, app: App, message: dict[str, Any]) -> bool:
        """The app before stops accepting before the fresh one begins: nobody sees new code, and old code after that.

        Returns False if something was saved meanwhile.
        """
        with self._place.lock:
            if self._missed:
                return False
            before = self._place.app
            before.channel.send(leave=LAST_CALLS)
            before.stopped.wait(STOP_TIMEOUT)
            self._candidate = None
            self._place.take(app)
            self._receive(message)
        self._apps.retire(before)
        return True

    def _note_restarted(self, order: Order) -> None:
        self._debt, self._said = None, ''
        self._state.learned.update(order.learned)
        milliseconds = (monotonic() - order.asked) * 1000
        why = f': {order.why}' if order.is_quiet else ''
        self._say(f'Restarted in {milliseconds:.0f} ms{why}')
        for wanted in self._wanted:
            self._receive(wanted)

    # Where the fresh app cannot take over

    def _go_on(self, order: Order, app: App, message: dict[str, Any]) -> None:
        """With the app before, unless it is its fault: it holds what the fresh one needs, so it has to end first."""
        app.kill()
        in_the_way = self._in_the_way(message)
        if self._state.holds and in_the_way <= set(message['clashes']):
            self._end_first()
            self._note_restarted(order)
        else:
            self._place.app.channel.send(judged=message['reports'])
            self._owe(order, in_the_way, message['broken'])

    def _end_first(self) -> None:
        """Meanwhile calls wait in the queue of the listening socket."""
        before = self._place.retire()
        before.channel.send(leave=LAST_CALLS)
        before.wait()
        self._place.take_early(self._apps.fresh(self._state.learned))
        self._state.settled.wait()

    def _note_death(self, app: App) -> None:
        how = app.wait()
        if self._due or self._is_over:  # it took too long, and another one is about to be tried
            return
        if monotonic() - app.begun > LONGEST_START:
            how = f'was not ready after {LONGEST_START:g} s'
        self._say(f'The new app process {how} while it started. The one before goes on.')
        self._place.app.channel.send(judged={})

    def _owe(self, order: Order, in_the_way: frozenset[str], broken: list[str]) -> None:
        """Unless it was but to tell what is broken, and has."""
        if order.doubt and order.doubt.issubset(broken):
            return
        self._debt = Debt(order, in_the_way)
        names = ', '.join(sorted(in_the_way))
        text = f'Not restarted yet ({order.why}): {names} cannot be imported. The app process before goes on.'
        if text != self._said:
            self._say(text)
        self._said = text

    def give_up_endless(self) -> None:
        """A fresh process that does not get ready gives way to one that begins with what was saved since."""
        candidate = self._candidate
        if candidate and self._missed and monotonic() - candidate.begun > self._patience and not self._due:
            order = Order('its imports did not end before the next save', is_quiet=True)
            self.restart(order.along_with(self._order))
            threading.Thread(target=self._give_up, args=(candidate,), name='give up', daemon=True).start()

    def _give_up(self, app: App) -> None:
        if app is self._candidate:
            app.kill()


def _after(seconds: float, do: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()
