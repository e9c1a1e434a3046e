"""What a process needs that runs tasks."""
from __future__ import annotations

import sys
from io import TextIOWrapper

import gevent


def prepare_process() -> None:
    """Write what tasks print line by line, also into a pipe, and hear of children from the first on."""
    gevent.get_hub().loop.install_sigchld()  # gevent does so after the first fork, when that child may have ended
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
