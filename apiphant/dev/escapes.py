"""Escapes what could act on a terminal: text, tabs, newlines and colours pass, all else is shown as text, like \\x1b.

This is the only way out to a terminal. Values go through `shown` before they are coloured, so that a colour in a value
is text too. What the app prints may have colours. To pipes and files everything goes as it is.
"""
from __future__ import annotations

import os
import re
from typing import Any, Protocol, TextIO

# C0 but tab and newline, DEL, C1, what turns the direction of text, and halves of surrogate pairs, which cannot be
# encoded.
_UNSAFE = '[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]'
_COLOUR = '\x1b\\[[0-9;:]{0,60}m'
UNSAFE = re.compile(_UNSAFE)
COLOUR = re.compile(_COLOUR)
_COLOUR_OR_UNSAFE = re.compile(f'(?P<colour>{_COLOUR})|{_UNSAFE}')
RESET = '\x1b[0m'


class Out(Protocol):
    """Where text for a person goes. Any thread may write."""

    def write(self, text: str) -> None:
        """What an app prints: whole lines, which may have colours."""

    def say(self, text: str) -> None:
        """A line of ours, which may have values of others in it."""


class StreamOut:
    """An Out that is a stream, and knows whether that is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._is_colour = is_colour(stream)

    def write(self, text: str) -> None:
        self._put(printed(text, self._is_colour) if self._is_terminal else text)

    def say(self, text: str) -> None:
        self._put(f'{shown(text) if self._is_terminal else text}\n')

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Guarded:
    """A terminal's stream as the app's own code has it, while a debugger lends it the terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(coloured(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_colour(stream: object) -> bool:
    """Whether colours go to a stream: a terminal that can, of a person that has not said no."""
    isatty = getattr(stream, 'isatty', None)
    return bool(isatty and isatty() and not os.environ.get('NO_COLOR') and os.environ.get('TERM') != 'dumb')


def shown(text: str) -> str:
    """Nothing in it acts on a terminal."""
    return UNSAFE.sub(_escape, text)


def coloured(text: str) -> str:
    """Nothing in it acts on a terminal but colours."""
    return _COLOUR_OR_UNSAFE.sub(lambda match: match['colour'] or _escape(match), text)


def shown_json(text: str) -> str:
    """The same JSON: characters that could act on a terminal are escaped as JSON does it."""
    return UNSAFE.sub(lambda match: f'\\u{ord(match[0]):04x}', text)


def printed(text: str, is_colour: bool) -> str:
    """What an app prints, for a terminal: a colour ends with its line, of a progress bar there is the last state."""
    return '\n'.join(_printed_line(line, is_colour) for line in text.split('\n'))


def _printed_line(line: str, is_colour: bool) -> str:
    line = _last_state(line.removesuffix('\r'))
    if not is_colour:
        return shown(line)
    line = coloured(line)
    return line + RESET if '\x1b' in line and not line.endswith(RESET) else line


def _last_state(line: str) -> str:
    """Progress bars begin with \\r each time. A \\r after other text is no such: it would hide that text."""
    return line.rpartition('\r')[2] if line.startswith('\r') else line


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f'\\x{number:02x}' if number < 0x100 else f'\\u{number:04x}'
