"""A trial import: a process of its own tells whether the product can be imported, before anything depends on it."""
from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from gevent import monkey
from gevent.monkey import get_original
from gunicorn.arbiter import Arbiter

from ..api.product import BrokenProduct, Product
from ..api.routing import load_product
from ..threads import leave_after

log = logging.getLogger(__name__)



def try_import(found: Product, master: int | None = None, listeners: Iterable[Any] = ()) -> NoReturn:
    """In a process of its own: leave with 0 if the product can be imported, else say why. Without the sockets, and not longer than the master."""
    status = 1
    try:
        for listener in listeners:
            os.close(listener.fileno())
        if master is not None:
            get_original('_thread', 'start_new_thread')(leave_after, (master,))
        for number in Arbiter.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        monkey.patch_all()
        load_product(found)
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
