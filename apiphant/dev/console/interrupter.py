"""Ends what keeps the app from answering."""
from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from .app_state import AppState
from .child import App
from .place import Place

PROMPTLY = 0.15  # seconds in which an app answers that runs nothing for long
START_TIMEOUT = 2.0  # seconds that one takes that starts
ANSWER_TIMEOUT = 2.0  # seconds that an interrupted app has to answer before it is killed


class Interrupter:
    """Of the app that serves."""

    def __init__(self, place: Place, state: AppState, say: Callable[[str], None]) -> None:
        self._place = place
        self._state = state
        self._say = say
        self._answered = threading.Event()
        self._interrupting = threading.Lock()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what the app runs; replace it if it does not answer then either.

        An app that answers runs nothing that has to be stopped: others' calls go on. Returns at once.
        """
        if self._interrupting.acquire(blocking=False):
            threading.Thread(target=self._interrupt, args=(self._place.app,), name='interrupt', daemon=True).start()

    def note_answer(self) -> None:
        self._answered.set()

    def _interrupt(self, app: App) -> None:
        try:
            self._free(app)
        finally:
            self._interrupting.release()

    def _free(self, app: App) -> None:
        is_ready = self._state.ready.is_set
        if self._answers_within(app, PROMPTLY if is_ready() else START_TIMEOUT):
            return
        app.signal(signal.SIGUSR1)
        if not self._answers_within(app, ANSWER_TIMEOUT) and app is self._place.app and is_ready():
            self._say(f'The app process did not answer for {ANSWER_TIMEOUT:g} s.')
            app.signal(signal.SIGKILL)

    def _answers_within(self, app: App, seconds: float) -> bool:
        self._answered.clear()
        app.channel.send(ping=1)
        return self._answered.wait(seconds)
