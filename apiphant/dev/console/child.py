"""The app as a child process: its descriptors, and the pump that reads its output."""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable
from fcntl import ioctl
from select import select
from struct import unpack
from termios import FIONREAD
from time import monotonic, sleep

from ...api.product import Product
from ..control import Channel
from .signals import blocked

LEAVE_TIMEOUT = 1.0  # seconds that the app has to leave when its lifeline ended
CHUNK = 65536


class App:
    """One app process with its descriptors: control channel, lifeline, output."""

    def __init__(self, product: Product, listener: socket.socket, write: Callable[[str], None], has_terminal: bool,
                 begin: dict[str, object] | None = None) -> None:
        """It begins with the product at once if it is told here how; else when it is told so."""
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        output, printed = os.pipe()
        terminal = os.dup(sys.stdin.fileno()) if has_terminal else -1
        inherited = (theirs.fileno(), listener.fileno(), lifeline, terminal)
        words = [str(product.path), *map(str, inherited), *([json.dumps(begin)] if begin else [])]
        with blocked(signal.SIGINT):  # until it wants it: it would die of a Ctrl-C while it starts
            self._process = subprocess.Popen(
                [sys.executable, '-P', '-m', 'apiphant.dev.app', *words], stdin=subprocess.DEVNULL, stdout=printed,
                stderr=printed, env={**os.environ, 'PYTHONUNBUFFERED': '1'},
                pass_fds=[number for number in inherited if number >= 0])
        for descriptor in (lifeline, printed, *([terminal] if has_terminal else [])):
            os.close(descriptor)
        theirs.close()
        self._lock = threading.Lock()
        self.begun = monotonic()  # with the product
        self.stopped = threading.Event()  # it accepts no more calls
        self.channel = Channel(ours)
        self.printed = Pump(output, write)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> str:
        """Wait for its end and its last lines; how it ended, in words."""
        status = self._process.wait()
        self._close()
        return f'was killed by {signal.Signals(-status).name}' if status < 0 else f'left with exit status {status}'

    def leave(self) -> None:
        """Let it end what it answers, and see to that."""
        self.signal(signal.SIGTERM)
        self.wait()

    def stop(self) -> None:
        """End it: it leaves when its lifeline ends, if it can."""
        self._end_lifeline()
        try:
            self._process.wait(LEAVE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def kill(self) -> None:
        """End it at once: there is nothing that it could lose."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self.printed.join(LEAVE_TIMEOUT)  # what the app started may go on, and print on
        self._end_lifeline()

    def _end_lifeline(self) -> None:
        """Once: that it died may be noticed while it is ended."""
        with self._lock:
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1


class Pump(threading.Thread):
    """Reads a pipe and writes whole lines of UTF-8; what is left of a line, at the end."""

    def __init__(self, source: int, write: Callable[[str], None]) -> None:
        super().__init__(name='pump', daemon=True)
        self._source = source
        self._write = write
        self._is_idle = threading.Event()
        self._is_idle.set()
        self.start()

    def run(self) -> None:
        decoder = getincrementaldecoder('utf-8')('replace')
        rest = ''
        while chunk := self._read():
            lines, newline, rest = (rest + decoder.decode(chunk)).rpartition('\n')
            if newline:
                self._write(lines + newline)
            self._is_idle.set()
        if rest:
            self._write(rest + '\n')
        os.close(self._source)

    def _read(self) -> bytes:
        """What comes next. Idle is over while it is still in the pipe: `settle` sees it in one place or the other."""
        select([self._source], [], [])
        self._is_idle.clear()
        return os.read(self._source, CHUNK)

    def settle(self, seconds: float) -> None:
        """Wait until the pipe is empty and its lines are written, at most so long."""
        deadline = monotonic() + seconds
        while self.is_alive() and monotonic() < deadline and self._has_more():
            sleep(0.001)

    def _has_more(self) -> bool:
        return bool(_available(self._source)) or not self._is_idle.is_set()


def _available(descriptor: int) -> int:
    """Bytes that wait in a pipe."""
    try:
        count: int = unpack('i', ioctl(descriptor, FIONREAD, bytes(4)))[0]
    except OSError:
        return 0
    return count
