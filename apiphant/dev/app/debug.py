"""`breakpoint()` in the app: pdb in the terminal that the console lends.

The terminal is asked for when the debugger first stops, and given back when the product's code goes on: with `c` or `q`,
or when its greenlet lets others run. Meanwhile nothing else runs in this process.
"""
from __future__ import annotations

import logging
import os
import pdb
import signal
import sys
import termios
from bdb import BdbQuit
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from gevent.event import AsyncResult
from gevent.lock import Semaphore
from greenlet import gettrace, settrace

from ..control import Channel
from ..escapes import Guarded

log = logging.getLogger(__name__)


class Terminal:
    """The console's terminal: `descriptor` is it, -1 if there is none. Held by one at a time, as the standard streams."""

    def __init__(self, channel: Channel, descriptor: int) -> None:
        self.is_held = False
        self._channel = channel
        self._descriptor = descriptor
        self._granted: AsyncResult[bool] = AsyncResult()
        self._turn = Semaphore()
        self._undo: list[Callable[[], Any]] = []

    def granted(self, is_granted: bool) -> None:
        """The console's answer."""
        self._granted.set(is_granted)

    def acquire(self) -> bool:
        """Returns whether it could be had."""
        if self.is_held:
            return True
        if self._descriptor < 0:
            return False
        with self._turn:
            self._granted = AsyncResult()
            self._channel.send(tty='acquire')
            is_granted = bool(self._granted.get())
        if is_granted:
            self._take()
        return is_granted

    def _take(self) -> None:
        sys.stdout.flush()
        for number in (0, 1):
            self._undo.append(partial(_put_back, os.dup(number), number))
            os.dup2(self._descriptor, number)
        self._undo.append(partial(setattr, sys, 'stdout', sys.stdout))
        sys.stdout = Guarded(sys.stdout)
        modes = termios.tcgetattr(self._descriptor)
        self._undo.append(lambda: termios.tcsetattr(self._descriptor, termios.TCSADRAIN, modes))
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, [*modes[:3], modes[3] | termios.ECHO | termios.ICANON, *modes[4:]])
        interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._undo.append(lambda: signal.signal(signal.SIGINT, interrupt))
        trace = gettrace()
        self._undo.append(lambda: settrace(trace))
        settrace(lambda event, greenlets: self.release())
        self.is_held = True

    def release(self) -> None:
        if self.is_held:
            self.is_held = False
            sys.stdout.flush()
            while self._undo:
                self._undo.pop()()
            self._channel.send(tty='release')


def _put_back(kept: int, number: int) -> None:
    os.dup2(kept, number)
    os.close(kept)


class Debugger(pdb.Pdb):
    """pdb that stops in the product's code only."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(skip=['apiphant.*', 'gevent.*'], nosigint=True)
        self._terminal = terminal

    def interaction(self, frame: FrameType | None, *arguments: Any, **options: Any) -> None:
        if self._terminal.acquire():
            super().interaction(frame, *arguments, **options)
        else:
            self.set_continue()

    def set_continue(self) -> None:
        super().set_continue()
        self._terminal.release()

    def set_quit(self) -> None:
        super().set_quit()
        self._terminal.release()


class QuitFilter(logging.Filter):
    """Leaving the debugger with `q` ends the call, which is no news: one line, no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[0] is BdbQuit:
            record.msg, record.args = f'{record.getMessage()} ended in the debugger', ()
            record.exc_info = None
        return True


def install(terminal: Terminal) -> None:
    """Make `breakpoint()` stop in the console's terminal, unless PYTHONBREAKPOINT names something else."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(QuitFilter())
    if 'PYTHONBREAKPOINT' not in os.environ:
        sys.breakpointhook = lambda *arguments, **options: _stop(terminal, sys._getframe(1))


def _stop(terminal: Terminal, frame: FrameType) -> None:
    if terminal.acquire():
        Debugger(terminal).set_trace(frame)
    else:
        log.warning('breakpoint() at %s:%d passed over: there is no terminal to debug in', frame.f_code.co_filename, frame.f_lineno)
