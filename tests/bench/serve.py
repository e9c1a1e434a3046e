"""Production servers beside each other, answering the same JSON echo, in one run.

    .venv/bin/python tests/bench/serve.py [SECONDS]         for each server and round, by default 4; three rounds

Prints requests per second, CPU time per request (user and system, of all processes of the server: steadier than the
rate on a shared machine), p50 and p99, memory, and what an idle kept-alive connection costs; each beside ours. Installs
the others into .venv-bench. Needs wrk: apt-get install wrk
"""
from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
OTHERS = (
    'gevent', 'gunicorn', 'packaging', 'flask', 'falcon', 'uvicorn[standard]', 'fastapi', 'granian', 'msgspec',
    'jurigged', 'hupper', 'django')
BODY = '{"hello":"world"}'
HEAD = 'POST /api/v0/echo/read HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
REQUEST = f'{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY}'.encode()
CONNECTIONS = 32
IDLE = 2000
ROUNDS = 3

APPS = {
    'bare_gevent.py': '''
import sys
from gevent import monkey; monkey.patch_all()
import socket
from gevent.server import StreamServer
ANSWER = (b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 38\\r\\n'
          b'Date: Sun, 22 Nov 2026 16:05:54 GMT\\r\\n\\r\\n{"hello":"world","server":"myproduct"}')
def handle(client, address):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while client.recv(65536):
            client.sendall(ANSWER)
    except OSError:
        pass
StreamServer(('127.0.0.1', int(sys.argv[1])), handle, backlog=1000).serve_forever()
''',
    'pywsgi.py': '''
import sys
from gevent import monkey; monkey.patch_all()
from gevent.pywsgi import WSGIServer
from plain import app
WSGIServer(('127.0.0.1', int(sys.argv[1])), app, log=None).serve_forever()
''',
    'plain.py': '''
import json
def app(environ, start_response):
    request = json.loads(environ['wsgi.input'].read(int(environ['CONTENT_LENGTH'])))
    request['server'] = 'myproduct'
    body = json.dumps(request).encode()
    start_response('200 OK', [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))])
    return [body]
''',
    'flask_app.py': '''
from flask import Flask, request
app = Flask(__name__)
@app.post('/api/v0/echo/read')
def read():
    return {**request.get_json(), 'server': 'myproduct'}
''',
    'falcon_app.py': '''
import falcon
class Echo:
    def on_post(self, request, response):
        response.media = {**request.get_media(), 'server': 'myproduct'}
app = falcon.App()
app.add_route('/api/v0/echo/read', Echo())
''',
    'fastapi_app.py': '''
from typing import Any
from fastapi import FastAPI
app = FastAPI()
@app.post('/api/v0/echo/read')
async def read(request: dict[str, Any]):
    return {**request, 'server': 'myproduct'}
''',
}


@dataclass(frozen=True)
class Candidate:
    """A server: what it is called, and its command with PORT in place of the port. `python` is whose it is."""
    name: str
    words: tuple[str, ...]
    is_ours: bool = False


CANDIDATES = (
    Candidate('apiphant', ('-m', 'apiphant.cli', str(ROOT / 'tests/myproduct'), '127.0.0.1:PORT'), is_ours=True),
    Candidate(
        'apiphant, 2 workers',
        ('-m', 'apiphant.cli', str(ROOT / 'tests/myproduct'), '127.0.0.1:PORT', '--workers', '2'), is_ours=True),
    Candidate('bare gevent loop', ('bare_gevent.py', 'PORT')),
    Candidate(
        'granian, bare WSGI',
        ('-m', 'granian', '--interface', 'wsgi', '--port', 'PORT', '--log-level', 'error', 'plain:app')),
    Candidate(
        'granian + Falcon',
        ('-m', 'granian', '--interface', 'wsgi', '--port', 'PORT', '--log-level', 'error', 'falcon_app:app')),
    Candidate(
        'uvicorn + FastAPI',
        ('-m', 'uvicorn', '--port', 'PORT', '--log-level', 'error', '--no-access-log', 'fastapi_app:app')),
    Candidate('gevent.pywsgi', ('pywsgi.py', 'PORT')),
    Candidate(
        'gunicorn gevent + Falcon',
        ('-m', 'gunicorn', '-k', 'gevent', '-b', '127.0.0.1:PORT', '--log-level', 'error', 'falcon_app:app')),
    Candidate(
        'gunicorn gevent + Flask',
        ('-m', 'gunicorn', '-k', 'gevent', '-b', '127.0.0.1:PORT', '--log-level', 'error', 'flask_app:app')),
)


