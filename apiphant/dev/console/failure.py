"""Errors in one line of words for a person: never our own traceback. Pure."""
from __future__ import annotations

import os
import traceback

from ..line.values import shortened

LONG = 200  # characters


def failed(line: str, error: BaseException) -> str:
    """What is said of a line that raised what nobody expected. The rest of the line may have secrets in it."""
    word = next(iter(line.split(maxsplit=1)), '')
    return f'{shortened(word)} could not be done: {reason(error)}'


def reason(error: BaseException) -> str:
    """What the system says, or else the error with its place."""
    if isinstance(error, OSError) and error.strerror:
        name = f': {shortened(os.fsdecode(error.filename))}' if isinstance(error.filename, (str, bytes)) else ''
        return f'{error.strerror}{name}'
    text = ' '.join(str(error).split())
    return f'{shortened(f"{type(error).__name__}: {text}", LONG)}{_place(error)}'


def _place(error: BaseException) -> str:
    """Where it was raised, to be told with a bug."""
    frames = traceback.extract_tb(error.__traceback__)
    return f' ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})' if frames else ''
