"""Serve a product: `serve()` with a server of our own, `application()` to any WSGI server.

Public names: serve, application, raw_environ, raw_response.
"""
from __future__ import annotations

import logging
import signal
import socket
from pathlib import Path

import gevent
from gevent.event import Event
from gevent.monkey import is_module_patched
from gevent.pool import Pool
from gevent.pywsgi import LoggingLogAdapter, WSGIServer

from . import address, product, routing
from .address import Address
from .app import Application, raw_environ, raw_response
from .product import BrokenProduct, Product
from .routing import Routes

__all__ = ('application', 'raw_environ', 'raw_response', 'serve')

GRACEFUL_TIMEOUT = 8.0  # seconds that running requests get when the server is told to stop

log = logging.getLogger(__name__)


def application(path: str | Path) -> Application:
    """The WSGI callable of the product in the folder `path`, for gunicorn and the like:

        gunicorn "apiphant.server:application('myproduct')"

    Raises ProductError, BrokenProduct.
    """
    return Application(load(product.find(path)))


def load(found: Product) -> Routes:
    """Import all targets of a product. Raises ProductError, BrokenProduct."""
    product.add_to_path(found)
    loaded, broken = routing.load(routing.scan(found)[0])
    if broken:
        raise BrokenProduct({target.module: error for target, error in broken})
    return routing.routes_of(loaded)


def serve(path: str | Path, listen: str | Address = address.DEFAULT) -> None:
    """Serve the product in the folder `path` on an address until SIGTERM or SIGINT. The process should be monkey-patched.

    Raises ProductError, BrokenProduct, AddressError, and RuntimeError in a process that is not patched.
    """
    if not is_module_patched('socket'):
        raise RuntimeError('serve() needs gevent in charge: run "from gevent import monkey; monkey.patch_all()" first of all')
    found = product.find(path)
    with address.listen(address.parse(listen) if isinstance(listen, str) else listen) as listener:
        routes = load(found)
        log.info('Serving %s: %s on %s', found.name, _count(len(routes), 'action'), address.of(listener).url)
        run(start(listener, Application(routes)), signal.SIGTERM, signal.SIGINT)


def start(listener: socket.socket, app: Application) -> WSGIServer:
    """A server that accepts from now on."""
    server = WSGIServer(listener, app, spawn=Pool(), log=None, error_log=LoggingLogAdapter(log, logging.ERROR))
    server.start()
    return server


def run(server: WSGIServer, *numbers: int) -> None:
    """Until one of the signals comes; then running requests are given time to end."""
    stopped = Event()
    for number in numbers:
        gevent.signal_handler(number, stopped.set)
    stopped.wait()
    log.info('Stopping')
    server.stop(GRACEFUL_TIMEOUT)


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}{"" if number == 1 else "s"}'