@dataclass
class Figures:
    """Of a round: requests a second, CPU us a request, p50 and p99 in ms, MB resident, KB an idle connection."""
    rate: float
    cpu: float
    p50: float
    p99: float
    memory: float
    idle: float


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    if not shutil.which('wrk'):
        sys.exit('wrk is needed: apt-get install wrk')
    python = others()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in APPS.items():
            (folder / file).write_text(text)
        (folder / 'post.lua').write_text(
            f"wrk.method = 'POST'\nwrk.body = '{BODY}'\nwrk.headers['Content-Type'] = 'application/json'\n")
        rounds: dict[str, list[Figures]] = {candidate.name: [] for candidate in CANDIDATES}
        for number in range(ROUNDS):
            for candidate in CANDIDATES:
                print(f'round {number + 1}: {candidate.name}', file=sys.stderr)
                rounds[candidate.name].append(measure(candidate, python, folder, seconds))
    report(rounds)


def others() -> str:
    """The Python that has the other servers."""
    folder, wanted = ROOT / '.venv-bench', ' '.join(OTHERS)
    if not (folder / 'ready').exists() or (folder / 'ready').read_text() != wanted:
        venv.create(folder, with_pip=True)
        subprocess.run(
            [folder / 'bin/python', '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *OTHERS],
            check=True)
        (folder / 'ready').write_text(wanted)
    return str(folder / 'bin/python')


def measure(candidate: Candidate, python: str, folder: Path, seconds: float) -> Figures:
    with running(candidate, python, folder) as (port, pids):
        wrk(folder, port, 1)
        before = cpu(pids)
        rate, count, p50, p99 = wrk(folder, port, seconds)
        used = cpu(pids) - before
        memory = resident(pids)
        return Figures(rate, used / count * 1e6, p50, p99, memory / 1024, idle(port, pids))


@contextmanager
def running(candidate: Candidate, python: str, folder: Path) -> Iterator[tuple[int, list[int]]]:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    words = [word.replace('PORT', str(port)) for word in candidate.words]
    process = subprocess.Popen(
        [sys.executable if candidate.is_ours else python, *words], cwd=folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until_answered(port)
        yield port, family(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):  # what a reloader has started
            os.killpg(process.pid, signal.SIGKILL)


def wait_until_answered(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with socket.create_connection(('127.0.0.1', port), 1) as connection:
                connection.sendall(REQUEST)
                if connection.recv(4096).startswith(b'HTTP/1.1 200'):
                    time.sleep(0.5)
                    return
        except OSError:
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
    return sum(
        int(re.search(r'VmRSS:\s+(\d+)', Path(f'/proc/{pid}/status').read_text())[1])
        for pid in pids)  # type: ignore[index]


def wrk(folder: Path, port: int, seconds: float) -> tuple[float, int, float, float]:
    """Requests a second, requests, p50 and p99 in ms."""
    command = [
        'wrk', '-t1', f'-c{CONNECTIONS}', f'-d{seconds:g}s', '--latency', '-s', str(folder / 'post.lua'),
        f'http://127.0.0.1:{port}/api/v0/echo/read']
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if 'Non-2xx' in text or 'Socket errors' in text:
        raise RuntimeError(text)
    found = [
        re.search(pattern, text)
        for pattern in (
            r'Requests/sec:\s+([\d.]+)', r'(\d+) requests in', r'50%\s+([\d.]+)(us|ms|s)', r'99%\s+([\d.]+)(us|ms|s)')]
    rate, count, p50, p99 = (match for match in found if match)
    return float(rate[1]), int(count[1]), *(
        float(match[1]) * {'us': 0.001, 'ms': 1, 's': 1000}[match[2]]
        for match in (p50, p99))  # type: ignore[return-value]


def idle(port: int, pids: list[int]) -> float:
    """KB resident for each connection that has had an answer and is kept."""
    before = resident(pids)
    connections = []
    try:
        for _ in range(IDLE):
            connection = socket.create_connection(('127.0.0.1', port), 2)
            connection.sendall(REQUEST)
            connection.recv(4096)
            connections.append(connection)
        return (resident(pids) - before) / IDLE
    except OSError:  # granian takes no more connections than its backlog says
        return (resident(pids) - before) / max(1, len(connections))
    finally:
        for connection in connections:
            connection.close()


def report(rounds: dict[str, list[Figures]]) -> None:
    """The median of the rounds, and CPU beside ours."""
    middle = {
        name: Figures(*(median(getattr(figures, key) for figures in several) for key in Figures.__dataclass_fields__))
        for name, several in rounds.items()}
    ours = middle['apiphant'].cpu
    print(f'{"":26}{"req/s":>9}{"CPU us/req":>12}{"x ours":>8}{"p50 ms":>8}{"p99 ms":>8}{"MB":>7}{"KB/idle":>9}')
    for name, figures in middle.items():
        times = f'{figures.cpu:12.1f}{figures.cpu / ours:8.2f}{figures.p50:8.2f}{figures.p99:8.2f}'
        print(f'{name:26}{figures.rate:9.0f}{times}{figures.memory:7.0f}{figures.idle:9.1f}')


if __name__ == '__main__':
    main()
