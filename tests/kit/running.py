"""Real servers for tests: started on port 0, waited for with a deadline, ended with all that they started."""
from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

DEADLINE = 180.0  # seconds; generous, the machine may be busy
SERVING = re.compile(r'on https?://(?:\[?)(?P<host>[^\]\s]+?)(?:\]?):(?P<port>\d+)')
SAMPLE = Path(__file__).parents[1] / 'myproduct'
Value = TypeVar('Value')


def wait_for(condition: Callable[[], Value], what: str = '', deadline: float = DEADLINE) -> Value:
    """The first true value of the condition, or an AssertionError that says what was waited for."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f'waited {deadline:g} s for {what or condition}'
        time.sleep(0.002)


def clean_environment(**more: str) -> dict[str, str]:
    """The environment less what would change how the programs behave; .pyc files are written, as users have them."""
    dropped = ('PYTHONDONTWRITEBYTECODE', 'PYTHONUNBUFFERED', 'NO_COLOR', 'COLUMNS', 'LINES')
    return {**{name: value for name, value in os.environ.items() if name not in dropped}, **more}


def write_tree(folder: Path, files: Mapping[str, str]) -> Path:
    """Files by path relative to the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


class Program:
    """A process with its standard error gathered line by line, and its output beside it."""

    def __init__(self, *words: str, program: str = sys.executable, **options: Any) -> None:
        options.setdefault('env', clean_environment())
        self.process = subprocess.Popen(
            [program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            **options)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip('\n'))

    @property
    def text(self) -> str:
        return '\n'.join(self.lines)

    def wait_for_line(self, pattern: str, since: int = 0) -> re.Match[str]:
        """The first match in a line from number `since` on."""
        return wait_for(lambda: self._match(pattern, since), f'a line like {pattern!r} in:\n{self.text}')

    def _match(self, pattern: str, since: int) -> re.Match[str] | None:
        return next((match for line in self.lines[since:] if (match := re.search(pattern, line))), None)

    def wait(self, deadline: float = DEADLINE) -> int:
        status = self.process.wait(deadline)
        self._reader.join(deadline)
        return status

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


class Server(Program):
    """A program that says on which address it serves, and calls to it."""

    tls: ssl.SSLContext | None = None  # for clients, where it serves TLS

    def __init__(self, *words: str, **options: Any) -> None:
        super().__init__(*words, **options)
        try:
            found = self.wait_for_line(SERVING.pattern)
        except AssertionError:
            self.process.kill()
            raise
        self.host, self.port = found['host'], int(found['port'])

    def post(self, path: str, body: Any = None, method: str = 'POST') -> tuple[int, Any]:
        """Status and JSON of a call on a new connection; `body` is JSON, or bytes as they are."""
        status, _, content = self.ask(
            path, body if isinstance(body, bytes) or body is None else json.dumps(body).encode(), method)
        return status, json.loads(content)

    def ask(
            self, path: str, body: bytes | None = None, method: str = 'POST',
            headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        https = partial(http.client.HTTPSConnection, context=self.tls)
        connection = (https if self.tls else http.client.HTTPConnection)(self.host, self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def read(self, target: str, **request: Any) -> Any:
        """The answer of a read action of v0, which should be 200."""
        status, content = self.post(f'/api/v0/{target}/read', request)
        assert status == 200, (status, content, self.text)
        return content

    def exchange(self, sent: bytes) -> bytes:
        """All bytes that come back for these until the server closes."""
        with socket.create_connection((self.host, self.port), timeout=DEADLINE) as connection:
            connection.sendall(sent)
            return b''.join(iter(lambda: connection.recv(65536), b''))


@contextmanager
def dev(product: Path, *words: str, **options: Any) -> Iterator[Server]:
    """`apiphant dev PRODUCT --no-console` on a free port."""
    with Server('-m', 'apiphant.cli', 'dev', str(product), '127.0.0.1:0', '--no-console', *words, **options) as server:
        yield server


@contextmanager
def production(product: Path, *words: str, **options: Any) -> Iterator[Server]:
    """`apiphant PRODUCT` on a free port."""
    with Server('-m', 'apiphant.cli', str(product), '127.0.0.1:0', *words, **options) as server:
        yield server


def pywsgi(product: Path, **options: Any) -> Server:
    """The product under gevent's own WSGI server, by application()."""
    return Server('-m', 'tests.kit.programs.pywsgi', str(product), **options)


SERVERS = {'dev': dev, 'production': production, 'pywsgi': pywsgi}


def make_certificate(folder: Path) -> Path:
    """For 127.0.0.1, with its key."""
    certificate = folder / 'both.pem'
    make_key_and_certificate(certificate, certificate)
    return certificate


def make_key_and_certificate(key: Path, certificate: Path) -> None:
    """For 127.0.0.1, in two files."""
    subprocess.run([
        'openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
        '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate,
    ], check=True, capture_output=True)


@contextmanager
def https(product: Path, folder: Path, *words: str, **options: Any) -> Iterator[Server]:
    """The same over TLS, with a certificate that is made in the folder."""
    certificate = make_certificate(folder)
    with production(product, '--certfile', str(certificate), *words, **options) as server:
        server.tls = ssl.create_default_context(cafile=certificate)
        yield server


def run_cli(
        *words: str, module: str = 'apiphant.cli', stdin: str = '',
        **options: Any) -> subprocess.CompletedProcess[str]:
    """A command run to its end, with its output and errors apart."""
    options.setdefault('env', clean_environment())
    return subprocess.run(
        [sys.executable, '-m', module, *words], input=stdin, capture_output=True, text=True, timeout=DEADLINE,
        check=False, **options)
