"""A process that waits for its turn: it has the packages imported that the product will want, but no product.

It imports slowly, so that others get the processor. Once it is asked to begin it hurries.
"""
from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from time import process_time
from typing import Any

from ...modules import is_a, path_of
from ..reload.restarts import Fingerprint, stamp

SHARE = 2  # times what an import took of the processor, for which it rests then
INSTALLED = ('/site-packages/', '/dist-packages/')


def packages(product: str, until: int | None) -> list[str]:
    """Installed modules that this process has imported, in that order, for a standby to import.

    Not those after the first `until` modules: the product had changed by then how packages import.
    """
    loaded = list(sys.modules.items())[:until]
    return [name for name, module in loaded if is_a(name, str) and _is_installed(name, module, product)]


def _is_installed(name: str, module: Any, product: str) -> bool:
    path = path_of(module)
    is_ours = name.partition('.')[0] in (product, 'apiphant')
    return not is_ours and any(part in path for part in INSTALLED)


def warm(names: Iterable[str], rest: Callable[[float], object]) -> None:
    """Import these. `rest(seconds)` returns something true when there is no more time for that."""
    for name in names:
        began = process_time()
        if name not in sys.modules:
            _try_import(name)
        if rest((process_time() - began) * SHARE):
            return


def _try_import(name: str) -> None:
    """Whatever goes wrong, goes wrong again when the product imports it, and is told then."""
    try:
        importlib.import_module(name)
    except BaseException:
        sys.modules.pop(name, None)


def stamps() -> dict[str, Fingerprint]:
    """What the files are that this process has imported, by path."""
    paths = set(map(path_of, list(sys.modules.values())))
    return {path: stamp(path) for path in paths if path}


def is_outdated(known: dict[str, Fingerprint]) -> bool:
    """Whether one of these files is another by now."""
    return any(stamp(path) != before for path, before in known.items())


def begin_anew(begin: dict[str, Any]) -> None:
    """In this process, with all modules as they are now."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.execv(sys.executable, [*sys.orig_argv, json.dumps(begin)])
