"""A product in a server process of its own, on a free port, with a data folder of its own."""
from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

from ..errors import UserError
from ..server import options

HOST = '127.0.0.1'
PATIENCE = 60.0  # seconds: a machine may be busy, and products do much when they are imported
MODULE = f'{__package__}.server'


class NotServed(UserError):
    """The product does not serve; the text is what its server said."""


class Served:
    """Serves from the time it is made until it is closed. It ends with this process, too, however that ends."""

    def __init__(self, product: Path, data: Path, log: Path) -> None:
        """Returns when calls are answered. `log` is what the server prints. Raises NotServed."""
        self._log = log
        receiver, self._lifeline = os.pipe()
        with socket.create_server((HOST, 0)) as listener, log.open('wb') as output:
            self.port: int = listener.getsockname()[1]
            words = [str(product), str(listener.fileno()), str(receiver)]
            self._process = subprocess.Popen(
                [sys.executable, '-m', MODULE, *words], pass_fds=(listener.fileno(), receiver),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=_environment(data),
                process_group=0,  # Ctrl-C is for the tests, which may stop in a debugger
            )
        os.close(receiver)
        self._wait()

    def _wait(self) -> None:
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
        try:
            connection.request('POST', '/')
            connection.getresponse()
        except (OSError, HTTPException):
            self.close()
            raise NotServed(self.log().strip() or 'the server ended without a word') from None
        finally:
            connection.close()

    def log(self, start: int = 0) -> str:
        """What the server printed, from a position on."""
        with self._log.open('rb') as file:
            file.seek(start)
            return file.read().decode(errors='replace')

    def position(self) -> int:
        """The end of the log as it is now."""
        return self._log.stat().st_size

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(OSError):
            os.close(self._lifeline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _environment(data: Path) -> dict[str, str]:
    """Without what would make the server another than the tests ask for, such as a certificate."""
    ours = {option.variable for option in options.OPTIONS}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {'APIPHANT_DATA': str(data), 'PYTHONUNBUFFERED': '1'}
