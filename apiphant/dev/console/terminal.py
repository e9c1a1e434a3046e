"""The terminal's settings and the history file."""
from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from ...api.product import Product, state_path
from .session import Session
from .signals import handled


def history_file(product: Product) -> str:
    """One a product, for its user only. Raises OSError if it cannot be written, RuntimeError if there is no home."""
    folder = state_path(product)
    path = folder.with_name(f'{folder.name}.history')
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.open('ab').close()
    return str(path)


def _interrupts(session: Session) -> AbstractContextManager[None]:
    """Ctrl-C goes to everybody in the terminal; while a debugger has it, it is the debugger's."""
    def interrupt(number: int, frame: FrameType | None) -> None:
        if not session.supervisor.is_lent:
            raise KeyboardInterrupt
    return handled(interrupt, signal.SIGINT)


@contextmanager
def terminal_kept() -> Iterator[None]:
    """The terminal's settings are afterwards what they were. Meanwhile what is typed ahead is not echoed into the output: the prompt shows it."""
    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)
    before = termios.tcgetattr(sys.stdin)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    if os.environ.get('TERM') != 'dumb':
        quiet = termios.tcgetattr(sys.stdin)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        try:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        except termios.error:
            pass  # the terminal is gone
