"""A worker that answers nobody notices it itself, says so in the log, and leaves to be replaced.

A real thread calls the worker each second: it hands one end of a socket pair to the hub as a client's connection, and
asks over the other end. So the hub, its events, connections, parsers and greenlets are tried, without the listener,
which another worker may be the first to accept from. Whether this one accepts is seen at its acceptors: while clients
wait to be accepted, or nobody watches for them, somebody has to look for clients now and then.

A handler that does not let go of the hub is another matter: then the call is not answered either, but the main
thread is busy. After `--timeout`, which people choose by how long their handlers may block, the master ends that
worker. Here nothing counts but seconds in which the hub had its turn, or rests, and in which nobody was answered.
"""
from __future__ import annotations

import logging
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Sequence

from gevent.hub import Hub, get_hub
from gevent.monkey import get_original

from ..http.acceptor import Acceptor
from ..threads import QUICK, start_thread

EACH = 1.0  # seconds between two looks
LOOKS = 6  # in a row that find a worker deaf
CALL = b'OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

POLL = select.poll  # as it is before gevent patches it
Pair = get_original('socket', 'socketpair')

log = logging.getLogger(__name__)


class Ears:
    """Whether an acceptor accepts."""

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor
        self._inode = _inode(acceptor.descriptor)
        self._looks = 0
        self._times = 0

    def is_deaf(self) -> bool:
        """Whether, several times in a row, nobody looked for clients where somebody should, or not at the socket."""
        looks, acceptor = self._looks, self._acceptor
        self._looks = acceptor.looks
        is_due = not acceptor.is_watching or _is_ready(acceptor.descriptor)
        is_missed = is_due and looks == acceptor.looks
        is_lost = _inode(acceptor.descriptor) != self._inode
        self._times = self._times + 1 if is_missed or is_lost else 0
        return self._times >= LOOKS


class Call:
    """One call that a worker makes to itself."""

    def __init__(self, welcome: Callable[[socket.socket], None], hub: Hub) -> None:
        self._near, self._far = Pair()
        self._times = 0
        hub.loop.run_callback_threadsafe(welcome, self._far)
        self._near.setblocking(False)
        self._near.send(CALL)

    @property
    def is_answered(self) -> bool:
        return _is_ready(self._near.fileno())

    def is_late(self, is_idle: bool) -> bool:
        """Whether several times the worker had nothing else to do, and did not answer."""
        self._times += is_idle
        return self._times >= LOOKS

    def end(self) -> None:
        self._near.close()


class Pulse:
    """Looks after a worker. To be started in its main thread, of which nobody but the hub should be in the way."""

    def __init__(
            self, acceptors: Sequence[Acceptor], welcome: Callable[[socket.socket], None],
            leave: Callable[[], None]) -> None:
        self._hub = get_hub()
        self._main = threading.get_ident()
        self._acceptors = acceptors
        self._ears = [Ears(acceptor) for acceptor in acceptors]
        self._welcome = welcome
        self._leave = leave
        self._answered = -1
        self._has_turned = False
        self._beat = self._hub.loop.timer(EACH / 2, EACH / 2)
        self._is_over = False

    def start(self) -> None:
        self._beat.start(self._turn)
        start_thread(self._run)

    def stop(self) -> None:
        """The worker leaves, which its master looks after."""
        self._is_over = True
        self._beat.close()

    def _run(self) -> None:
        sleep = get_original('time', 'sleep')
        call: Call | None = None
        while not self._is_over:
            call = self._next(call)
            sleep(EACH)
            self._look(call, sleep)

    def _next(self, call: Call | None) -> Call | None:
        """The same as long as it has no answer; none while there is no descriptor for it."""
        if call and not call.is_answered:
            return call
        if call:
            call.end()
        try:
            return Call(self._welcome, self._hub)
        except OSError:
            return None

    def _look(self, call: Call | None, sleep: Callable[[float], None]) -> None:
        if self._is_over:
            return
        is_idle = self._is_idle()
        if call and not call.is_answered and call.is_late(is_idle):
            self._end('its own call', sleep, QUICK)
        elif sum(ears.is_deaf() for ears in self._ears):  # each of them has to look
            self._end('new clients', sleep, None)

    def _is_idle(self) -> bool:
        """Whether the hub has turned since the last look, or rests, and nobody has been answered."""
        before, has_turned = self._answered, self._has_turned
        self._answered = sum(acceptor.answered for acceptor in self._acceptors)
        self._has_turned = False
        frame = sys._current_frames().get(self._main)
        is_resting = frame is not None and frame.f_code is Hub.run.__code__
        return before == self._answered and (has_turned or is_resting)

    def _turn(self) -> None:
        """By a timer: callbacks, as of gevent.sleep(0), may have their turn many times before events have theirs."""
        self._has_turned = True

    def _end(self, what: str, sleep: Callable[[float], None], seconds: float | None) -> None:
        """Let the worker leave as it does when it is told to, in so many seconds, or in the time that its calls get."""
        log.error('A worker (pid %d) does not answer %s any more: it leaves and is replaced', os.getpid(), what)
        self._is_over = True
        self._hub.loop.run_callback_threadsafe(self._leave)
        if seconds is not None:
            sleep(seconds)
            os._exit(0)


def _inode(descriptor: int) -> int:
    """What is open there; 0 for nothing."""
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return 0


def _is_ready(descriptor: int) -> bool:
    """Whether something waits there, or it is none any more."""
    poll = POLL()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
