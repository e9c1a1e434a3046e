"""Whether the engine can be reached: asked again and again, and said once each time that it changes."""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from ...words import reason
from .engine import Endpoint

CALM = 2.0  # seconds between two looks while all is well
FIRST, LONGEST = 1.0, 3.0  # seconds, from which and to which the pause grows while it is not

log = logging.getLogger(__name__)
Check = Callable[[], object]


class EngineWatch:
    """Calls the checks again and again. One that raises shows that its endpoint cannot be reached."""

    def __init__(self, checks: Mapping[Endpoint, Check]) -> None:
        self._checks = checks
        self._troubles: dict[Endpoint, str] = {}
        self._turn = BoundedSemaphore()
        self.up = Event()

    def look(self) -> bool:
        """Look now, and log what has changed. Returns whether all is well."""
        with self._turn:
            for endpoint, check in self._checks.items():
                self._tell(endpoint, _trouble(check))
        if self._troubles:
            self.up.clear()
        else:
            self.up.set()
        return not self._troubles

    def run(self) -> None:
        """Look again and again, for ever."""
        pause = FIRST
        while True:
            is_well = self.look()
            gevent.sleep(CALM if is_well else pause)
            pause = FIRST if is_well else min(pause + 1, LONGEST)

    def _tell(self, endpoint: Endpoint, trouble: str) -> None:
        if trouble == self._troubles.get(endpoint, ''):
            return
        if trouble:
            self._troubles[endpoint] = trouble
            log.error('The engine %s cannot be reached: %s; trying again', endpoint, trouble)
        else:
            del self._troubles[endpoint]
            log.info('The engine %s is back', endpoint)


def _trouble(check: Check) -> str:
    try:
        check()
    except Exception as error:
        return reason(error)
    return ''
