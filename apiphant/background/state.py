"""What the runner keeps on disk: when each task ran last, that it is alive, and that it is the only one."""
from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..api.product import Product, ProductError, state_path
from ..atomic_write import write_whole
from ..words import reason

FRESH = 15.0  # seconds for which a tick shows that the runner is alive

log = logging.getLogger(__name__)


class RunnerState:
    """The state folder of one product. Raises ProductError where it cannot be made."""

    def __init__(self, product: Product, folder: str | None = None) -> None:
        self.folder = state_path(product, folder)
        self._real = Path(f'{state_path(Product(product.name, product.path.resolve()), folder)}.lock')
        self._runs = self.folder / 'last-runs.json'
        self._tick = self.folder / 'tick'
        self._locks: list[int] = []
        self._trouble = ''
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._refused(error) from None

    def lock(self) -> None:
        """Be the only runner of this product on this machine, whatever links lead to it. Raises ProductError."""
        os.register_at_fork(after_in_child=self._let_go)  # or a child of a task would keep it
        for path in (self.folder / 'lock', self._real):
            self._locks.append(self._lock(path))

    def _lock(self, path: Path) -> int:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._refused(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).decode(errors='replace').strip() or 'unknown'
            told = f'the background tasks of this product are run already, by process {holder}'
            raise ProductError(told) from None
        os.ftruncate(descriptor, 0)
        with suppress(OSError):  # a full disk: it is locked, but does not say by whom
            os.write(descriptor, f'{os.getpid()}\n'.encode())
        return descriptor

    def _let_go(self) -> None:
        """In a child process."""
        for descriptor in self._locks:
            os.close(descriptor)
        self._locks.clear()

    def last_runs(self) -> dict[str, float]:
        """By task, in seconds since the epoch. A file that makes no sense is set aside."""
        try:
            runs = json.loads(self._runs.read_bytes())
            return {str(name): float(when) for name, when in runs.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError):
            self._set_aside()
            return {}

    def _set_aside(self) -> None:
        aside = self._runs.with_suffix('.broken')
        told = '%s cannot be read and is set aside as %s: tasks start as if they had not run yet'
        log.warning(told, self._runs, aside.name)
        with suppress(OSError):
            self._runs.replace(aside)

    def keep(self, runs: dict[str, float]) -> None:
        """Write them all, or leave what was written before."""
        try:
            write_whole(self._runs, map(str.encode, _lines(runs)))
            self._tell('')
        except OSError as error:
            self._tell(reason(error))

    def _tell(self, trouble: str) -> None:
        """Log the trouble, or that it is over, once each time that it changes."""
        if trouble and trouble != self._trouble:
            log.warning('%s cannot be written: %s; trying again', self._runs, trouble)
        elif self._trouble and not trouble:
            log.info('%s is written again', self._runs)
        self._trouble = trouble

    def _refused(self, error: OSError) -> ProductError:
        return ProductError(f'cannot keep state in {self.folder}: {reason(error)}')

    def tick(self) -> None:
        """The runner is alive."""
        with suppress(OSError):  # a full disk is told where the last runs are written
            self._tick.touch()

    def age(self) -> float | None:
        """Seconds since the last tick; None if there was none."""
        try:
            return max(0.0, time.time() - self._tick.stat().st_mtime)
        except OSError:
            return None


def _lines(runs: dict[str, float]) -> Iterator[str]:
    """As JSON, a piece at a time: there may be thousands of tasks."""
    yield '{'
    for number, (name, when) in enumerate(runs.items()):
        yield f'{"," if number else ""}\n{json.dumps(name)}: {when!r}'
    yield '\n}\n'
