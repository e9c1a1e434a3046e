"""What replaced modules gave to `on_unload`: called when the last request that began with them has ended."""
from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Collection, Hashable
from typing import Any

import gevent

from ...background.tasks import forget
from ...modules import names_of
from ...reload import UNLOADERS
from .survivors import Watched

PERIOD = 0.05  # seconds between looks whether the requests have ended

log = logging.getLogger(__name__)


class Unloader:
    """`running()` is to give what is being answered, `ended(watched)` is told when the last of that ended."""

    def __init__(self, running: Callable[[], Collection[Hashable]], ended: Callable[[list[Watched]], Any]) -> None:
        self._running = running
        self._ended = ended

    def unload(self, modules: list[object], watched: list[Watched]) -> None:
        """Returns at once. The functions are called later, in the order opposite to that in which they were given."""
        forget(modules)
        functions = [function for module in modules for function in _unloaders(names_of(module).pop(UNLOADERS, None))]
        if modules:
            gevent.spawn(self._finish, frozenset(self._running()), functions, watched)

    def _finish(self, requests: frozenset[Hashable], functions: list[Callable[[], Any]],
                watched: list[Watched]) -> None:
        while (functions or watched) and not requests.isdisjoint(self._running()):
            gevent.sleep(PERIOD)
        while functions:
            _call(functions.pop(0))
        gc.collect()  # a module and its functions refer to each other
        if watched:
            self._ended(watched)


def _unloaders(given: Any) -> list[Callable[[], Any]]:
    """The last one first; a name like that may also be the module's own."""
    return given[::-1] if type(given) is list else []


def _call(function: Callable[[], Any]) -> None:
    try:
        function()
    except Exception:
        log.exception('What was given to on_unload failed:')
