"""The master process: gunicorn's arbiter, and the service that it keeps workers of.

What differs from gunicorn: code that cannot be imported never ends a service that runs. A HUP tries the import in a
process of its own first, and a worker that cannot start later waits and is tried again. The old workers serve until all
new ones do, and a master whose program has moved becomes the new one in place.
"""
from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter as GunicornArbiter
from gunicorn.errors import HaltServer

from .. import address
from ..threads import QUICK
from .trial import try_import

FOREVER = 3600.0  # seconds
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
BOARD = 4096  # workers at a time, and then some

log = logging.getLogger(__name__)


class Arbiter(GunicornArbiter):  # type: ignore[misc]
    """The master process."""

    _is_to_become = False
    _is_told_to_stop = False  # what takes long is left then

    def __init__(self, service: Any) -> None:
        self._unheard: list[int] = []  # signals that came and that nobody has looked at yet
        super().__init__(service)

    def init_signals(self) -> None:
        super().init_signals()
        if self.pidfile:
            self.pidfile.pid = self.pid  # gunicorn would not remove a file that named this process before
        _let_signals_in()  # those too that came while one program became another

    def reload(self) -> None:
        if self.app.program.has_moved:
            self._is_to_become = True
        elif self._can_import():
            log.info('Starting workers with the new code')
            self._try(super().reload)
        elif not self._is_told_to_stop:
            log.error('The new code cannot be imported: the workers go on with the old')

    def _try(self, call: Callable[[], None]) -> None:
        """A pid file that cannot be written is no reason to end."""
        try:
            call()
        except (OSError, RuntimeError) as error:
            log.error('%s', error)

    def signal(self, sig: int, frame: FrameType | None) -> None:
        self._is_told_to_stop |= sig in STOPS
        self._unheard.append(sig)
        super().signal(sig, frame)

    def wait_for_signals(self, timeout: float | None = 1.0) -> list[int]:
        heard: list[int] = super().wait_for_signals(timeout)
        for number in heard:
            if number in self._unheard:
                self._unheard.remove(number)
        return heard

    def _try_to_become(self) -> None:
        """Become the program that the command leads to now, if that can serve."""
        self._is_to_become = False
        program = self.app.program
        place = program.place
        if not program.can_start(self.timeout or FOREVER, lambda: self._is_told_to_stop):
            log.error('The new program cannot serve the product: the old one goes on, with its workers')
            return
        if program.place != place:  # another by now, that was not tried
            self._is_to_become = True
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._become()
        except OSError as error:
            log.error('The new program cannot be run: %s', error)
        finally:
            _let_signals_in()

    def _become(self) -> None:
        """Become the new program now, or after what this one was told meanwhile. Raises OSError."""
        if {*self._unheard} - {signal.SIGHUP}:
            self._is_to_become = True
            return
        log.info('Becoming the new program, %s', self.app.program.command[0])
        self.app.program.become(self.LISTENERS[0].fileno(), {*self.WORKERS, *self.app.former_workers})

    def _can_import(self) -> bool:
        """Try to import the product in a process of its own. That is killed if it takes longer than a worker may."""
        pid = os.fork()
        if not pid:
            try_import(self.app.product, self.pid, self.LISTENERS)
        end = time.monotonic() + (self.timeout or FOREVER)
        while time.monotonic() < end and not self._is_told_to_stop:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return status == 0
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return False

    def manage_workers(self) -> None:
        """Tell the old ones to stop when all new ones serve. gunicorn calls this after it has looked at the signals."""
        if self._is_to_become:
            self._try_to_become()
        self._wait_for_the_newest()
        super().manage_workers()
        if self._newest_serve():
            self.app.former_workers.stop(self.cfg.graceful_timeout)
        self.app.former_workers.reap()

    def _wait_for_the_newest(self) -> None:
        end = time.monotonic() + (self.timeout or FOREVER)
        while len(self.WORKERS) > self.num_workers and not self._newest_serve():
            if self._is_told_to_stop or time.monotonic() > end:
                return
            self.reap_workers()
            time.sleep(0.02)

    def _newest_serve(self) -> bool:
        newest = sorted(worker.age for worker in self.WORKERS.values())[-self.num_workers:]
        return len(newest) == self.num_workers and all(map(self.app.serves, newest))

    def spawn_worker(self) -> int:
        """Signals wait until the new process has handlers for them."""
        self.app.note(self.worker_age + 1, False)
        signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)
        master = os.getpid()
        try:
            return super().spawn_worker()  # type: ignore[no-any-return]
        except OSError as error:
            if os.getpid() != master:
                raise
            log.error('A worker could not be started, and is tried again: %s', error)
            return 0
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

    def stop(self, graceful: bool = True) -> None:
        self.app.former_workers.stop(self.cfg.graceful_timeout if graceful else QUICK)
        self._stop(graceful)
        while self.app.former_workers:
            self.reap_workers()
            self.app.former_workers.reap()
            time.sleep(0.02)

    def _stop(self, graceful: bool) -> None:
        """Go on to the end, also if a worker could not start."""
        self._close_listeners()
        while True:
            try:
                return super().stop(graceful)  # type: ignore[no-any-return]
            except HaltServer:
                continue

    def _close_listeners(self) -> None:
        """And remove the file of a unix socket that is ours. One whose descriptor was inherited is not."""
        names = [listener.getsockname() for listener in self.LISTENERS]
        for listener in self.LISTENERS:
            listener.close()
        self.LISTENERS: list[Any] = []
        if self.app.options['fd'] is None:
            for name in names:
                address.remove(name)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        if exit_status:
            self.log.error_log.setLevel(logging.CRITICAL)  # the worker has said why
        super().halt(None, 1 if exit_status else 0)


def _let_signals_in() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
