"""Where the output of a line goes: | jq .a, > file, >> file. Finds the shell command and feeds it; knows no calls and no terminal."""
from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from .bad_text import BadText
from .request_text import json_end

__all__ = ['BadText', 'feed', 'split']

# Quotes and brackets count where a request may have them, so that the ones in a=it's and a=[x are plain text.
MARK = re.compile(r"""
    (?<=\s)(?P<pipe>\||>>?)
    | (?:\A|(?<=[\s=@\[]))(?P<quoted>"[^"\\]*+(?:\\.[^"\\]*+)*+"?+|'[^']*+'?+)
    | (?:\A|(?<=\s)|(?<=:=))(?P<json>[{\[])
""", re.DOTALL | re.VERBOSE)
NEXT = {'|': 'A command comes next: | jq .', '>': 'A file comes next: > answer.json', '>>': 'A file comes next: >> answers.json'}
PATIENCE = 1.0  # seconds for a command to end by itself


def split(line: str) -> tuple[str, str]:
    """The line, and the shell command that its output goes to, '' for none. Raises BadText."""
    match = _pipe(line)
    if not match:
        return line, ''
    rest = line[match.end():].strip()
    if not rest:
        raise BadText(f'{match[0]} what? {NEXT[match[0]]}', match.start(), line)
    if not _is_passable(rest):
        raise BadText('the command holds a character that cannot be passed on', match.end(), line)
    return line[:match.start()].rstrip(), rest if match[0] == '|' else f'cat {line[match.start():].strip()}'


def _pipe(line: str) -> re.Match[str] | None:
    match = MARK.search(line)
    while match and not match['pipe']:
        match = MARK.search(line, json_end(line, match.start()) if match['json'] else match.end())
    return match


def _is_passable(command: str) -> bool:
    try:
        return b'\0' not in os.fsencode(command)
    except UnicodeEncodeError:
        return False


def feed(command: str, data: bytes, *, stdout: int | None = None) -> int:
    """Run a shell command with the data on its standard input; its exit status, negative for a signal. It need not read the data."""
    with _interrupts_noted() as interrupts:
        child = subprocess.Popen(['sh', '-c', command], stdin=subprocess.PIPE, stdout=stdout, bufsize=0)
    try:
        if interrupts:
            raise KeyboardInterrupt
        _write(child, data)
        return child.wait()
    except BaseException:
        _end(child)
        raise


@contextmanager
def _interrupts_noted() -> Iterator[list[int]]:
    """Ctrl-C in this block raises nothing: it could come when there is a child, and nobody knows of it yet."""
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def _write(child: subprocess.Popen[bytes], data: bytes) -> None:
    """Without a buffer: closing one flushes it, which would wait for a reader after Ctrl-C too."""
    assert child.stdin is not None
    rest = memoryview(data)
    try:
        with child.stdin as pipe:
            while rest:
                rest = rest[pipe.write(rest):]
    except BrokenPipeError:
        pass


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(PATIENCE)
    except BaseException:  # it ignores that, or a second Ctrl-C
        child.kill()
        child.wait()
