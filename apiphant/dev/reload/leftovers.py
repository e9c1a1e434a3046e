"""Greenlets, and threads, that run since a module was imported: gevent notes where each was made."""
from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from types import CodeType
from typing import Any

from gevent import Greenlet

from ...modules import is_a


def generations_at_work(folder: str) -> Counter[tuple[str, str]]:
    """How many generations of a module have greenlets that run, by its file below `folder` and 'greenlet' or 'thread'.

    Each import of a module compiles it, so their code tells generations apart. Takes some milliseconds.
    """
    running = (greenlet for greenlet in gc.get_objects() if is_a(greenlet, Greenlet) and not greenlet.dead)
    origins = {}
    for greenlet in running:
        if origin := _origin(greenlet, folder):
            code, kind = origin
            origins[id(code)] = code.co_filename, kind
    return Counter(origins.values())


def _origin(greenlet: Any, folder: str) -> tuple[CodeType, str] | None:
    """The code of the module whose import made it."""
    codes = list(_codes(greenlet.spawning_stack))
    is_thread = any(code.co_filename.endswith('/threading.py') for code in codes)
    for code in codes:
        if code.co_name == '<module>' and code.co_filename.startswith(folder):
            return code, 'thread' if is_thread else 'greenlet'
    return None


def _codes(frame: Any) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back
