"""The prompt: reads lines with prompt_toolkit, which only `screen` knows beside this module."""
from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from types import FrameType

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.lexers import Lexer, PygmentsLexer
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import BaseStyle, Style, merge_styles, style_from_pygments_cls
from prompt_toolkit.validation import ValidationError, Validator

from .. import escapes
from ..line.completion import Candidate
from . import highlight
from .advice import Advice
from .failure import reason
from .screen import Screen
from .signals import handled

PASTED = 20  # characters that nobody types at once
TICK = 1.0  # seconds between two looks at what the toolbar says
DRAWN = (*range(0x2070), *range(0xd800, 0xe000))  # where all is that is escaped
MENU = 6  # lines kept free for the completion menu
STYLE = Style.from_dict({
    'bottom-toolbar': 'noreverse ansibrightblack',
    'validation-toolbar': 'noreverse ansired',
    'completion-menu': 'noreverse bg:default',
    'completion-menu.completion': 'noreverse bg:default fg:ansicyan',
    'completion-menu.completion.current': 'reverse fg:ansicyan',
    'completion-menu.meta.completion': 'noreverse bg:default fg:default',
    'completion-menu.meta.completion.current': 'reverse fg:default',
    'scrollbar.background': 'bg:default',
    'scrollbar.button': 'bg:default',
})


class Output(Vt100_Output):
    """Where prompt_toolkit draws. Its escapes are raw, what it has of others is escaped.

    Never asks the terminal where the cursor is: that costs a round trip at each redraw, and a warning where nobody
    answers. setup.py has an upper bound of prompt_toolkit for that and for `Char.display_mappings`, which it does not
    document.
    """

    def write(self, data: str) -> None:
        """Also moves to the start of a line with \\r."""
        super().write(data if data.isprintable() else '\r'.join(map(escapes.shown, data.split('\r'))))

    def get_rows_below_cursor_position(self) -> int:
        """So many at least; prompt_toolkit shows a toolbar where it knows."""
        return 1


class Input(Vt100Input):
    """What is typed while lines are written above the prompt is not echoed among them, and Ctrl-C stays a key."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(sys.stdin)
        self._screen = screen

    def cooked_mode(self) -> AbstractContextManager[None]:
        """The terminal as programs expect it: only for those."""
        return nullcontext() if self._screen.is_free.is_set() else super().cooked_mode()

    def read_keys(self) -> list[KeyPress]:
        """Many characters at once are a paste, also where the terminal does not say so: each alone would take 1 ms."""
        keys: list[KeyPress] = []
        for is_text, group in groupby(super().read_keys(), _is_text):
            presses = list(group)
            is_paste = is_text and len(presses) >= PASTED
            keys += [_paste(presses)] if is_paste else presses
        return keys


def _is_text(press: KeyPress) -> bool:
    return not isinstance(press.key, Keys) and press.key.isprintable()


def _paste(presses: Iterable[KeyPress]) -> KeyPress:
    return KeyPress(Keys.BracketedPaste, ''.join(press.data for press in presses))


class Reader:
    """Reads lines with everything that makes it comfortable."""

    def __init__(self, prompt: str, advice: Advice, screen: Screen, history: str, *, is_plain: bool) -> None:
        depth = ColorDepth.MONOCHROME if is_plain else ColorDepth.from_env()
        Char.display_mappings.update(_drawn())
        output = Output.from_pty(sys.stdout, term=os.environ.get('TERM'), default_color_depth=depth)
        self._screen = screen
        self._session: PromptSession[str] = PromptSession(
            prompt,
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: ' ' * width,
            completer=LineCompleter(advice),
            complete_while_typing=True,
            validator=LineValidator(advice),
            validate_while_typing=True,
            lexer=_lexer() if screen.is_colour else None,
            style=_style() if screen.is_colour else None,
            include_default_pygments_style=False,
            key_bindings=_bindings(advice),
            history=History(history, advice, screen) if history else InMemoryHistory(),
            reserve_space_for_menu=MENU,
            bottom_toolbar=None if is_plain else lambda: self._toolbar(advice, output.get_size().columns),
            refresh_interval=0 if is_plain else TICK,
            input=Input(screen),
            output=output,
        )

    def _toolbar(self, advice: Advice, columns: int) -> str:
        """What there is to say, or the rest of a message above it that is longer than the screen is wide."""
        mistake = self._session.default_buffer.validation_error
        rest = mistake.message[columns:] if mistake else ''
        if not rest:
            return escapes.shown(advice.toolbar(columns))
        return '\n'.join(rest[start:start + columns] for start in range(0, len(rest), columns))

    def read(self, default: str = '') -> str:
        """Raises EOFError, KeyboardInterrupt, SystemExit."""
        leaving = Leaving(self._session)
        with self._screen.prompting() as attach, handled(leaving.begin, signal.SIGTERM, signal.SIGHUP):
            try:
                return self._session.prompt(
                    default=default, pre_run=attach, handle_sigint=False, set_exception_handler=False)
            finally:
                leaving.end()


class Leaving:
    """SIGTERM and SIGHUP end the prompt from inside its loop, so that it puts the terminal back."""

    def __init__(self, prompt: PromptSession[str]) -> None:
        self._app = prompt.app
        self._error: SystemExit | None = None

    def begin(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signals."""
        self._error = SystemExit(128 + number)
        if not (self._app.is_running and self._app.loop):
            raise self._error
        self._app.loop.call_soon_threadsafe(self._exit, self._error)

    def _exit(self, error: SystemExit) -> None:
        if self._app.future and not self._app.future.done():  # else a key has just ended the line: see `end`
            self._app.exit(exception=error)

    def end(self) -> None:
        """When the prompt has ended, for whatever reason. Raises SystemExit if it is time to leave."""
        if self._error:
            raise self._error


