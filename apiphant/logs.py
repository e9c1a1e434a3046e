"""Log lines, and tracebacks that show the user's frames only."""
from __future__ import annotations

import importlib
import logging
import os
import select
import traceback
from types import FrameType, TracebackType

FORMAT = '%(levelname)s at %(place)s.%(funcName)s:%(lineno)d [%(asctime)s] %(message)s'
SHORT_FORMAT = '%(levelname)s %(asctime)s %(message)s'
SHORT_TIME = '%H:%M:%S'
POLL = select.poll  # as it is before gevent patches it
PIECE = 4096  # bytes that a pipe takes at once if it takes any
PATIENCE = 100  # ms
HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
NAMES = ('apiphant.', 'gunicorn.')
OURS = (HERE, '<frozen importlib', os.path.dirname(os.path.abspath(importlib.__file__)) + os.sep)


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


def format_error(error: BaseException) -> str:
    """The traceback as Python prints it, less the frames of apiphant and of the import system."""
    try:
        return _format(error)
    except Exception:  # it, or the module that it comes from, does not let itself be looked at
        return f'{_place_of(error)}: {type(error).__name__}, which cannot be shown'


def is_from_outside(error: BaseException) -> bool:
    """Whether its traceback has a line that is not ours."""
    frames = traceback.walk_tb(BaseException.__dict__['__traceback__'].__get__(error))
    return any(not frame.f_code.co_filename.startswith(OURS) for frame, _ in frames)


def _place_of(error: BaseException) -> str:
    """Where it was raised, in code that is not ours."""
    frames = traceback.walk_tb(BaseException.__dict__['__traceback__'].__get__(error))
    places = [f'{frame.f_code.co_filename}:{line}' for frame, line in frames]
    return next((place for place in reversed(places) if not place.startswith(OURS)), 'somewhere')


def _format(error: BaseException) -> str:
    shown = traceback.TracebackException.from_exception(error)
    pending = [shown]
    while pending:
        part = pending.pop()
        part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(OURS)]
        linked = (part.__cause__, part.__context__, *(part.exceptions or ()))
        pending += filter(None, linked)
    return ''.join(shown.format()).rstrip()


def format_stack(frame: FrameType | None, depth: int | None = None) -> str:
    """Where code is, as a traceback shows it, less the frames of apiphant. Of `depth` frames, the innermost."""
    stack = traceback.extract_stack(frame)[-depth if depth else None:]
    shown = [part for part in stack if not part.filename.startswith(OURS)]
    return ''.join(traceback.format_list(shown)).rstrip()
