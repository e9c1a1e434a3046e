"""The console: reads a line, has it interpreted, and does what comes of it."""
from __future__ import annotations

import os
import socket
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from ...api.product import Product
from .. import escapes
from ..line.command import may_be_kept
from ..line.context import BadLine
from ..line.effect import Ask, Call, Do, Edit, Open, Save, Show, Watch
from ..line.lines import lines_of
from ..line.values import shortened
from . import editor, highlight, shell, table
from .advice import LineAdvice
from .dumb_prompt import DumbReader
from .failure import failed
from .history import history_file
from .interrupts import Interrupts
from .prompt import Reader
from .reply import CallError
from .screen import Screen
from .session import Session, started
from .terminal import terminal_kept
from .watching import Watching

LONG = 80  # characters of a name in a message
EARLIER = 20  # values kept for each key

Read = Callable[[str], str]  # a line, from a default to be changed


def run(product: Product, listener: socket.socket, *, poll: float | None, is_plain: bool) -> int:
    """Prompt until the user leaves. Returns the exit status."""
    screen = Screen(escapes.is_colour(sys.stdout) and not is_plain)
    with terminal_kept(), started(product, listener, screen, poll, screen) as session:
        console = Console(session, screen)
        screen.say(f'Serving {product.name} on {session.address.url} - help tells more, Ctrl-D leaves.')
        if screen.is_colour and (name := highlight.unknown_style()):
            screen.say(f'APIPHANT_STYLE is {name}, which is no style that pygments knows.')
        read = _reader(console, is_plain=is_plain)
        with console.interrupts.handled():
            console.run(read)
    return 0


def _reader(console: Console, *, is_plain: bool) -> Read:
    product, screen = console.session.product, console.screen
    prompt, advice = f'{product.name}> ', LineAdvice(console)
    if os.environ.get('TERM') == 'dumb':
        return DumbReader(prompt, advice, console.interrupts).read
    is_plain = is_plain or bool(os.environ.get('NO_COLOR'))
    return Reader(prompt, advice, screen, history_file(product, screen), is_plain=is_plain).read


class Console:
    """Does what lines say, and prints what comes of it."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self.session = session
        self.screen = screen
        self.interrupts = Interrupts(lambda: session.supervisor.is_lent)
        self.earlier: dict[str, list[str]] = defaultdict(list)
        self.served = 0  # calls of others when the prompt came last
        self._next = ''  # what the next line begins as
        self._watching = Watching(session, screen)
        session.supervisor.on_reload = self._watching.look

    def run(self, read: Read) -> None:
        while True:
            try:
                self.screen.is_free.wait()
                self.served = self.session.supervisor.served
                line, self._next = self._next, ''
                if not self.execute(read(line)):
                    return
            except KeyboardInterrupt:
                self.session.supervisor.interrupt()
            except EOFError:
                return

    def execute(self, text: str) -> bool:
        """Do what lines say. Returns False if one is to leave. Whatever goes wrong is one line of text."""
        try:
            with self.interrupts.allowed():
                return all(self._execute(line) for _, line in lines_of(text))
        except KeyboardInterrupt:
            self.session.supervisor.interrupt()
            self.screen.say('\nCancelled.')
        return True

    def _execute(self, line: str) -> bool:
        try:
            effect = self.session.interpret(line)
            if effect == Do('quit'):
                return False
            if handle := EFFECTS.get(type(effect)):
                handle(self, effect)
        except (BadLine, CallError) as error:
            if str(error):
                self.screen.say(str(error))
        except Exception as error:
            self.screen.say(failed(line, error))
        return True

    # Calls

    def _call(self, call: Call) -> None:
        reply = self.session.call(call)
        self.session.settle()
        self._remember(call.request)
        if call.output:
            self.screen.show(highlight.status(reply, self.screen.is_colour) + '\n')
            self._pipe(call.output, reply.output)
        else:
            self.screen.show(highlight.reply(reply, self.screen.is_colour) + '\n')
        if hint := self.session.suggestion(call, reply):
            self.screen.say(hint)

    def _remember(self, request: dict[str, Any]) -> None:
        """Values, to be offered again."""
        for key, value in request.items():
            if isinstance(value, (str, int)) and not isinstance(value, bool) and may_be_kept(f'{key}='):
                text = str(value)
                others = [other for other in self.earlier[key] if other != text]
                self.earlier[key] = [text, *others][:EARLIER]

    def _save(self, effect: Save) -> None:
        self.screen.say(self.session.save(effect))

    def _watch(self, effect: Watch) -> None:
        if effect.call:
            self._watching.begin(effect.call)
        else:
            self._watching.end()

    # Text

    def _show(self, effect: Show) -> None:
        text = effect.text
        if effect.is_table and not effect.output:
            text = table.fit(escapes.shown(text), get_terminal_size().columns)
        self._print(text, effect.output)

    def _ask(self, effect: Ask) -> None:
        answer = self.session.ask(effect)
        self.session.settle()
        if answer:
            self._print(answer, effect.output)

    def _print(self, text: str, output: str) -> None:
        if output:
            self._pipe(output, f'{text}\n'.encode(errors='backslashreplace'))
        else:
            self.screen.show(f'{escapes.shown(text)}\n')

    def _pipe(self, command: str, data: bytes) -> None:
        with self.screen.given_away():
            status = shell.feed(command, data)
            self.screen.begin_line()
        if status:
            self.screen.say(f'{command}: exit status {status}')

    def _do(self, effect: Do) -> None:
        if effect.what == 'clear' and os.environ.get('TERM') != 'dumb':
            self.screen.clear()
        elif effect.what == 'clear':
            self.screen.show('\n')

    # Files

    def _edit(self, effect: Edit) -> None:
        """What comes of it is the next line to be typed: it does not run by itself."""
        self._next = effect.text  # also where there is no editor
        with self._given_to_editor():
            self._next = editor.edit_text(effect.text)

    def _open(self, effect: Open) -> None:
        place = (effect.path, effect.line) if effect.path else self.screen.painter.last_place
        if not place:
            raise BadLine('open what? There was no traceback yet: open api/v0/echo.py')
        path = self._find(place[0])
        with self._given_to_editor():
            editor.open_file(path, place[1])

    @contextmanager
    def _given_to_editor(self) -> Iterator[None]:
        """The terminal, and its Ctrl-C."""
        with self.screen.given_away(), self.interrupts.held():
            yield

    def _find(self, name: str) -> Path:
        """A file by its path in the product, beside it, or anywhere."""
        folder = self.session.product.path
        for path in (folder / name, folder.parent / name, Path(name)):
            if _is_file(path):
                return path
        raise BadLine(f'there is no file {shortened(name, LONG)!r} in {folder}')


EFFECTS: dict[type, Callable[[Console, Any], None]] = {
    Call: Console._call,
    Save: Console._save,
    Watch: Console._watch,
    Show: Console._show,
    Ask: Console._ask,
    Do: Console._do,
    Edit: Console._edit,
    Open: Console._open,
}


def _is_file(path: Path) -> bool:
    """Not where there can be none: too long a name is an error before Python 3.14."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
