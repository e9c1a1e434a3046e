"""Tracebacks that show the user's frames only."""
from __future__ import annotations

import importlib
import os
import traceback
from types import FrameType

HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
OURS = (HERE, '<frozen importlib', os.path.dirname(os.path.abspath(importlib.__file__)) + os.sep)


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
