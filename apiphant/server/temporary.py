"""Where the master and its workers keep the files by which workers tell that they are alive."""
from __future__ import annotations

import os
import tempfile

from .options import BadOption

IN_MEMORY = '/dev/shm'  # also there where the rest of the system is read-only


def folder() -> str:
    """In memory, where no disk can hold up a worker; else wherever files may be made. Raises BadOption."""
    if os.access(IN_MEMORY, os.W_OK | os.X_OK):
        return IN_MEMORY
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        raise BadOption(
            f'no folder for temporary files can be written to: neither {IN_MEMORY} nor /tmp; TMPDIR may name one',
        ) from None
