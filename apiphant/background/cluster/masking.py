"""Keep secrets out of all that a process says: its log, tracebacks with it, and what libraries print."""
from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

MASK = '***'
LOGIN = r'(?<=://)[^/\s@\'"]*(?=@)'  # of any URL
SHORT = 4  # letters; what is shorter is masked in quotes only, or every line would be full of asterisks


def hide(secrets: Iterable[str]) -> None:
    """From now on, in this process. The handlers of the root logger should be there."""
    pattern = re.compile('|'.join([LOGIN, *map(_pattern, sorted(secrets, key=len, reverse=True))]))
    for handler in logging.getLogger().handlers:
        handler.setFormatter(MaskedFormatter(handler.formatter or logging.Formatter(), pattern))
    sys.stdout, sys.stderr = (MaskedStream(stream, pattern) for stream in (sys.stdout, sys.stderr))


def _pattern(secret: str) -> str:
    text = re.escape(secret)
    return text if len(secret) >= SHORT else rf'(?<=[\'"]){text}(?=[\'"])'


class MaskedFormatter(logging.Formatter):
    """Masks what another formatter makes."""

    def __init__(self, formatter: logging.Formatter, pattern: re.Pattern[str]) -> None:
        super().__init__()
        self._formatter, self._pattern = formatter, pattern

    def format(self, record: logging.LogRecord) -> str:
        return self._pattern.sub(MASK, self._formatter.format(record))


class MaskedStream:
    """Masks what is written to a text stream."""

    def __init__(self, stream: TextIO, pattern: re.Pattern[str]) -> None:
        self._stream, self._pattern = stream, pattern

    def write(self, text: str) -> int:
        self._stream.write(self._pattern.sub(MASK, text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self._stream.writelines(self._pattern.sub(MASK, line) for line in lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
