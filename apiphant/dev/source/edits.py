"""Edits of the text of a source file, at places that `ast` tells."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

LINE = re.compile(r'[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+')  # as Python counts lines
NEWLINE = re.compile(r'\r\n|\r|\n')


@dataclass(frozen=True, slots=True)
class Replacement:
    """Put `text` in place of what is from `start` to `end`."""
    start: int
    end: int
    text: str


class Source:
    """A text in lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[str] = LINE.findall(text)

    def offset(self, number: int, column: int) -> int:
        """Of a line, and a column in bytes of UTF-8, which is how `ast` counts."""
        line = self.lines[number - 1] if number <= len(self.lines) else ''
        return self.start_of(number) + len(line.encode()[:column].decode())

    def start_of(self, number: int) -> int:
        return sum(map(len, self.lines[:number - 1]))

    def extent(self, node: ast.expr) -> tuple[int, int]:
        """From where to where a node is."""
        start = self.offset(node.lineno, node.col_offset)
        return start, self.offset(node.end_lineno or 0, node.end_col_offset or 0)

    def indent(self, number: int) -> str:
        line = self.lines[number - 1]
        return line[:len(line) - len(line.lstrip(' \t'))]

    def edited(self, edits: Iterable[Replacement]) -> str:
        """With newlines as the text has them. Of two edits in one place, the first comes first."""
        newline = NEWLINE.search(self.text)
        text = self.text
        for edit in sorted(edits, key=lambda edit: edit.start)[::-1]:  # from the end on: what is before stays in place
            new = edit.text.replace('\n', newline[0] if newline else '\n')
            text = text[:edit.start] + new + text[edit.end:]
        return text
