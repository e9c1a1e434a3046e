"""The user's editor: $VISUAL or $EDITOR, else vi."""
from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from ..line.context import BadLine

FALLBACK = 'vi'
TAKING_LINE = ('vi', 'vim', 'nvim', 'nano', 'emacs', 'micro', 'kak')  # editors that understand +LINE


def open_file(path: Path, line: int = 1) -> None:
    """Until the editor ends. Raises BadLine."""
    words = _words()
    place = [f'+{line}'] if line > 1 and Path(words[0]).name in TAKING_LINE else []
    try:
        subprocess.run([*words, *place, str(path)], check=False)
    except OSError as error:
        why = (error.strerror or '').lower()
        raise BadLine(f'{shlex.join(words)} cannot be started ({why}); set VISUAL or EDITOR to one that can') from None


def edit_text(text: str) -> str:
    """The text as the editor leaves it. Raises BadLine."""
    with tempfile.TemporaryDirectory(prefix='apiphant-', ignore_cleanup_errors=True) as folder:
        path = Path(folder, 'line.txt')
        path.write_text(text, 'utf-8', 'backslashreplace')
        open_file(path)
        return _left_in(path)


def _words() -> list[str]:
    name = 'VISUAL' if os.environ.get('VISUAL') else 'EDITOR'
    text = os.environ.get(name) or FALLBACK
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadLine(f'{name} is {text!r}, which is no command ({str(error).lower()}): EDITOR=vim') from None
    if not words or not words[0]:
        raise BadLine(f'{name} is {text!r}, which is no command: EDITOR=vim')
    return words


def _left_in(path: Path) -> str:
    try:
        return path.read_bytes().decode().strip()
    except UnicodeDecodeError as error:
        raise BadLine(f'what was edited is no UTF-8 (byte {error.start + 1}), and is not taken') from None
    except FileNotFoundError:
        raise BadLine('the editor removed the file with the line, so nothing is taken') from None
