"""Start to serve: options and address are checked, then the master process runs."""
from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gevent.monkey import is_module_patched

from .. import address, logs
from ..address import Address, AddressError
from ..api.product import find as find_product
from ..words import reason
from .options import BadOption, resolve
from .service import Service
from .takeover import FormerWorkers, is_trial, taken_over
from .temporary import folder
from .trial import try_import


def serve(path: str | Path, listen: str | Address = address.DEFAULT, **given: Any) -> None:
    """See apiphant.server.serve."""
    if is_module_patched('socket'):
        raise RuntimeError('serve() forks workers that patch themselves: call it in a process that is not patched')
    product = find_product(path)
    chosen = resolve(given, os.environ)
    _check(chosen)
    logs.setup(level=chosen['log_level'])
    if is_trial():
        try_import(product)
    descriptor, workers = taken_over()
    if descriptor is None:
        descriptor = _listener(listen, chosen['fd'], chosen['umask']).detach()
    Service(product, descriptor, chosen, FormerWorkers(workers)).run()


def _listener(listen: str | Address, descriptor: int | None, umask: int | None) -> socket.socket:
    """Raises AddressError."""
    if descriptor is not None:
        return _inherited(descriptor)
    return address.listen(address.parse(listen) if isinstance(listen, str) else listen, umask)


def _inherited(descriptor: int) -> socket.socket:
    """Raises AddressError."""
    for name in ('LISTEN_PID', 'LISTEN_FDS'):  # or gunicorn would listen on it a second time
        os.environ.pop(name, None)
    try:
        listener = socket.socket(fileno=os.dup(descriptor))
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise AddressError(f'descriptor {descriptor} is a socket that does not listen')
        return listener
    except OSError as error:
        raise AddressError(f'descriptor {descriptor} is no socket to listen on: {reason(error)}') from None


def _check(chosen: Mapping[str, Any]) -> None:
    """Raises BadOption where a file that an option names cannot be used."""
    log, pid = chosen['access_log'], chosen['pid']
    if log not in (None, '-'):
        _try('access-log', lambda: open(log, 'a').close())
    if pid and not _can_be_written(pid):
        raise BadOption(f'--pid {pid}: no file can be written there')
    _check_tls(chosen['certfile'], chosen['keyfile'])
    folder()


def _can_be_written(path: str) -> bool:
    folder = os.path.dirname(os.path.abspath(path))
    return os.access(folder, os.W_OK) and not os.path.isdir(path)


def _check_tls(certificate: str | None, key: str | None) -> None:
    """Raises BadOption."""
    if certificate:
        _try('certfile', lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key))
    elif key:
        raise BadOption('--keyfile is of no use without --certfile')


def _try(name: str, use: Callable[[], None]) -> None:
    try:
        use()
    except OSError as error:  # SSLError is one
        raise BadOption(f'--{name}: {error}') from None
