"""Shell commands that an answer is piped to."""
from __future__ import annotations

import signal
import subprocess

from .signals import handled

PATIENCE = 1.0  # seconds for a command to end by itself


def feed(command: str, data: bytes, *, stdout: int | None = None) -> int:
    """Run a shell command with the data on its standard input; its exit status, negative for a signal.

    It need not read the data. Raises OSError where it cannot be started.
    """
    interrupts: list[int] = []  # Ctrl-C could come when there is a child, and nobody knows of it yet
    with handled(lambda number, frame: interrupts.append(number), signal.SIGINT):
        child = _start(command, stdout)
    try:
        if interrupts:
            raise KeyboardInterrupt
        _write(child, data)
        return child.wait()
    except BaseException:
        _end(child)
        raise


def _start(command: str, stdout: int | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(['sh', '-c', command], stdin=subprocess.PIPE, stdout=stdout, bufsize=0)
    except OSError as error:  # no sh, or a command that is longer than the system allows
        words = (error.strerror or '').lower()
        raise OSError(error.errno, f'the command cannot be given to sh: {words}') from None


def _write(child: subprocess.Popen[bytes], data: bytes) -> None:
    """Without a buffer: closing one flushes it, which would wait for a reader after Ctrl-C too."""
    assert child.stdin is not None
    rest = memoryview(data)
    try:
        with child.stdin as pipe:
            while rest:
                rest = rest[pipe.write(rest):]
    except BrokenPipeError:
        pass


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(PATIENCE)
    except BaseException:  # it ignores that, or a second Ctrl-C
        child.kill()
        child.wait()
