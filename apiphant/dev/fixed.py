"""Files that no reload can follow: `.env`, extension modules, what is imported from outside the product. They take a new process."""
from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator

from ..product import Product

STANDARD = sysconfig.get_path('stdlib') + os.sep
PACKAGES = ('/site-packages/', '/dist-packages/')
SOURCES = ('.py', '.pyc')

Stamp = tuple[int, ...] | None


class Fixed:
    """Knows how these files were when it looked last."""

    def __init__(self, product: Product) -> None:
        self._folder = product.path
        self._within = str(product.path) + os.sep
        self._stamps = {path: _stamp(path) for path in self._environments()}

    def changed(self) -> str:
        """The first file that is not as it was, as a person would name it; '' for none. A file that was never seen has not changed."""
        before = self._stamps
        self._stamps = {path: _stamp(path) for path in [*self._environments(), *self._modules()]}
        return next((self._show(path) for path, stamp in self._stamps.items() if stamp != before.get(path, stamp)), '')

    @property
    def files(self) -> list[str]:
        """Those inside the product."""
        return [path for path in self._stamps if path.startswith(self._within)]

    def _environments(self) -> list[str]:
        return [str(folder / '.env') for folder in (self._folder, self._folder.parent)]

    def _modules(self) -> Iterator[str]:
        paths = {path for module in list(sys.modules.values()) if (path := getattr(module, '__file__', None))}
        return (path for path in paths if not _is_standard(path) and not self._is_swappable(path))

    def _is_swappable(self, path: str) -> bool:
        return path.startswith(self._within) and path.endswith(SOURCES)

    def _show(self, path: str) -> str:
        return path.removeprefix(self._within)


def _is_standard(path: str) -> bool:
    return path.startswith(STANDARD) and not any(part in path for part in PACKAGES)


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
