"""A master that becomes another program in place: the process and socket stay, and the workers serve until new ones do.

A HUP takes new code of the product, and forks. When the program itself is another by then, since a link like `current`
leads to a release with a virtual environment of its own, there is a new apiphant, and maybe a new Python, to be run.
"""
from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from subprocess import DEVNULL, Popen
from typing import NoReturn

VARIABLE = 'APIPHANT_TAKEOVER'
TRIAL = 'trial'


class Program:
    """What this process was started as; to be made at start."""

    def __init__(self) -> None:
        is_script = os.path.isfile(sys.argv[0]) and os.access(sys.argv[0], os.X_OK)
        self.command = sys.argv if is_script else [sys.executable, *sys.orig_argv[1:]]
        self._start = self.place

    @property
    def place(self) -> str:
        """Where the command leads to now."""
        return os.path.realpath(os.path.dirname(self.command[0]))

    @property
    def has_moved(self) -> bool:
        """Whether the same command starts another program by now."""
        return self.place != self._start

    def can_start(self, seconds: float, is_over: Callable[[], bool]) -> bool:
        """Run the new program to see whether it could serve. False if it takes longer, or if `is_over()` meanwhile."""
        end = time.monotonic() + seconds
        try:
            with Popen(self.command, env={**os.environ, VARIABLE: TRIAL}, stdin=DEVNULL) as trial:
                while trial.poll() is None and time.monotonic() < end and not is_over():
                    time.sleep(0.02)
                trial.kill()
            return trial.returncode == 0
        except OSError:
            return False

    def become(self, listener: int, workers: Iterable[int]) -> NoReturn:
        """Raises OSError. The caller blocks all signals, and the new program lets them in: so none is lost between."""
        os.set_inheritable(listener, True)
        inherited = ' '.join(map(str, (listener, *workers)))
        os.execve(self.command[0], self.command, {**os.environ, VARIABLE: inherited})


class FormerWorkers:
    """The workers of the program before this one.

    Each is known by a descriptor: the number of a process that ended may be given to another.
    """

    def __init__(self, workers: Iterable[int] = ()) -> None:
        self._descriptors = {pid: os.pidfd_open(pid) for pid in workers if _is_child(pid)}
        self._end: float | None = None

    def __bool__(self) -> bool:
        return bool(self._descriptors)

    def __iter__(self) -> Iterator[int]:
        """Their process numbers."""
        return iter(self._descriptors)

    def stop(self, seconds: float) -> None:
        """Tell them to bring their requests to an end in that time. Only the first call counts."""
        if self._end is None:
            self._end = time.monotonic() + seconds
            self._send(signal.SIGTERM)

    def reap(self) -> None:
        """Forget the workers that are gone, and kill those whose time is over."""
        if self._end is not None and time.monotonic() > self._end:
            self._send(signal.SIGKILL)
        self._send(0)

    def _send(self, number: int) -> None:
        for pid, descriptor in list(self._descriptors.items()):
            if not _sent(descriptor, number):
                del self._descriptors[pid]


def taken_over() -> tuple[int | None, list[int]]:
    """The descriptor to listen on and the workers, as the program before this one left them. None if there was none."""
    numbers = [int(word) for word in os.environ.pop(VARIABLE, '').split()]
    return (numbers[0], numbers[1:]) if numbers else (None, [])


def is_trial() -> bool:
    """Whether this process is to tell only if the product could be served."""
    return os.environ.get(VARIABLE) == TRIAL


def _is_child(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _sent(descriptor: int, number: int) -> bool:
    """False if the process is gone."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        os.close(descriptor)
        return False
    return True
