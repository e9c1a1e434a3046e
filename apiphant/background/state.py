"""What the runner of background tasks keeps on disk: when each task ran last, that it is alive, and that it is the only one."""
from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress

from ..api.product import Product, ProductError, state_path
from ..files import write_whole
from ..words import reason

FRESH = 15.0  # seconds for which a tick shows that the runner is alive

log = logging.getLogger(__name__)


class State:
    """A folder of one product. Raises ProductError where it cannot be made."""

    def __init__(self, product: Product, folder: str | None = None) -> None:
        self.folder = state_path(product, folder)
        self._runs = self.folder / 'last-runs.json'
        self._tick = self.folder / 'tick'
        self._lock = -1
        self._trouble = ''
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._refused(error) from None

    def lock(self) -> None:
        """Be the only runner of this product on this machine. Raises ProductError if there is one."""
        try:
            self._lock = os.open(self.folder / 'lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._refused(error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(self._lock, 20).decode(errors='replace').strip()
            raise ProductError(f'the background tasks of this product are run already, by process {pid or "unknown"}') from None
        os.ftruncate(self._lock, 0)
        with suppress(OSError):  # a full disk: it is locked, but does not say by whom
            os.write(self._lock, f'{os.getpid()}\n'.encode())

    def last_runs(self) -> dict[str, float]:
        """By task, in seconds since the epoch. A file that makes no sense is set aside."""
        try:
            runs = json.loads(self._runs.read_bytes())
            return {str(name): float(when) for name, when in runs.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError):
            aside = self._runs.with_suffix('.broken')
            log.warning('%s cannot be read and is set aside as %s: tasks start as if they had not run yet', self._runs, aside.name)
            try:
                self._runs.replace(aside)
            except OSError:
                pass
            return {}

    def keep(self, runs: dict[str, float]) -> None:
        """Write them, at once or not at all."""
        try:
            write_whole(self._runs, map(str.encode, _lines(runs)))
            self._tell('')
        except OSError as error:
            self._tell(reason(error))

    def _tell(self, trouble: str) -> None:
        """Once each time that it changes."""
        if trouble and trouble != self._trouble:
            log.warning('%s cannot be written: %s; trying again', self._runs, trouble)
        elif self._trouble and not trouble:
            log.info('%s is written again', self._runs)
        self._trouble = trouble

    def _refused(self, error: OSError) -> ProductError:
        return ProductError(f'cannot keep state in {self.folder}: {reason(error)}')

    def tick(self) -> None:
        """The runner is alive."""
        try:
            self._tick.touch()
        except OSError:
            pass  # a full disk is told where the last runs are written

    def age(self) -> float | None:
        """Seconds since the last tick; None if there was none."""
        try:
            return max(0.0, time.time() - self._tick.stat().st_mtime)
        except OSError:
            return None


def _lines(runs: dict[str, float]) -> Iterator[str]:
    """JSON, a piece at a time: there may be thousands."""
    yield '{'
    for number, (name, when) in enumerate(runs.items()):
        yield f'{"," if number else ""}\n{json.dumps(name)}: {when!r}'
    yield '\n}\n'
