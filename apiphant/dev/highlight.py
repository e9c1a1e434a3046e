"""Colours for a terminal: JSON, log lines and tracebacks. Without colour the text is as it was."""
from __future__ import annotations

import json
import re

from pygments import highlight
from pygments.console import colorize
from pygments.formatters.terminal import TerminalFormatter
from pygments.lexers.data import JsonLexer
from pygments.lexers.python import PythonLexer

from .client import Reply

LEVELS = {'DEBUG': 'brightblack', 'INFO': 'green', 'WARNING': 'yellow', 'ERROR': 'red', 'CRITICAL': 'red'}
LOG = re.compile(r'(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)(?P<time> \d\d:\d\d:\d\d)(?P<text> .*)', re.DOTALL)
FRAME = re.compile(r'(?P<bars>[ |+-]*)File "(?P<path>[^"]*)", line (?P<line>\d+)(?P<rest>.*)', re.DOTALL)
BARS = re.compile(r'((?: *[|+] )?)(.*)', re.DOTALL)
ERROR = re.compile(r'(?P<name>[A-Za-z_](?:[\w.]|<locals>)*)(?P<text>: .*|\n?)', re.DOTALL)


def reply(answer: Reply, is_colour: bool) -> str:
    """Status, time and size, and below them the body: indented if it is JSON."""
    status = f'{answer.status} {answer.reason}'
    if is_colour:
        status = colorize('green' if answer.status < 400 else 'red', status)
    return f'{status}  {_duration(answer.seconds)}  {_size(len(answer.body))}\n{body(answer.body, is_colour)}'


def body(content: bytes, is_colour: bool) -> str:
    text = content.decode('utf-8', 'replace')
    try:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
    text = text.encode('utf-8', 'backslashreplace').decode()
    return highlight(text, JsonLexer(), TerminalFormatter()).rstrip('\n') if is_colour else text


def _duration(seconds: float) -> str:
    return f'{seconds * 1000:.1f} ms' if seconds < 1 else f'{seconds:.2f} s'


def _size(count: int) -> str:
    return f'{count} byte{"" if count == 1 else "s"}' if count < 10_000 else f'{count / 1000:.0f} kB'


class Painter:
    """Colours what an app prints, line by line, keeping whether a traceback is being printed."""

    def __init__(self) -> None:
        self._in_traceback = False

    def paint(self, text: str) -> str:
        return ''.join(map(self._line, text.splitlines(keepends=True)))

    def _line(self, line: str) -> str:
        log, frame = LOG.match(line), FRAME.match(line)
        if frame:
            self._in_traceback = True
            return f'{frame["bars"]}File "{colorize("cyan", frame["path"])}", line {colorize("cyan", frame["line"])}{frame["rest"]}'
        if log:
            self._in_traceback = False
            return colorize(LEVELS[log['level']], log['level']) + colorize('brightblack', log['time']) + log['text']
        return self._of_traceback(line) if self._in_traceback else line

    def _of_traceback(self, line: str) -> str:
        """Source, the marks below it, or the error that ends it; in a group of errors, all behind bars."""
        match = BARS.fullmatch(line)
        assert match is not None  # it matches anything
        bars, text = match.groups()
        if text.startswith('    '):
            return bars + (colorize('red', text.rstrip('\n')) + '\n' if not text.strip(' ^~\n') else _python(text))
        error = ERROR.fullmatch(text)
        if not error:
            return line
        self._in_traceback = bool(bars)
        return f'{bars}{colorize("red", error["name"])}{error["text"]}'


def _python(line: str) -> str:
    indent = line[:len(line) - len(line.lstrip())]
    return indent + highlight(line.strip(), PythonLexer(), TerminalFormatter())
