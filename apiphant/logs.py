"""Log lines: how they look, and where they go."""
from __future__ import annotations

import logging
import os
import select
from types import TracebackType

from .tracebacks import format_error

FORMAT = '%(levelname)s at %(place)s.%(funcName)s:%(lineno)d [%(asctime)s] %(message)s'
SHORT_FORMAT = '%(levelname)s %(asctime)s %(message)s'
SHORT_TIME = '%H:%M:%S'
POLL = select.poll  # as it is before gevent patches it
PIECE = 4096  # bytes that a pipe takes at once if it takes any
PATIENCE = 100  # ms
NAMES = ('apiphant.', 'gunicorn.')


def setup(is_short: bool = False, level: str = 'info') -> None:
    """For commands: log to standard error, in short lines where a person looks on."""
    handler = logging.StreamHandler() if is_short else Stream()
    handler.setFormatter(Formatter(SHORT_FORMAT, SHORT_TIME) if is_short else Formatter(FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    keep_on()


def keep_on() -> None:
    """Let nobody switch off the loggers of ours that there are: dictConfig does that to all that it does not name."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith(NAMES) and type(logger) is logging.Logger:
            logger.__class__ = OwnLogger


class OwnLogger(logging.Logger):
    """One that is never disabled. Levels and handlers are its users' affair, as with any."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, value: object) -> None:
        """Ignored."""


class Stream(logging.StreamHandler):  # type: ignore[type-arg]
    """Never waits long: when nobody reads the pipe that it writes to, it drops lines until somebody does."""

    _is_stuck = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            data = (self.format(record) + self.terminator).encode(errors='backslashreplace')
            descriptor = self.stream.fileno()
            for start in range(0, len(data), PIECE):
                self._is_stuck = not self._can_write(descriptor)
                if self._is_stuck:
                    return
                os.write(descriptor, data[start:start + PIECE])
        except (OSError, ValueError, AttributeError):
            pass  # closed, or a full disk: there is nowhere to say so

    def _can_write(self, descriptor: int) -> bool:
        poll = POLL()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0 if self._is_stuck else PATIENCE))


class Formatter(logging.Formatter):
    """Says where a line comes from, for modules of ours less "apiphant.". Formats exceptions with `format_error`."""

    def format(self, record: logging.LogRecord) -> str:
        is_ours = record.name.startswith('apiphant.')
        record.place = record.name.removeprefix('apiphant.') if is_ours else record.module
        return super().format(record)

    def formatException(self, ei: tuple[type[BaseException] | None, BaseException | None, TracebackType | None]) -> str:
        return format_error(ei[1]) if ei[1] is not None else super().formatException(ei)  # type: ignore[arg-type]
