"""Production servers beside each other, answering the same JSON echo, in one run.

    .venv/bin/python tests/bench/serve.py [SECONDS]         whole ones for each server, load and round, by default 2

First each server is tried with each of its settings, and the one that takes the least CPU is kept. Then all take
their turns under each load: heads that repeat and heads that never do, bodies of 1 KB and 100 KB, 16 requests at once.
What is compared is CPU time per request, user and system, of all processes of the server: it is steadier than the rate
on a machine that others use. Prints the table, and writes it to tests/bench/results/serve.txt, which README shows.
Installs the others into .venv-bench. Needs: apt-get install wrk; and libev-dev for bjoern
"""
from __future__ import annotations

import platform
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench.load import LOADS, Answered, Load, need_wrk, wrk
from tests.bench.rivals import APPS, RIVALS, Rival
from tests.bench.servers import REQUEST, ROOT, Candidate, cpu, missing, others, resident, running

RESULTS = ROOT / 'tests/bench/results/serve.txt'
WARM, TRIAL = 1, 2  # seconds, whole ones for wrk
IDLE, LONGEST = 2000, 20  # connections, and seconds until there are enough
ROUNDS = 3
BARE, COMPARED = 'bare gevent loop', ('repeated', 'unique')  # it does nothing with a body
PACKAGES = ('gevent', 'granian', 'uvicorn', 'gunicorn', 'bjoern', 'falcon', 'flask', 'fastapi')


@dataclass
class Found:
    """Of a server: CPU us a request by load; under the first load what clients see; MB, and KB an idle connection."""
    candidate: Candidate
    cpu: dict[str, list[float]] = field(default_factory=dict)
    answered: list[Answered] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)


class Bench:
    """Servers and what was found of them, by name."""

    def __init__(self, python: str, folder: Path, seconds: int) -> None:
        self._python = python
        self._folder = folder
        self._seconds = seconds
        self.found: dict[str, Found] = {}

    def choose(self, rival: Rival) -> None:
        """Keep the setting that takes the least."""
        candidates = rival.candidates
        by_cpu = {0.0: candidates[0]}
        if len(candidates) > 1:
            by_cpu = {self._trial(candidate): candidate for candidate in candidates}
        self.found[rival.name] = Found(by_cpu[min(by_cpu)])
        tell(rival.name, *(f'{candidate.name}: {used:.1f}' for used, candidate in by_cpu.items()), sep='\n    ')

    def _trial(self, candidate: Candidate) -> float:
        try:
            with running(candidate, self._python, self._folder) as (port, pids):
                self._under(LOADS[0], port, pids, WARM)
                return self._under(LOADS[0], port, pids, TRIAL)[0]
        except (TimeoutError, RuntimeError, subprocess.CalledProcessError) as error:
            tell(candidate.name, type(error).__name__)
            return float('inf')

    def measure(self, name: str) -> None:
        """One round."""
        found = self.found[name]
        with running(found.candidate, self._python, self._folder) as (port, pids):
            self._under(LOADS[0], port, pids, WARM)
            for load in LOADS:
                try:
                    used, answered = self._under(load, port, pids, self._seconds)
                except (RuntimeError, subprocess.CalledProcessError):  # it does not answer all of them
                    used = nan
                found.cpu.setdefault(load.name, []).append(used)
                found.answered += [answered] if load is LOADS[0] else []
        with running(found.candidate, self._python, self._folder) as (port, pids):
            found.memory.append(resident(pids) / 1024)
            found.idle.append(idle(port, pids))

    def _under(self, load: Load, port: int, pids: list[int], seconds: int) -> tuple[float, Answered]:
        before = cpu(pids)
        answered = wrk(self._folder, port, load, seconds)
        return (cpu(pids) - before) / max(1, answered.count) * 1e6, answered


def idle(port: int, pids: list[int]) -> float:
    """KB resident for each connection that has had an answer and is kept."""
    before = resident(pids)
    connections: list[socket.socket] = []
    end = time.monotonic() + LONGEST
    try:
        while len(connections) < IDLE and time.monotonic() < end:
            connection = socket.create_connection(('127.0.0.1', port), 5)
            connections.append(connection)
            connection.sendall(REQUEST)
            connection.recv(4096)
    except OSError:  # it takes no more connections than its backlog says, or answers one at a time
        pass
    grown = resident(pids) - before
    for connection in connections:
        connection.close()
    return grown / max(1, len(connections))


def tell(*words: object, sep: str = ' ') -> None:
    print(*words, sep=sep, file=sys.stderr, flush=True)


# The table


def report(bench: Bench) -> str:
    middle = {name: {load: median(values) for load, values in found.cpu.items()} for name, found in bench.found.items()}
    names = sorted(middle, key=lambda name: middle[name]['repeated'])
    lines = [heading(), *(row(name, bench.found[name], middle[name], middle[BARE]) for name in names)]
    chosen = {name: found.candidate.name for name, found in bench.found.items()}
    settings = [f'{name}: {setting}' for name, setting in chosen.items() if setting.startswith('-')]
    return '\n'.join([*lines, '', 'Settings, the best of those that were tried:', *settings, '', *notes()]) + '\n'


def heading() -> str:
    loads = ''.join(f'{load.name:>{13 if load.name in COMPARED else 11}}' for load in LOADS)
    return f'{"":22}{loads}{"req/s":>7}{"p99":>7}{"MB":>5}{"KB/idle":>8}'


def row(name: str, found: Found, ours: dict[str, float], bare: dict[str, float]) -> str:
    loads = ''.join(cell(load.name, ours[load.name], bare[load.name]) for load in LOADS)
    rate, p99 = (median(getattr(answered, key) for answered in found.answered) for key in ('rate', 'p99'))
    return f'{name:22}{loads}{rate:7.0f}{p99:7.1f}{median(found.memory):5.0f}{median(found.idle):8.1f}'


def cell(load: str, used: float, bare: float) -> str:
    text = 'fails' if isnan(used) else f'{used:.1f}'
    return f'{text:>6} {used / bare:5.2f}x' if load in COMPARED else f'{text:>11}'


def notes() -> list[str]:
    """What the figures are of."""
    python = ROOT / '.venv-bench/bin/python'
    command = [python, '-m', 'pip', 'list', '--format', 'freeze']
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    versions = dict(line.split('==') for line in listed.lower().splitlines() if '==' in line)
    named = ', '.join(f'{name} {versions[name]}' for name in PACKAGES if name in versions)
    absent = [f'Not measured, since pip cannot install it here: {name}' for name in missing()]
    return [f'Python {platform.python_version()}, {named}', *absent]


def main() -> None:
    need_wrk()
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    python = others()
    rivals = [rival for rival in RIVALS if rival.needs not in missing()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in APPS.items():
            (folder / file).write_text(text)
        bench = Bench(python, folder, seconds)
        for rival in rivals:
            bench.choose(rival)
        for number in range(ROUNDS):
            for rival in rivals:
                tell(f'round {number + 1}: {rival.name}')
                bench.measure(rival.name)
    text = report(bench)
    print(text)
    RESULTS.write_text(text)


if __name__ == '__main__':
    main()
