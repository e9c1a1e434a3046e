"""A file that is written whole or not at all: whoever reads it sees the old content or the new."""
from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write the pieces to a new file, and put it in place of the old one, with the same mode. Raises OSError."""
    new = path.with_name(f'.{path.name}.{secrets.token_hex(4)}')  # no .py: nothing should reload it
    try:
        _write(new, path, pieces)
        new.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            new.unlink()
        raise


def _write(new: Path, old: Path, pieces: Iterable[bytes]) -> None:
    with new.open('xb') as file:
        if old.exists():
            os.fchmod(file.fileno(), stat.S_IMODE(old.stat().st_mode))
        file.writelines(pieces)
