"""The app processes there are beside the one that serves: a standby, a candidate, and those that end their last calls.

The standby has apiphant and the packages imported that the product imported last time, and none of the product's code.
So a fresh process costs only what the product's own modules take.
"""
from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from time import monotonic

from ...api.product import Product
from .child import App

LAST_CALLS = 600.0  # seconds that calls have to end when another process has taken over
REST = 0.1  # seconds before a standby is made: the calls that somebody waits for come first


class Apps:
    """Starts app processes and ends them. `write(text)` gets what they print."""

    def __init__(self, product: Product, listener: socket.socket, write: Callable[[str], None],
                 has_terminal: bool) -> None:
        self._product = product
        self._listener = listener
        self._write = write
        self._has_terminal = has_terminal
        self._lock = threading.Lock()
        self._standby: App | None = None
        self._ending: set[App] = set()
        self._is_over = False

    def first(self) -> App:
        """One that says at once what is broken in the product."""
        return self._begun({'trial': False, 'learned': {}})

    def fresh(self, learned: dict[str, str]) -> App:
        """One that imports the product as it is now: the standby if there is one."""
        with self._lock:
            app, self._standby = self._standby, None
        begin = {'trial': True, 'learned': learned}
        if app is None or not app.is_running:
            return self._begun(begin)
        app.begun = monotonic()
        app.channel.send(begin=begin)
        return app

    def _begun(self, begin: dict[str, object]) -> App:
        return App(self._product, self._listener, self._write, self._has_terminal, begin)

    def prepare(self, packages: Callable[[], tuple[str, ...]]) -> None:
        """Have a standby after a while, unless there is one."""
        timer = threading.Timer(REST, self._prepare, (packages,))
        timer.daemon = True
        timer.start()

    def _prepare(self, packages: Callable[[], tuple[str, ...]]) -> None:
        with self._lock:
            if self._standby is None and not self._is_over:
                self._standby = App(self._product, self._listener, self._write, self._has_terminal)
                self._standby.channel.send(warm=packages())

    def discard_standby(self) -> None:
        """What it has imported is not what there is now."""
        with self._lock:
            app, self._standby = self._standby, None
        if app:
            app.kill()

    def retire(self, app: App) -> None:
        """It has been told to leave: see to that, and to its last lines. Returns at once."""
        with self._lock:
            self._ending.add(app)
        threading.Thread(target=self._see_off, args=(app,), name='retire', daemon=True).start()

    def _see_off(self, app: App) -> None:
        app.wait()
        with self._lock:
            self._ending.discard(app)

    @property
    def ending(self) -> list[App]:
        """Those that still answer calls which they began."""
        with self._lock:
            return list(self._ending)

    def stop(self) -> None:
        """End them all, and have no others."""
        with self._lock:
            self._is_over = True
            ending = list(self._ending)
        self.discard_standby()
        for app in ending:
            app.kill()
