"""What has changed on disk since the last look."""
from __future__ import annotations

from pathlib import Path

from .files import File, Tree

SETTLING = 0.1  # seconds that a file may be missing, empty or half written, as editors do it, before that is believed


def _paths(tree: Tree) -> dict[str, str]:
    return {name: file.path for name, file in tree.items()}


def _is_being_written(file: File) -> bool:
    """As far as stat tells: changed just now, and by writing into it (a rename leaves the time of writing older)."""
    if file.stamp:
        return False
    try:
        status = Path(file.path).stat()
    except OSError:
        return True
    return status.st_mtime_ns == status.st_ctime_ns
