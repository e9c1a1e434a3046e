"""Where the output of a line goes: | jq .a, > file, >> file. Finds the shell command in the line."""
from __future__ import annotations

import ast
import os
import re

from .bad_text import BadText
from .json_with_paths import json_end

# Quotes and brackets count where a request may have them, so that the ones in a=it's and a=[x are plain text.
MARK = re.compile(r"""
    (?<=\s)(?P<pipe>\||>>?)
    | (?:\A|(?<=[\s=@\[]))(?P<quoted>"[^"\\]*+(?:\\.[^"\\]*+)*+"?+|'[^']*+'?+)
    | (?:\A|(?<=\s)|(?<=:=))(?P<json>[{\[])
""", re.DOTALL | re.VERBOSE)
BAR = re.compile(r'(?<=\s)\|(?=\s|\Z)')
NEXT = {
    '|': 'A command comes next: | jq .',
    '>': 'A file comes next: > answer.json',
    '>>': 'A file comes next: >> answers.json',
}


def split(line: str) -> tuple[str, str]:
    """The line, and the shell command that its output goes to, '' for none. Raises BadText."""
    return _cut(line, _pipe(line))


def split_python(line: str) -> tuple[str, str]:
    """The same of py EXPRESSION, where > and >> are Python's, and so is a | that an unfinished piece of Python precedes.

    Raises BadText.
    """
    for match in BAR.finditer(line):
        expression = line[:match.start()].split(maxsplit=1)[-1]
        if _is_python(expression):
            return _cut(line, match)
    return line, ''


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _cut(line: str, match: re.Match[str] | None) -> tuple[str, str]:
    if not match:
        return line, ''
    rest = line[match.end():].strip()
    if not rest:
        raise BadText(f'{match[0]} what? {NEXT[match[0]]}', match.start(), line)
    if not _is_passable(rest):
        raise BadText('the command holds a character that cannot be passed on', match.end(), line)
    command = rest if match[0] == '|' else f'cat {line[match.start():].strip()}'
    return line[:match.start()].rstrip(), command


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
