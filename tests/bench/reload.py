"""Reloading beside that of others, in one run: from a save to the first new answer, and what requests see meanwhile.

    .venv/bin/python tests/bench/reload.py [EDITS]          of each kind, by default 20

The edited module is one that the handler imports. Prints median, p90 and maximum of the time to the new answer,
requests that failed, the longest that one took, and edits whose answer never came (three, and the kind is given up).
Then ours alone: every kind of save, importers, and 500 edits under 50 clients. Installs the others into .venv-bench.
"""
from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench.servers import Candidate, others, resident, running
from tests.kit.running import Server, wait_for, write_tree
from tests.kit.saves import SAVES
from tests.kit.shop import Poller

ROUTE = '/api/v0/echo/read'
REST = 0.3  # seconds between edits, so that a reloader can finish
LONGEST = 5.0  # seconds after which an edit is taken to have been missed
GIVEN_UP = 3  # missed edits
UNDER_LOAD = 500  # edits
CLIENTS = 50
EDITED = 'def value():\n    return %d\n'
FLASK = '''
import sys
import edited
from flask import Flask
app = Flask(__name__)
@app.post('/api/v0/echo/read')
def read():
    return {'value': edited.value()}
'''
SERVES = "if __name__ == '__main__':\n    app.run(port=int(sys.argv[1]), threaded=True%s)\n"
STAT = ", debug=True, reloader_type='stat'"  # else it takes watchdog, where there is one: version 7 tells it nothing
FASTAPI = '''
import edited
from fastapi import FastAPI
app = FastAPI()
@app.post('/api/v0/echo/read')
def read():
    return {'value': edited.value()}
'''
DJANGO = '''
import sys
import edited
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path
settings.configure(DEBUG=True, ALLOWED_HOSTS=['*'], SECRET_KEY='x', ROOT_URLCONF=__name__)
urlpatterns = [path('api/v0/echo/read', lambda request: JsonResponse({'value': edited.value()}))]
if __name__ == '__main__':
    execute_from_command_line(sys.argv)
'''
OURS = 'from shop import edited\n\n\ndef read(request):\n    return {"value": edited.value()}\n'


@dataclass(frozen=True)
class Reloading:
    """A server that reloads, and its files."""
    candidate: Candidate
    files: dict[str, str]


def ours(importers: int = 0) -> Reloading:
    candidate = Candidate(
        'apiphant dev', ('-m', 'apiphant.cli', 'dev', '.', '127.0.0.1:PORT', '--no-console'), is_ours=True)
    return Reloading(candidate, {
        'api/v0/echo.py': OURS, **{f'api/v0/importer_{number}.py': OURS for number in range(importers)}})


OTHERS = (
    Reloading(Candidate('jurigged + Flask', ('-m', 'jurigged', 'app.py', 'PORT')), {'app.py': FLASK + SERVES % ''}),
    Reloading(
        Candidate('uvicorn --reload + FastAPI', ('-m', 'uvicorn', '--reload', '--port', 'PORT', 'app:app')),
        {'app.py': FASTAPI}),
    Reloading(Candidate('flask, debug', ('app.py', 'PORT')), {'app.py': FLASK + SERVES % STAT}),
    Reloading(
        Candidate('gunicorn --reload', ('-m', 'gunicorn', '--reload', '-b', '127.0.0.1:PORT', 'app:app')),
        {'app.py': FLASK}),
    Reloading(Candidate('django runserver', ('app.py', 'runserver', 'PORT')), {'app.py': DJANGO}),
    Reloading(
        Candidate('hupper + Flask', ('-c', 'from hupper.cli import main; main()', '-m', 'app', 'PORT')),
        {'app.py': FLASK + SERVES % ''}),
)
ROWS: tuple[tuple[str, Reloading, tuple[str, ...]], ...] = (
    ('', ours(), tuple(SAVES)),
    *(('', other, ('outside', 'in_place')) for other in OTHERS),
    (', 10 importers', ours(10), ('outside',)),
    (', 300 importers', ours(300), ('outside',)),
)


