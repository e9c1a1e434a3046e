"""The template of `apiphant new`: tests/myproduct in a checkout, apiphant/new/myproduct in the wheel.

setup.py imports this module as well, so it imports nothing but the standard library.
"""
from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

NAME = 'myproduct'  # and the word to replace in it
FIXTURES = ('api/v0/self.py', 'api/test_self.py', 'api/test.sh')  # for the tests of apiphant itself
PASSING = ('__pycache__', '*.pyc', '.*_cache', '.venv', '.env', '*.egg-info')  # what work in a checkout leaves there


def find() -> Path:
    """The folder of the template."""
    here = Path(__file__).parent
    installed = here / NAME
    return installed if installed.is_dir() else here.parents[1] / 'tests' / NAME


def files(folder: Path) -> list[Path]:
    """The files of the template in the folder, relative to it and sorted."""
    paths = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return sorted(filter(_belongs, paths))


def _belongs(path: Path) -> bool:
    return path.as_posix() not in FIXTURES and not any(map(_is_passing, path.parts))


def _is_passing(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in PASSING)
