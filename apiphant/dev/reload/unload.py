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

PERIOD = 0.05  # seconds between looks whether the requests have ended

log = logging.getLogger(__name__)


class Unloader:
    """`running()` is to give what is being answered at the moment."""

    def __init__(self, running: Callable[[], Collection[Hashable]]) -> None:
        self._running = running

    def unload(self, modules: list[object]) -> None:
        """Returns at once; the functions are called later, in the order opposite to that in which they were given."""
        forget(modules)
        functions = [function for module in modules for function in _unloaders(names_of(module).pop(UNLOADERS, None))]
        if modules:
            gevent.spawn(self._finish, frozenset(self._running()), functions)

    def _finish(self, requests: frozenset[Hashable], functions: list[Callable[[], Any]]) -> None:
        while functions and not requests.isdisjoint(self._running()):
            gevent.sleep(PERIOD)
        for function in functions:
            _call(function)
        functions.clear()
        gc.collect()  # a module and its functions refer to each other


def _unloaders(given: Any) -> list[Callable[[], Any]]:
    """The last one first; a name like that may also be the module's own."""
    return given[::-1] if type(given) is list else []


def _call(function: Callable[[], Any]) -> None:
    try:
        function()
    except Exception:
        log.exception('What was given to on_unload failed:')
