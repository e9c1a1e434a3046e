"""`apiphant new`: a product from the template, with its name in place of `myproduct`, whole or not at all."""
from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill

from ..api.product import ProductError, check_name, not_a_folder
from ..words import reason
from . import template

NAME = re.compile(r'[a-z][a-z0-9_]{,31}')  # a system user has at most 32 characters
WIDTH = 100
MADE = """Made {path}:

{listing}

To serve it, and call it from a prompt:

  {next}"""


def new(path: str) -> None:
    """Make the product `path`, and print its files and what to type next. Its name is the last part of the path.

    Raises ProductError if the name cannot be one, something is there already, or it cannot be written. Then nothing is
    left of it.
    """
    target = Path(path)
    _check_place(target)
    check_new_name(target.name, besides={Path.cwd(), target.parent.resolve()})
    try:
        files = _write(target)
    except OSError as error:
        raise ProductError(f'cannot make {path}: {reason(error)}') from None
    next_words = f'{_program()} dev {shlex.quote(str(target))}'
    print(MADE.format(path=target, listing=listing(files, target.name), next=next_words))


def check_new_name(name: str, besides: Iterable[Path] = ()) -> None:
    """Raises ProductError where a new product should not have this name.

    Modules in the folders `besides` may have it.
    """
    if not NAME.fullmatch(name):
        raise ProductError(
            f'{name!r} cannot be a product: its name becomes that of a Python package and of a system user, '
            f'so it is up to 32 of a-z, 0-9 and _, a letter first{_suggestion(name)}')
    check_name(name)
    if _is_installed(name, set(besides)):
        raise ProductError(
            f'a product cannot be called {name!r}: '
            'a module of that name is installed, and one would hide the other')


def listing(files: Iterable[Path], name: str) -> str:
    """The files by folder, a paragraph each."""
    by_folder = {
        str(Path(name, folder)): '  '.join(file.name for file in within)
        for folder, within in groupby(sorted(files, key=_parent), _parent)}
    width = max(map(len, by_folder)) + len('/')
    return '\n'.join(_paragraph(f'{folder}/'.ljust(width), names) for folder, names in by_folder.items())


def _parent(file: Path) -> Path:
    return file.parent


def _paragraph(folder: str, names: str) -> str:
    return fill(
        names, WIDTH, initial_indent=f'  {folder}  ', subsequent_indent=' ' * (len(folder) + 4),
        break_on_hyphens=False, break_long_words=False)


def renamed(file: Path, name: str) -> Path:
    return Path(str(file).replace(template.NAME, name))


def _suggestion(name: str) -> str:
    other = re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_').lstrip('0123456789_')
    return f'; try {other}' if NAME.fullmatch(other) else ''


def _is_installed(name: str, besides: set[Path]) -> bool:
    places = [place for place in sys.path if Path(place).resolve() not in besides]
    return any(finder.find_spec(name, places) for finder in sys.meta_path)


def _check_place(target: Path) -> None:
    if os.path.lexists(target):
        raise ProductError(f'{target} is there already, and stays as it is')
    if not target.parent.is_dir():
        raise ProductError(f'cannot make {target}: {target.parent} is {not_a_folder(target.parent)}')


def _write(target: Path) -> list[Path]:
    """Make the product beside its place, then move it there. Returns its files. Raises OSError."""
    with TemporaryDirectory(prefix=f'.{target.name}-', dir=target.parent) as folder:
        made = Path(folder) / target.name
        files = _copy(template.find(), made)
        target.mkdir()  # fails if somebody was faster; the next line alone would replace an empty folder
        try:
            made.rename(target)
        except OSError:
            target.rmdir()
            raise
    return files


def _copy(source: Path, made: Path) -> list[Path]:
    """The template with its name replaced. Returns the files that were made, relative to the product."""
    files = {file: renamed(file, made.name) for file in template.files(source)}
    for file, new_name in files.items():
        _copy_file(source / file, made / new_name, made.name)
    return list(files.values())


def _copy_file(old: Path, new: Path, name: str) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    is_executable = old.stat().st_mode & 0o111
    new.touch(0o777 if is_executable else 0o666)  # less the umask
    new.write_bytes(old.read_bytes().replace(template.NAME.encode(), name.encode()))


def _program() -> str:
    """How to call this command: by its name, or by its path where the name alone is not found."""
    if shutil.which('apiphant') or not os.access(sys.argv[0], os.X_OK):
        return 'apiphant'
    return shlex.quote(sys.argv[0])
