"""The scheduler as a child process of its runner, started again when it ends."""
from __future__ import annotations

import logging
import subprocess
import sys
import time
from contextlib import suppress

import gevent

from ...words import reason
from . import beat
from .engine_watch import EngineWatch

LONGEST = 30.0  # seconds to which the pause before a new scheduler grows
STEADY = 10.0  # seconds after which a scheduler counts as having worked
PATIENCE = 5.0  # seconds that a scheduler gets to end

log = logging.getLogger(__name__)


class BeatProcess:
    """The child process, which runs `beat` and gets `job` on its standard input."""

    def __init__(self, job: str, watch: EngineWatch) -> None:
        self._job = job
        self._watch = watch
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def run(self) -> None:
        """Start it again and again until `end`."""
        pause = 1.0
        while not self._is_over:
            self._watch.up.wait()
            started = time.monotonic()
            status = self._run_once()
            if self._is_over:
                return
            self._watch.look()
            pause = 1.0 if time.monotonic() - started > STEADY else min(pause * 2, LONGEST)
            if status != beat.GONE:
                log.warning('The scheduler ended with status %d; starting it again in %g s', status, pause)
            gevent.sleep(pause)

    def _run_once(self) -> int:
        try:
            self._process = subprocess.Popen([sys.executable, '-m', beat.__name__], stdin=subprocess.PIPE)
        except OSError as error:
            log.error('The scheduler cannot be started: %s', reason(error))
            return beat.GONE
        with suppress(OSError):
            assert self._process.stdin
            self._process.stdin.write(f'{self._job}\n'.encode())
            self._process.stdin.flush()
        return self._process.wait()

    def end(self) -> None:
        """End it, and start no other."""
        self._is_over = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
                return
            self._process.kill()
