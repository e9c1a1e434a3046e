"""Files that no reload can follow, but a new process: `.env`, extension modules, what is imported from elsewhere."""
from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from typing import Any

from ...api.product import Product
from ...modules import path_of
from .files import look_at

STANDARD = sysconfig.get_path('stdlib') + os.sep
PACKAGES = ('/site-packages/', '/dist-packages/')
SOURCES = ('.py', '.pyc')

SETTLING = 0.1  # seconds for which a file stays as it is when it is written whole

Fingerprint = str | tuple[int, ...] | None  # what tells a file from what it was: a digest, or what stat says


class RestartFiles:
    """Knows how these files were when the process began.

    `look_again(seconds)` is asked for when one is being written.
    """

    def __init__(self, product: Product, look_again: Callable[[float], Any]) -> None:
        self._folder = product.path
        self._within = str(product.path) + os.sep
        self._look_again = look_again
        self._known: dict[str, Fingerprint] = {}
        self._last: dict[str, Fingerprint] = {}

    def changed(self) -> str:
        """The first file that is not as it was and has come to rest, as a person would name it; '' for none.

        Each change is told once.
        """
        now: dict[str, Fingerprint] = {path: look_at(path).digest for path in self._environments()}
        now |= {path: stamp(path) for path in self._modules()}
        known = self._known = {path: self._known.get(path, found) for path, found in now.items()}
        last, self._last = self._last, now
        changed = [path for path, found in now.items() if found != known[path]]
        settled = [path for path in changed if now[path] == last.get(path)]
        if len(settled) < len(changed):
            self._look_again(SETTLING)
        self._known.update({path: now[path] for path in settled})
        return self._show(settled[0]) if settled else ''

    @property
    def files(self) -> list[str]:
        """All of them."""
        return list(self._known)

    def _environments(self) -> list[str]:
        return [str(folder / '.env') for folder in (self._folder, self._folder.parent)]

    def _modules(self) -> Iterator[str]:
        paths = set(map(path_of, list(sys.modules.values())))
        return (path for path in paths if path and not _is_standard(path) and not self._is_swappable(path))

    def _is_swappable(self, path: str) -> bool:
        return path.startswith(self._within) and path.endswith(SOURCES)

    def _show(self, path: str) -> str:
        return path.removeprefix(self._within).removeprefix(str(self._folder.parent) + os.sep)


def _is_standard(path: str) -> bool:
    return path.startswith(STANDARD) and not any(part in path for part in PACKAGES)


def stamp(path: str) -> Fingerprint:
    """What stat tells a file by, None if it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a path that no file can have is one
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
