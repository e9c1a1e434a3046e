"""Servers that are measured: in an environment of their own, on a free port, ended with all that they started."""
from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHERS = (
    'gevent', 'gunicorn', 'packaging', 'flask', 'falcon', 'uvicorn[standard]', 'fastapi', 'granian', 'msgspec',
    'jurigged', 'hupper', 'django')
PERHAPS = ('bjoern', 'meinheld')  # of C sources, which not every machine and Python can build
BODY = '{"hello":"world"}'
REQUEST = (
    'POST /api/v0/echo/read HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
    f'Content-Length: {len(BODY)}\r\n\r\n{BODY}').encode()
START = 30  # seconds
END = 15


@dataclass(frozen=True)
class Candidate:
    """A server: what it is called, and its command with PORT in place of the port. Ours has our own Python."""
    name: str
    words: tuple[str, ...]
    is_ours: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def others() -> str:
    """The Python that has the other servers."""
    folder, wanted = ROOT / '.venv-bench', ' '.join(OTHERS)
    if not (folder / 'ready').exists() or (folder / 'ready').read_text() != wanted:
        venv.create(folder, with_pip=True)
        install(*OTHERS).check_returncode()
        missing = [name for name in PERHAPS if install(name).returncode]
        (folder / 'missing').write_text(' '.join(missing))
        (folder / 'ready').write_text(wanted)
    return str(folder / 'bin/python')


def install(*names: str) -> subprocess.CompletedProcess[bytes]:
    python = ROOT / '.venv-bench/bin/python'
    command = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *names]
    return subprocess.run(command, check=False)


def missing() -> list[str]:
    """Those of PERHAPS that could not be installed."""
    return (ROOT / '.venv-bench/missing').read_text().split()


@contextmanager
def running(candidate: Candidate, python: str, folder: Path) -> Iterator[tuple[int, list[int]]]:
    """Its port and its processes."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    words = [word.replace('PORT', str(port)) for word in candidate.words]
    process = subprocess.Popen(
        [sys.executable if candidate.is_ours else python, *words],
        cwd=folder, env={**os.environ, **candidate.environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until_answered(port)
        yield port, family(process.pid)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):  # what a reloader has started
        os.killpg(process.pid, signal.SIGKILL)


def wait_until_answered(port: int) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        try:
            with socket.create_connection(('127.0.0.1', port), 5) as connection:
                connection.sendall(REQUEST)
                if connection.recv(4096).startswith(b'HTTP/1.1 200'):
                    time.sleep(0.5)
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(port)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [pid, *(number for child in children for number in family(int(child)))]


def cpu(pids: list[int]) -> float:
    """Seconds, user and system."""
    fields = [Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf('SC_CLK_TCK')


def resident(pids: list[int]) -> float:
    """KB."""
    return sum(int(re.search(r'VmRSS:\s+(\d+)', Path(f'/proc/{pid}/status').read_text())[1]) for pid in pids)  # type: ignore[index]