class Running(Server):
    """Calls to a server that runs already, and its processes."""

    def __init__(self, port: int, pids: list[int]) -> None:
        self.host, self.port, self.pids = '127.0.0.1', port, pids

    @property
    def size(self) -> str:
        descriptors = sum(len(os.listdir(f'/proc/{pid}/fd')) for pid in self.pids)
        return f'{resident(self.pids) / 1024:.0f} MB, {descriptors} descriptors'


@dataclass
class Figures:
    """Seconds from save to new answer, requests that failed, the longest that one took, and missed edits."""
    times: list[float] = field(default_factory=list)
    failed: int = 0
    longest: float = 0.0
    missed: int = 0

    def ask(self, server: Running) -> object:
        """The value that is answered, None for a failure."""
        begin = time.perf_counter()
        try:
            status, content = server.post(ROUTE)
            value = content['value'] if status == 200 else None
        except (OSError, HTTPException, ValueError):
            value = None
        self.longest = max(self.longest, time.perf_counter() - begin)
        self.failed += value is None
        return value


numbers = count(1)


def main() -> None:
    edits = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    python = others()
    print(f'{"":44}{"median ms":>10}{"p90 ms":>9}{"max ms":>9}{"failed":>8}{"longest ms":>12}{"missed":>8}')
    for words, reloading, saves in ROWS:
        with served(reloading, python) as (server, path):
            for name in saves:
                report(f'{reloading.candidate.name}{words}, {name}', measure(server, path, SAVES[name], edits))
    with served(ours(), python) as (server, path):
        under_load(server, path)


@contextmanager
def served(reloading: Reloading, python: str) -> Iterator[tuple[Running, Path]]:
    """A server on its files, and the file to edit."""
    with tempfile.TemporaryDirectory() as name:
        folder = write_tree(Path(name) / 'shop', {'edited.py': EDITED % 0, 'api/__init__.py': '', **reloading.files})
        with running(reloading.candidate, python, folder) as (port, pids):
            yield Running(port, pids), folder / 'edited.py'


def measure(server: Running, path: Path, save: Callable[[Path, str], None], edits: int) -> Figures:
    figures = Figures()
    while edits and figures.missed < GIVEN_UP:
        time.sleep(REST)
        edit(server, path, save, figures)
        edits -= 1
    return figures


def edit(server: Running, path: Path, save: Callable[[Path, str], None], figures: Figures) -> None:
    number = next(numbers)
    save(path, EDITED % number)
    begin = time.perf_counter()
    while figures.ask(server) != number:
        if time.perf_counter() - begin > LONGEST:
            figures.missed += 1
            return
        time.sleep(0.001)
    figures.times.append(time.perf_counter() - begin)


def report(name: str, figures: Figures) -> None:
    times = [second * 1000 for second in figures.times]
    middle = (float('nan'),) * 3
    if len(times) > 1:
        middle = (median(times), quantiles(times, n=10, method='inclusive')[-1], max(times))
    words = ''.join(f'{value:{width}.1f}' for value, width in zip(middle, (10, 9, 9), strict=True))
    print(f'{name:44}{words}{figures.failed:8}{figures.longest * 1000:12.1f}{figures.missed:8}', flush=True)


def under_load(server: Running, path: Path) -> None:
    figures, before = Figures(), server.size
    with ExitStack() as stack:
        clients = [stack.enter_context(Poller(server, ROUTE, (200,))) for _ in range(CLIENTS)]
        for _ in range(UNDER_LOAD):
            edit(server, path, SAVES['outside'], figures)
    figures.failed += sum(len(client.failures) for client in clients)
    report(f'apiphant dev, {UNDER_LOAD} edits under {CLIENTS} clients', figures)
    time.sleep(1)
    wait_for(lambda: server.post(ROUTE)[0] == 200)
    requests = sum(client.count for client in clients)
    print(f'{UNDER_LOAD} edits under {CLIENTS} clients, {requests} requests: before {before}; after {server.size}')


if __name__ == '__main__':
    main()
