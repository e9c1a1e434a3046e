"""Colours for a terminal: JSON, log lines and tracebacks. Without colour the text is as it was."""
from __future__ import annotations

import json
import os
import re
from functools import cache
from typing import Any, ClassVar

from pygments import highlight, lexer
from pygments.console import colorize
from pygments.formatter import Formatter
from pygments.formatters.terminal256 import Terminal256Formatter
from pygments.lexers.data import JsonLexer
from pygments.lexers.python import PythonLexer
from pygments.style import Style
from pygments.styles import get_style_by_name
from pygments.token import Keyword, Name, Number, Operator, String, Text, Token
from pygments.util import ClassNotFound

from ...api.actions import ACTIONS
from ...words import count
from .. import escapes
from ..line.values import json_text
from .reply import Reply

LARGE = 256 * 1024  # bytes
SHOWN = 4096
LONG = 2000  # characters of a line of source, above which it gets no colours: pygments takes 8 us for each
LEVELS = {'DEBUG': 'brightblack', 'INFO': 'green', 'WARNING': 'yellow', 'ERROR': 'red', 'CRITICAL': 'red'}
LOG = re.compile(r'(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)(?P<time> \d\d:\d\d:\d\d)(?P<text> .*)', re.DOTALL)
FRAME = re.compile(r'(?P<bars>[ |+-]*)File "(?P<path>[^"]*)", line (?P<line>\d+)(?P<rest>.*)', re.DOTALL)
BARS = re.compile(r'((?: *[|+] )?)(.*)', re.DOTALL)
ERROR = re.compile(r'(?P<name>[A-Za-z_](?:[\w.]|<locals>)*)(?P<text>: .*|)', re.DOTALL)

bygroups: Any = lexer.bygroups  # they have no types
using: Any = lexer.using


class Plain(Style):
    """The terminal's own colours, which its user can read whatever its background."""
    styles: ClassVar[dict[Any, str]] = {
        Token: '',
        Keyword: 'ansiblue',
        Name.Tag: 'ansiblue',
        Name.Class: 'ansicyan',
        String: 'ansigreen',
        Number: 'ansicyan',
        Keyword.Constant: 'ansicyan',
        Operator: 'ansimagenta',
    }


def style() -> type[Style]:
    """What APIPHANT_STYLE names, as far as pygments knows it."""
    try:
        return get_style_by_name(os.environ['APIPHANT_STYLE'])
    except (KeyError, ClassNotFound):
        return Plain


def unknown_style() -> str:
    """What APIPHANT_STYLE names, if pygments does not know it; else ''."""
    name = os.environ.get('APIPHANT_STYLE', '')
    return name if name and style() is Plain else ''


@cache
def _formatter() -> Formatter[str]:
    return Terminal256Formatter(style=style())


class LineLexer(lexer.RegexLexer):
    """A line of the console."""
    name = 'apiphant'
    tokens: ClassVar[dict[str, Any]] = {
        'root': [
            (rf'^(\s*)({"|".join(ACTIONS)})(\s+)(\S+)', bygroups(Text, Keyword, Text, Name.Class), 'request'),
            (r'^(\s*)(py)(\s+)(.*)', bygroups(Text, Keyword, Text, using(PythonLexer))),
            (r'^(\s*)(\w+)', bygroups(Text, Keyword)),
            (r'.|\n', Text),
        ],
        'request': [
            (r'(\s)([|>].*)', bygroups(Text, Operator)),
            (r'"(?:[^"\\]|\\.)*"(?=\s*:)', Name.Tag),
            (r'([\w.\[\]-]++)(:=)', bygroups(Name.Tag, Operator)),
            (r'([\w.\[\]-]++)(=)([$_][.\[]\S*)', bygroups(Name.Tag, Operator, Name.Class)),
            (r'([\w.\[\]-]++)(=)("(?:[^"\\]|\\.)*"?|\'[^\']*\'?|\S*)', bygroups(Name.Tag, Operator, String)),
            (r'[$_](?:[.\[][\w.\[\]"-]*)?', Name.Class),
            (r'"(?:[^"\\]|\\.)*"?', String),
            (r'-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b', Number),
            (r'\b(?:true|false|null)\b', Keyword.Constant),
            (r'[\w.\[\]-]+|.|\n', Text),
        ],
    }


