"""Which app serves: there always is one, dead or alive."""
from __future__ import annotations

import threading
from collections.abc import Callable

from .app_state import AppState
from .child import App


class Place:
    """One app has it at a time. `follow(app)` is called in a thread of its own for each.

    Who holds `lock` can rely on it that nothing changes.
    """

    def __init__(self, state: AppState, follow: Callable[[App], None]) -> None:
        self.lock = threading.RLock()
        self._state = state
        self._follow = follow
        self._app: App | None = None
        self._retired: App | None = None

    @property
    def app(self) -> App:
        assert self._app is not None
        return self._app

    def take(self, app: App) -> None:
        """It serves from now on."""
        with self.lock:
            self._app = app
            self._state.succeed()
        threading.Thread(target=self._follow, args=(app,), name='follow', daemon=True).start()

    def take_early(self, app: App) -> None:
        """The one before is gone, and this one is not ready yet."""
        with self.lock:
            self._state.begin()
            self.take(app)

    def retire(self) -> App:
        """The app that serves is about to end, and whoever ends it has another one take the place."""
        self._retired = self.app
        return self._retired

    def is_empty_without(self, app: App) -> bool:
        """Whether no other has taken its place, nor is about to."""
        return app is self._app and app is not self._retired
