"""Runners of background tasks, as a person starts them, and what their tasks print."""
from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest

from tests.kit.running import Program, clean_environment, write_tree

RUN = 'import sys; from apiphant.cli import background; sys.exit(background())'
HEAD = 'import gevent, os, sys, time\nfrom apiphant.background import cron, seconds\n\n'
ACTIVE = 'This runner is the one that sends the tasks'
NEEDS_REDIS = pytest.mark.skipif(
    not shutil.which('redis-server'), reason='no redis-server: apt-get install redis-server')


def background(folder: Path, files: Mapping[str, str], *words: str) -> Program:
    """`apiphant-background shop` in the folder, with the state beside it."""
    path = write_tree(folder, files)
    return Program('-c', RUN, 'shop', *words, cwd=path, env=clean_environment(XDG_STATE_HOME=str(folder / 'state')))


def tasks(text: str) -> dict[str, str]:
    """The files of a product with these tasks."""
    return {'shop/api/background.py': HEAD + dedent(text)}


def state_of(folder: Path) -> Path:
    return next(path for path in (folder / 'state/apiphant').iterdir() if path.is_dir())


def times(what: str, *programs: Program) -> list[float]:
    """When tasks printed this, and the time behind it."""
    lines = [line for program in programs for line in program.lines if line.startswith(f'{what} ')]
    return sorted(float(line.split()[1]) for line in lines)


def gaps(found: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(found)]
