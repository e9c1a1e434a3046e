"""The console: reads a line, has it interpreted, and does what comes of it."""
from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from ...api.product import Product
from .. import gate
from ..line.command import BadLine, may_be_kept
from ..line.effect import Ask, Call, Do, Edit, Open, Save, Show, Watch
from ..line.values import shortened
from . import highlight, shell, table
from .advice import LineAdvice
from .failure import failed, reason
from .prompt import DumbReader, Reader
from .reply import CallError, Reply
from .screen import Screen
from .session import Session, started
from .terminal import _interrupts, history_file, terminal_kept

EDITOR = 'vi'
AROUND = 3  # lines
LONG = 80  # characters of a name in a message
EARLIER = 20  # values kept for each key


def run(product: Product, listener: socket.socket, *, poll: float | None, is_plain: bool) -> int:
    """Prompt until the user leaves. Returns the exit status."""
    screen = Screen(gate.is_colour(sys.stdout) and not is_plain)
    with terminal_kept(), started(product, listener, screen, poll, screen) as session:
        console = Console(session, screen)
        is_dumb = os.environ.get('TERM') == 'dumb'
        prompt = f'{product.name}> '
        screen.say(f'Serving {product.name} on {session.address.url} - help tells more, Ctrl-D leaves.')
        if screen.is_colour and (name := highlight.unknown_style()):
            screen.say(f'APIPHANT_STYLE is {name}, which is no style that pygments knows.')
        advice = LineAdvice(console)
        reader = DumbReader(prompt, advice) if is_dumb else Reader(
            prompt, advice, screen, _history(product, screen), is_plain=is_plain or bool(os.environ.get('NO_COLOR')))
        with _interrupts(session):
            console.run(reader.read)
    return 0


