"""Serve a product: `serve()` with the server of our own, `application()` to any WSGI server.

Handlers import their marks from here, so importing this package must stay light: no gunicorn, no argparse, no gevent.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..address import DEFAULT
from ..api.actions import raw_environ, raw_response
from ..api.application import Application
from ..api.call import Call, current_call
from ..api.origin import VARIABLE, Origins
from ..api.product import find as find_product
from ..api.public import MAX_AGE, Public
from ..api.routing import load_product

if TYPE_CHECKING:
    from ..address import Address

__all__ = ('Call', 'application', 'current_call', 'raw_environ', 'raw_response', 'serve')


def application(path: str | Path, *, allow_origin: str | None = None) -> Application:
    """The WSGI callable of the product in the folder `path`, for gunicorn and the like:

        gunicorn "apiphant.server:application('myproduct')"

    `allow_origin` is that of the command `apiphant`; if it is not given, the variable APIPHANT_ALLOW_ORIGIN.
    Raises ProductError, BrokenProduct, and ValueError for what is no list of origins.
    """
    allowed = os.environ.get(VARIABLE, '') if allow_origin is None else allow_origin
    product = find_product(path)
    return Application(load_product(product), Origins(allowed), Public(product.public, MAX_AGE))


def serve(path: str | Path, listen: str | Address = DEFAULT, **given: Any) -> None:
    """Serve the product in the folder `path` on an address until SIGTERM or SIGINT, then leave with SystemExit.

    Options are those of the command `apiphant`: `workers=2`, `access_log='-'`. Those not given come from APIPHANT_*.
    The worker processes patch themselves, and import the product after that. This process should not be patched.
    Raises ProductError, AddressError, BadOption, and RuntimeError in a process that is patched.
    """
    from .options import check_platform  # noqa: PLC0415
    check_platform(os.environ)
    from .start import serve as start  # noqa: PLC0415  # gunicorn takes 60 ms, which a handler's import must not
    start(path, listen, **given)
