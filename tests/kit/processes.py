"""Processes and connections as tests look at them from outside, and servers that do not speak plain HTTP on a port."""
from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.kit.cpu import is_quick
from tests.kit.running import DEADLINE, Program, Server, wait_for

PROMPT = 1.0  # seconds for a normal request after a fault, on a machine that has nothing else to do


class Serving(Program):
    """`apiphant PRODUCT` anywhere: a unix socket, TLS, or where nothing is said."""

    def __init__(self, product: Path, *words: str, place: str = r' on (\S+), \d+ worker', **options: Any) -> None:
        super().__init__('-m', 'apiphant.cli', str(product), *words, **options)
        try:
            self.place = self.wait_for_line(place)[1] if place else ''
        except AssertionError:
            self.process.kill()
            raise


def children(pid: int) -> set[int]:
    """The processes that a process started, by whichever of its threads; none if it is gone."""
    found: set[int] = set()
    for listed in Path(f'/proc/{pid}/task').glob('*/children'):
        with suppress(OSError):  # that thread has just ended
            found.update(map(int, listed.read_text().split()))
    return found


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they did."""
    return [found for child in sorted(children(pid)) for found in (child, *descendants(child))]


def commands(pid: int) -> list[str]:
    """What a process's descendants are, as they were started: their words, with spaces between."""
    return [words for found in descendants(pid) if (words := _words_of(found))]


def _words_of(pid: int) -> str:
    try:
        return Path(f'/proc/{pid}/cmdline').read_text().replace('\0', ' ').strip()
    except OSError:
        return ''


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def workers_of(server: Program, number: int = 2) -> set[int]:
    """The worker processes, when there are so many."""
    wait_for(lambda: len(children(server.process.pid)) == number, f'{number} workers')
    return children(server.process.pid)


def free_port() -> int:
    """One that nobody listened on just now."""
    with socket.create_server(('127.0.0.1', 0)) as found:
        return int(found.getsockname()[1])


def is_free(port: int, host: str = '127.0.0.1') -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


def open_files(pid: int) -> list[str]:
    found = []
    with suppress(OSError):  # it is gone
        for entry in Path(f'/proc/{pid}/fd').iterdir():
            with suppress(OSError):  # closed meanwhile
                found.append(os.readlink(entry))
    return found


def cpu_of(pid: int) -> float:
    """Seconds of user and system time."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory_of(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def request_bytes(path: str, body: Any = None, *more: str) -> bytes:
    content = json.dumps(body or {}).encode()
    lines = [f'POST {path} HTTP/1.1', 'Host: localhost', f'Content-Length: {len(content)}', *more, '', '']
    return '\r\n'.join(lines).encode() + content


def connect(server: Server, sent: bytes = b'') -> socket.socket:
    connection = socket.create_connection((server.host, server.port), timeout=DEADLINE)
    connection.sendall(sent)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes or resets."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b''.join(parts)


def leaves(server: Program, number: int = signal.SIGTERM) -> int:
    """The exit status after a signal."""
    server.process.send_signal(number)
    return server.wait()


def answers_promptly(server: Server, path: str = '/api/v0/plain/read') -> Any:
    """The content of a normal request, which is 200 within a second, or would be on a machine of its own."""
    started = time.monotonic()
    status, content = server.post(path)
    taken = time.monotonic() - started
    assert status == 200, (status, content, server.text)
    assert is_quick(taken, PROMPT), f'{taken:.2f} s'
    return content


class Poller:
    """A client that calls all the time, with a new connection each; what goes wrong is in `failures`."""

    def __init__(self, call: Callable[[], tuple[int, Any]]) -> None:
        self.answers: list[Any] = []
        self.failures: list[Any] = []
        self.seconds: list[float] = []
        self._call = call
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._is_over.is_set():
            started = time.monotonic()
            try:
                status, content = self._call()
                self.seconds.append(time.monotonic() - started)
                (self.answers if status == 200 else self.failures).append(content)
            except Exception as error:
                self.failures.append(error)

    def __enter__(self) -> Poller:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join(DEADLINE)


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket that a server may inherit."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.set_inheritable(True)
        yield listener


def option_words(options: Mapping[str, object]) -> list[str]:
    return [word for name, value in options.items() for word in (f'--{name}', str(value))]


def option_variables(options: Mapping[str, object]) -> dict[str, str]:
    return {'APIPHANT_' + name.replace('-', '_').upper(): str(value) for name, value in options.items()}


def lines_like(program: Program, pattern: str) -> list[str]:
    return [line for line in program.lines if re.search(pattern, line)]


def app_of(parent: int, port: int) -> int:
    """The child of a process that accepts connections to the port; 0 if none does just now."""
    with socket.create_connection(('127.0.0.1', port), timeout=DEADLINE) as connection:
        own = connection.getsockname()[1]
        end = time.monotonic() + PROMPT
        while time.monotonic() < end:
            held = f'socket:[{_accepted(port, own)}]'
            for pid in children(parent):
                if held in open_files(pid):
                    return pid
            time.sleep(0.005)
    return 0


def _accepted(port: int, client: int) -> int:
    """The inode of the server's end of a connection, 0 before it is accepted."""
    ends = f':{port:04X}', f':{client:04X}'
    for line in Path('/proc/net/tcp').read_text().splitlines():
        _, local, remote, *rest = line.split()
        if (local[-5:], remote[-5:]) == ends:
            return int(rest[6])
    return 0