class Console:
    """Does what lines say, and prints what comes of it."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self.session = session
        self.screen = screen
        self.earlier: dict[str, list[str]] = defaultdict(list)
        self.served = 0  # calls of others when the prompt came last
        self._watched: Call | None = None
        self._seen = ''  # the answer that was shown of it
        self._next = ''
        session.supervisor.on_reload = lambda: threading.Thread(target=self._call_watched, daemon=True).start()

    def run(self, read: Callable[[str], str]) -> None:
        while True:
            try:
                self.screen.is_free.wait()
                self.served = self.session.supervisor.state.served
                line, self._next = self._next, ''
                if not self.execute(read(line)):
                    return
            except KeyboardInterrupt:
                self.session.supervisor.interrupt()
            except EOFError:
                return

    def execute(self, line: str) -> bool:
        """Do what a line says. Returns False if that is to leave. Whatever goes wrong is one line of text."""
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
        except KeyboardInterrupt:
            self.session.supervisor.interrupt()
            self.screen.say('\nCancelled.')
        return True

    def _call(self, call: Call) -> None:
        reply = self.session.call(call)
        self.session.settle()
        self._remember(call.request)
        if call.output:
            self.screen.show(highlight.status(reply, self.screen.is_colour) + '\n')
            self._pipe(call.output, reply.body + b'\n')
        else:
            self.screen.show(highlight.reply(reply, self.screen.is_colour) + '\n')
        if hint := self.session.suggestion(call, reply):
            self.screen.say(hint)

    def _pipe(self, command: str, data: bytes) -> None:
        status = shell.feed(command, data)
        if status:
            self.screen.say(f'{command}: exit status {status}')

    def _remember(self, request: dict[str, Any]) -> None:
        """Values, to be offered again."""
        for key, value in request.items():
            if isinstance(value, (str, int)) and not isinstance(value, bool) and may_be_kept(f'{key}='):
                text = str(value)
                self.earlier[key] = [text, *(other for other in self.earlier[key] if other != text)][:EARLIER]

    def _show(self, effect: Show) -> None:
        text = effect.text
        if effect.is_table and not effect.output:
            text = table.fit(gate.shown(text), get_terminal_size().columns)
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
            self.screen.show(f'{gate.shown(text)}\n')

    # Watching

    def _watch(self, effect: Watch) -> None:
        self._watched = effect.call
        if effect.call is None:
            self.screen.say('Nothing is watched any more.')
            return
        reply = self.session.call(effect.call)
        self.session.settle()
        self._seen = _text_of(reply)
        self.screen.show(highlight.reply(reply, self.screen.is_colour) + f'\nWatching {effect.call.action} {effect.call.target}.\n')

    def _call_watched(self) -> None:
        """In a thread, after a reload."""
        call = self._watched
        if call is None:
            return
        try:
            self._show_changes(call)
        except CallError as error:
            self.screen.say(f'{call.action} {call.target}: {error}')
        except Exception as error:
            self.screen.say(failed('watch', error))

    def _show_changes(self, call: Call) -> None:
        reply = self.session.call(call, is_kept=False)
        before, self._seen = self._seen, _text_of(reply)
        changes = _changes(before, self._seen)
        what = f' changed:\n{highlight.difference(changes, self.screen.is_colour)}' if changes else ': as before'
        self.screen.show(f'{call.action} {call.target}{what}\n')

    # Files

    def _edit(self, effect: Edit) -> None:
        """What comes of it is the next line to be typed: it does not run by itself."""
        with tempfile.TemporaryDirectory(prefix='apiphant-', ignore_cleanup_errors=True) as folder:
            path = Path(folder, 'line.txt')
            path.write_text(effect.text, 'utf-8', 'backslashreplace')
            self._open_editor(path, 1)
            self._next = _edited(path)

    def _open(self, effect: Open) -> None:
        folder = self.session.product.path
        place = (effect.path, effect.line) if effect.path else self.screen.painter.last_place
        if not place:
            raise BadLine('open what? There was no traceback yet: open api/v0/echo.py')
        candidates = (folder / place[0], folder.parent / place[0], Path(place[0]))
        path = next(filter(_is_file, candidates), None)
        if path is None:
            raise BadLine(f'there is no file {shortened(place[0], LONG)!r} in {folder}')
        self._open_editor(path, place[1])

    def _open_editor(self, path: Path, line: int) -> None:
        words = _editor()
        place = [f'+{line}'] if line > 1 and Path(words[0]).name in ('vi', 'vim', 'nvim', 'nano', 'emacs', 'micro', 'kak') else []
        try:
            subprocess.run([*words, *place, str(path)], check=False)
        except OSError as error:
            why = (error.strerror or '').lower()
            command = shlex.join(words)
            raise BadLine(f'{command} cannot be started ({why}); set VISUAL or EDITOR to one that can') from None

    def _save(self, effect: Save) -> None:
        self.screen.say(self.session.save(effect))

    def _do(self, effect: Do) -> None:
        if effect.what == 'clear' and os.environ.get('TERM') != 'dumb':
            self.screen.clear()
        elif effect.what == 'clear':
            self.screen.show('\n')


EFFECTS: dict[type, Callable[[Console, Any], None]] = {
    Call: Console._call, Show: Console._show, Ask: Console._ask, Watch: Console._watch, Edit: Console._edit, Open: Console._open,
    Save: Console._save, Do: Console._do}


def _text_of(reply: Reply) -> str:
    return gate.shown(f'{reply.status} {reply.reason}') + f'\n{highlight.body(reply.body, False)}'


def _changes(before: str, after: str) -> list[str]:
    """Lines that differ, with those around them; where others are left out, three points."""
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm='', n=AROUND)
    return [' ...' if line.startswith('@@') else line for line in lines if not line.startswith(('---', '+++', '@@ -1,', '@@ -1 '))]


def _editor() -> list[str]:
    """The words of $VISUAL or $EDITOR. Raises BadLine."""
    name = 'VISUAL' if os.environ.get('VISUAL') else 'EDITOR'
    text = os.environ.get(name) or EDITOR
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadLine(f'{name} is {text!r}, which is no command ({str(error).lower()}): EDITOR=vim') from None
    if not words or not words[0]:
        raise BadLine(f'{name} is {text!r}, which is no command: EDITOR=vim')
    return words


def _edited(path: Path) -> str:
    """What an editor left. Raises BadLine."""
    try:
        return path.read_bytes().decode().strip()
    except UnicodeDecodeError as error:
        raise BadLine(f'what was edited is no UTF-8 (byte {error.start + 1}), and is not taken') from None
    except FileNotFoundError:
        raise BadLine('the editor removed the file with the line, so nothing is taken') from None


def _is_file(path: Path) -> bool:
    """Not where there can be none: too long a name is an error before Python 3.14."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _history(product: Product, screen: Screen) -> str:
    """The file for it, or ''."""
    try:
        return history_file(product)
    except (OSError, RuntimeError) as error:  # Path.home() raises that
        screen.say(f'No history is kept: {reason(error)}')
        return ''
