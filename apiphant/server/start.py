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
from ..api import product
from . import options, takeover
from .options import BadOption
from .service import Service
from .takeover import Former
from .trial import try_import


def serve(path: str | Path, listen: str | Address = address.DEFAULT, **given: Any) -> None:
    """See apiphant.server.serve."""
    if is_module_patched('socket'):
        raise RuntimeError('serve() forks workers that patch themselves: call it in a process that is not patched')
    found = product.find(path)
    chosen = options.resolve(given, os.environ)
    _check(chosen)
    logs.setup(level=chosen['log_level'])
    if takeover.is_trial():
        try_import(found)
    taken, workers = takeover.taken_over()
    Service(found, _listener(listen, chosen['fd']).detach() if taken is None else taken, chosen, Former(workers)).run()


def _listener(listen: str | Address, descriptor: int | None) -> socket.socket:
    """Raises AddressError."""
    if descriptor is not None:
        return _inherited(descriptor)
    return address.listen(address.parse(listen) if isinstance(listen, str) else listen)


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
        raise AddressError(f'descriptor {descriptor} is no socket to listen on: {(error.strerror or str(error)).lower()}') from None


def _check(chosen: Mapping[str, Any]) -> None:
    """What options name has to be usable. Raises BadOption."""
    log, pid, certificate, key = (chosen[name] for name in ('access_log', 'pid', 'certfile', 'keyfile'))
    if log not in (None, '-'):
        _try('access-log', lambda: open(log, 'a').close())
    if pid and (os.path.isdir(pid) or not os.access(os.path.dirname(os.path.abspath(pid)), os.W_OK)):
        raise BadOption(f'--pid {pid}: no file can be written there')
    if key and not certificate:
        raise BadOption('--keyfile is of no use without --certfile')
    if certificate:
        _try('certfile', lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key))


def _try(name: str, use: Callable[[], None]) -> None:
    try:
        use()
    except OSError as error:  # SSLError is one
        raise BadOption(f'--{name}: {error}') from None
