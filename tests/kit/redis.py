"""A redis-server of the tests' own: on a free port, with a password, and nothing on disk."""
from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.kit.processes import free_port
from tests.kit.running import wait_for

PASSWORD = 's3cret-w0rd'


class Redis:
    """Ends with the `with` block; `stop` and `start` in between make it go away and come back on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._options = options
        self.start()
        while self._process.poll() is not None:  # another took the port meanwhile
            self.port = free_port()
            self.start()

    @property
    def shown(self) -> str:
        return f'redis://127.0.0.1:{self.port}/0'

    @property
    def url(self) -> str:
        return f'redis://:{PASSWORD}@127.0.0.1:{self.port}/0'

    def start(self) -> None:
        command = shutil.which('redis-server')
        assert command, 'apt-get install redis-server'
        self._process = subprocess.Popen(
            [
                command, '--port', str(self.port), '--bind', '127.0.0.1', '--requirepass', PASSWORD, '--save', '',
                *self._options],
            cwd=self._folder, stdout=subprocess.DEVNULL)
        wait_for(lambda: self._process.poll() is not None or self._answers(), 'redis-server')

    def _answers(self) -> bool:
        try:
            return self.ask('PING') == 'PONG'
        except OSError:
            return False

    def ask(self, *words: str) -> str:
        """The answer of one command, when that is one line."""
        with socket.create_connection(('127.0.0.1', self.port), timeout=5) as connection:
            connection.sendall(f'AUTH {PASSWORD}\r\n{" ".join(words)}\r\n'.encode())
            lines = connection.makefile()
            lines.readline()
            return lines.readline().strip().lstrip('+:')

    def answer_has(self, command: str, text: str) -> bool:
        """Whether the text is in the answer of a command that has many lines."""
        with socket.create_connection(('127.0.0.1', self.port), timeout=5) as connection:
            connection.sendall(f'AUTH {PASSWORD}\r\n{command}\r\nQUIT\r\n'.encode())
            return text in connection.makefile().read()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()
