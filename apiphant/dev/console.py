"""The prompt: reads a line, has it interpreted, prints what comes of it. The one module that knows the terminal.

What the app prints goes above the prompt, and the half-typed line stays. Only one thread ever writes to the terminal
at a time: while a line is read that is the prompt's own event loop, otherwise whoever has something to say.
"""
from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import termios
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from prompt_toolkit.application.current import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from ..product import Product
from . import highlight
from .client import CallError, Reply
from .command import BadLine, Call, Leave, Show
from .completion import complete
from .session import Session, is_colour, started

REDRAW = 0.03  # seconds between two batches of lines above the prompt


def run(product: Product, listener: socket.socket, poll: float | None) -> int:
    """Prompt until the user leaves. Returns the exit status."""
    screen = Screen(is_colour(sys.stdout))
    with terminal_kept(), started(product, listener, screen.write, poll) as session:
        screen.write(f'Serving {product.name} on {session.address.url} - help tells what can be typed, Ctrl-D leaves.\n')
        read_line = _dumb_reader(product) if os.environ.get('TERM') == 'dumb' else _reader(session, screen)
        while (line := _next_line(read_line, session)) is not None:
            if not execute(line, session, screen):
                break
    return 0


def _next_line(read_line: Callable[[], str], session: Session) -> str | None:
    """A line; '' when Ctrl-C dropped it; None at the end."""
    try:
        return read_line()
    except KeyboardInterrupt:
        session.supervisor.interrupt()
        return ''
    except EOFError:
        return None


def execute(line: str, session: Session, screen: Screen) -> bool:
    """Do what a line says and print what comes of it. Returns False if that is to leave."""
    try:
        effect = session.interpret(line)
        if isinstance(effect, Call):
            screen.write(highlight.reply(_call(effect, session), screen.is_colour) + '\n')
        elif isinstance(effect, Show):
            screen.write(effect.text + '\n')
        return not isinstance(effect, Leave)
    except (BadLine, CallError) as error:
        screen.write(f'{error}\n')
    except KeyboardInterrupt:
        session.supervisor.interrupt()
        screen.write('\nCancelled.\n')
    return True


def _call(call: Call, session: Session) -> Reply:
    answer = session.call(call)
    session.settle()
    return answer


class Screen:
    """Where text goes: to the terminal, above the prompt if there is one. Any thread may write whole lines."""

    def __init__(self, is_colour: bool) -> None:
        self.is_colour = is_colour
        self._painter = highlight.Painter()
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._wake: Callable[[], None] | None = None

    def write(self, text: str) -> None:
        with self._lock:
            self._waiting.append(self._painter.paint(text) if self.is_colour else text)
            if self._wake:
                self._wake()
            else:
                self._flush()

    @contextmanager
    def prompting(self) -> Iterator[Callable[[], None]]:
        """While a line is read, text waits for the prompt's loop. Gives what the prompt is to call when it runs."""
        with self._lock:
            self._wake = _nobody
        try:
            yield self._attach
        finally:
            with self._lock:
                self._wake = None
                self._flush()

    def _attach(self) -> None:
        loop, has_text = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._wake = lambda: _call_in(loop, has_text.set)
        has_text.set()
        get_app().create_background_task(self._print_above(has_text))

    async def _print_above(self, has_text: asyncio.Event) -> None:
        while True:
            await has_text.wait()
            has_text.clear()
            if self._waiting:
                async with in_terminal():
                    with self._lock:
                        self._flush()
                await asyncio.sleep(REDRAW)

    def _flush(self) -> None:
        """Under the lock."""
        while self._waiting:
            sys.stdout.write(self._waiting.popleft())
        sys.stdout.flush()


def _nobody() -> None:
    """Nobody is to be woken: the prompt is about to start and looks then."""


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:  # closed: the line has been read, what waits is written then
        pass


class LineCompleter(Completer):
    """Targets and actions as they are now."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        start = -len(text.rpartition(' ')[2])
        return (Completion(word, start) for word in complete(text, self._session.version, self._session.supervisor.routes))


def _reader(session: Session, screen: Screen) -> Callable[[], str]:
    output = Vt100_Output.from_pty(sys.stdout, term=os.environ.get('TERM'), default_color_depth=ColorDepth.from_env())
    output.enable_cpr = False  # asking where the cursor is would cost a round trip at each redraw, and a warning where nobody answers
    prompt: PromptSession[str] = PromptSession(
        f'{session.product.name}> ',
        completer=LineCompleter(session),
        complete_while_typing=True,
        history=FileHistory(history_file(session.product)),
        output=output,
    )

    def read_line() -> str:
        with screen.prompting() as attach, _leaving_by_signal(prompt):
            return prompt.prompt(pre_run=attach, handle_sigint=False)
    return read_line


def _dumb_reader(product: Product) -> Callable[[], str]:
    """A terminal that cannot move the cursor gets no escapes."""
    def read_line() -> str:
        try:
            return input(f'{product.name}> ')
        except (KeyboardInterrupt, EOFError):
            print()
            raise
    return read_line


def history_file(product: Product) -> str:
    """One a product, for its user only."""
    state = Path(os.environ.get('XDG_STATE_HOME') or Path.home() / '.local' / 'state')
    path = state / 'apiphant' / ('-'.join(product.path.parts[1:]) + '.history')
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return str(path)


@contextmanager
def _leaving_by_signal(prompt: PromptSession[str]) -> Iterator[None]:
    """SIGTERM and SIGHUP end the prompt from inside its loop, so that it puts the terminal back."""
    def leave(number: int, frame: FrameType | None) -> None:
        error = SystemExit(128 + number)
        if prompt.app.is_running and prompt.app.loop:
            prompt.app.loop.call_soon_threadsafe(lambda: prompt.app.exit(exception=error))
        else:
            raise error
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminal_kept() -> Iterator[None]:
    """The terminal's settings are afterwards what they were."""
    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)
    before = termios.tcgetattr(sys.stdin)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        yield
    finally:
        try:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        except termios.error:
            pass  # the terminal is gone