class LineCompleter(Completer):
    """Candidates as they are now."""

    def __init__(self, advice: Advice) -> None:
        self._advice = advice

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        return map(_completion, self._advice.complete(document.text_before_cursor))


def _completion(candidate: Candidate) -> Completion:
    text, hint = escapes.shown(candidate.text), escapes.shown(candidate.hint)
    return Completion(candidate.text, -candidate.length, display=text, display_meta=hint)


class LineValidator(Validator):
    """Shows what is wrong below the line, and does not take it."""

    def __init__(self, advice: Advice) -> None:
        self._advice = advice

    def validate(self, document: Document) -> None:
        if problem := self._advice.problem(document.text):
            row, column = document.translate_index_to_position(problem[1])
            line = f'line {row + 1}, ' if document.line_count > 1 else ''
            raise ValidationError(problem[1], f'{escapes.shown(problem[0])} ({line}column {column + 1})')


class History(FileHistory):
    """Without what should not be written down. Where the file cannot be read or written, it goes on without."""

    def __init__(self, path: str, advice: Advice, out: escapes.Out) -> None:
        super().__init__(path)
        self._advice = advice
        self._out = out
        self._is_failing = False

    def append_string(self, string: str) -> None:
        if self._advice.may_be_kept(string):
            super().append_string(string)

    def load_history_strings(self) -> Iterable[str]:
        try:
            yield from super().load_history_strings()
        except OSError as error:
            self._say(error)

    def store_string(self, string: str) -> None:
        try:
            super().store_string(string)
        except OSError as error:
            self._say(error)

    def _say(self, error: OSError) -> None:
        """Once."""
        if not self._is_failing:
            self._is_failing = True
            self._out.say(f'No history is kept: {reason(error)}')


def _bindings(advice: Advice) -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add('enter', filter=has_focus(DEFAULT_BUFFER))  # not while searching the history
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if _is_choosing(buffer):
            buffer.complete_state = None  # what is chosen is in the line already
        elif advice.is_unfinished(buffer.text):
            buffer.insert_text('\n')
        else:
            buffer.validate_and_handle()

    @bindings.add('c-x', 'c-e', filter=has_focus(DEFAULT_BUFFER))
    def edit(event: KeyPressEvent) -> None:
        event.app.exit(result=f'edit {event.current_buffer.text}')
    return bindings


def _is_choosing(buffer: Buffer) -> bool:
    """Whether something was chosen from a menu of more than one thing."""
    menu = buffer.complete_state
    return menu is not None and menu.current_completion is not None and len(menu.completions) > 1


def _lexer() -> Lexer:
    return PygmentsLexer(highlight.LineLexer)


def _style() -> BaseStyle:
    return merge_styles([style_from_pygments_cls(highlight.style()), STYLE])


def _drawn() -> dict[str, str]:
    """How what is typed is drawn; the prompt has to know how wide that is."""
    return {char: escapes.shown(char) for char in escapes.UNSAFE.findall(''.join(map(chr, DRAWN)))}