def difference(changes: list[str], is_colour: bool) -> str:
    """Lines that begin with + and -."""
    return '\n'.join(map(_change, changes) if is_colour else changes)


def _change(line: str) -> str:
    colour = {'+': 'green', '-': 'red'}.get(line[:1])
    return colorize(colour, line) if colour else line


def reply(answer: Reply, is_colour: bool) -> str:
    """Status, time and size, and below them the body: indented if it is JSON."""
    return f'{status(answer, is_colour)}\n{body(answer.body, is_colour)}'


def status(answer: Reply, is_colour: bool) -> str:
    """With time and size."""
    words = escapes.shown(f'{answer.status} {answer.reason}')
    if is_colour:
        words = colorize('green' if answer.status < 400 else 'red', words)
    return f'{words}  {_duration(answer.seconds)}  {size(len(answer.body))}'


def body(content: bytes, is_colour: bool) -> str:
    """Of a large one only the beginning, as it came."""
    if len(content) > LARGE:
        start = escapes.shown(content[:SHOWN].decode('utf-8', 'replace'))
        return f'{start}\n... {size(len(content) - SHOWN)} more; try | less or > file'
    text = content.decode('utf-8', 'replace')
    try:
        text = json_text(json.loads(text), indent=2)
    except (ValueError, RecursionError):
        return escapes.shown(text)
    return highlight(text, JsonLexer(), _formatter()).rstrip('\n') if is_colour else text


def _duration(seconds: float) -> str:
    return f'{seconds * 1000:.1f} ms' if seconds < 1 else f'{seconds:.2f} s'


def size(number: int) -> str:
    if number < 10_000:
        return count(number, 'byte')
    return f'{number / 1000:.0f} kB' if number < 999_500 else f'{number / 1_000_000:.1f} MB'


class Painter:
    """Colours what an app prints, line by line.

    Keeps whether a traceback is being printed, and where one came from last.
    What could act on the terminal is escaped: all of it in a traceback; other lines may have the app's own colours.
    """

    def __init__(self) -> None:
        self.last_place: tuple[str, int] | None = None
        self._in_traceback = False

    def paint(self, text: str) -> str:
        return '\n'.join(self._line(line) for line in text.replace('\r\n', '\n').split('\n'))

    def _line(self, line: str) -> str:
        log, frame = LOG.match(line), FRAME.match(line)
        if frame:
            self._in_traceback = True
            self.last_place = frame['path'], int(frame['line'])
            path, number = colorize('cyan', escapes.shown(frame['path'])), colorize('cyan', frame['line'])
            return f'{frame["bars"]}File "{path}", line {number}{escapes.shown(frame["rest"])}'
        if log:
            self._in_traceback = False
            text = escapes.printed(log['text'], True)
            return colorize(LEVELS[log['level']], log['level']) + colorize('brightblack', log['time']) + text
        return self._of_traceback(escapes.shown(line)) if self._in_traceback and line else escapes.printed(line, True)

    def _of_traceback(self, line: str) -> str:
        """Source, the marks below it, or the error that ends it; in a group of errors, all behind bars."""
        match = BARS.fullmatch(line)
        assert match is not None  # it matches anything
        bars, text = match.groups()
        if text.startswith('    '):
            return bars + (_python(text) if text.strip(' ^~') else colorize('red', text))
        error = ERROR.fullmatch(text)
        if not error:
            return line
        self._in_traceback = bool(bars)
        return f'{bars}{colorize("red", error["name"])}{error["text"]}'


def _python(line: str) -> str:
    if len(line) > LONG:
        return line
    indent = line[:len(line) - len(line.lstrip())]
    return indent + highlight(line.strip(), PythonLexer(), _formatter()).rstrip('\n')
