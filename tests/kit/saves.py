"""The six ways in which editors save a file: the watcher sees each of them differently."""
from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkstemp


def from_outside(path: Path, text: str) -> None:
    """R: written elsewhere, moved to its name."""
    handle, name = mkstemp(dir=outside(path))
    with os.fdopen(handle, 'w') as file:
        file.write(text)
    os.replace(name, path)


def outside(path: Path) -> Path:
    """A folder on the same file system that no server watches."""
    folder = next(parent for parent in path.parents if (parent / 'api').is_dir()).parent / '.outside'
    folder.mkdir(exist_ok=True)
    return folder


def beside(path: Path, text: str) -> None:
    """B: a temporary file beside it, moved to its name."""
    temporary = path.with_name(f'{path.name}.tmp{os.getpid()}')
    temporary.write_text(text)
    os.replace(temporary, path)


def in_place(path: Path, text: str) -> None:
    """I: opened, written at once."""
    path.write_text(text)


def halves(path: Path, text: str) -> None:
    """H: opened, half of it, and 20 ms later the rest."""
    with open(path, 'w') as file:
        file.write(text[:len(text) // 2])
        file.flush()
        time.sleep(0.02)
        file.write(text[len(text) // 2:])


def vim(path: Path, text: str) -> None:
    """V: a probe whether files can be made, the old one renamed away, a new one written, the old one removed."""
    probe, backup = path.with_name('4913'), path.with_name(path.name + '~')
    probe.touch()
    probe.unlink()
    if path.exists():
        os.rename(path, backup)
    path.write_text(text)
    backup.unlink(missing_ok=True)


def jetbrains(path: Path, text: str) -> None:
    """J: a temporary file, the old one renamed away, the temporary one renamed to it, the old one removed."""
    temporary, old = (path.with_name(f'{path.name}___jb_{kind}___') for kind in ('tmp', 'old'))
    temporary.write_text(text)
    if path.exists():
        os.rename(path, old)
    os.rename(temporary, path)
    old.unlink(missing_ok=True)


SAVES: dict[str, Callable[[Path, str], None]] = {
    'outside': from_outside, 'beside': beside, 'in_place': in_place, 'halves': halves, 'vim': vim,
    'jetbrains': jetbrains}
