"""A trial import: a process of its own tells whether the product can be imported, before anything depends on it."""
from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from gevent import monkey

from ..api.product import BrokenProduct, Product
from ..api.routing import load_product
from ..threads import leave_with_parent

log = logging.getLogger(__name__)


def try_import(product: Product, master: int | None = None, listeners: Iterable[Any] = ()) -> NoReturn:
    """End this process, with status 0 if the product can be imported. If it cannot, say why.

    The process does without the sockets of the master, and ends with it.
    """
    status = 1
    try:
        for listener in listeners:
            os.close(listener.fileno())
        if master is not None:
            leave_with_parent(master)
        _forget_handlers()
        monkey.patch_all()
        load_product(product)
        status = 0
    except BrokenProduct as error:
        say_broken(error)
    except BaseException:
        log.exception('The product cannot be imported:')
    finally:
        sys.stderr.flush()
        os._exit(status)


def say_broken(error: BrokenProduct) -> None:
    print(error.tracebacks, f'apiphant: {error}', sep='\n', file=sys.stderr, flush=True)


def _forget_handlers() -> None:
    """Of the signals that the master has its own ways with."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
