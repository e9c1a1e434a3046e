"""What the dev console takes, through a terminal, beside http-prompt, litecli and IPython in the same run. One table on
standard output.

    .venv/bin/python tests/bench/console.py [KEYS]          keys of each kind, by default 150

Start, first call, idle CPU; from a key to its echo while all is idle, under load, with many targets, while a handler
spins and in a burst of log lines; Ctrl-C; from a save to the menu and to the first new answer. Installs the others into
.venv-bench.
"""
from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from select import select
from typing import Self

import pexpect

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench.servers import cpu, family
from tests.kit.running import SAMPLE, clean_environment, dev, wait_for, write_tree
from tests.kit.saves import SAVES

ROOT = Path(__file__).parents[2]
BENCH = ROOT / '.venv-bench'
OTHERS = ('http-prompt', 'litecli', 'ipython')
HANDLER = 'def read(request):\n    return {"n": %d}\n'
FIELDS = 'from apiphant.validation import field\n\ndef read(request):\n    return field(request, "%s")\n'
WORK = """
import logging

def read(request):
    return {'words': ['word %d' % number for number in range(request['words'])]}

def create(request):
    for number in range(request['lines']):
        logging.info('line %d.', number)

def update(request):
    while True:
        pass
"""
# Each is on the screen at most once.
KEYS = [chr(code) for code in (*range(0x3b1, 0x3c2), *range(0x430, 0x450), *range(0x561, 0x587))]
CLEAR = '\x15'  # Ctrl-U: an empty line
CLIENTS = 4
BURST = 5000  # lines
IDLE = 5.0  # seconds
DEADLINE = 30.0  # seconds
REST = 0.02  # seconds between keys
OVERLAP = 200  # bytes at the end of what was searched that are searched again
QUIET = 0.08  # seconds without output after which all is drawn


class Typist:
    """A command in a terminal, its output searched as it comes."""

    def __init__(self, *words: str, **environment: str) -> None:
        more = {'TERM': 'xterm-256color', **environment}
        self.began = time.perf_counter()
        self.process = pexpect.spawn(
            words[0], list(words[1:]), env=clean_environment(**more), dimensions=(40, 160), timeout=None)
        self.process.delaybeforesend = None
        self.seen = bytearray()

    def send(self, keys: str) -> None:
        self.process.send(keys)

    def read(self, seconds: float) -> bool:
        """Whether something came in that time."""
        if not select([self.process.child_fd], [], [], max(0.0, seconds))[0]:
            return False
        try:
            self.seen += os.read(self.process.child_fd, 65536)
        except OSError:
            raise EOFError(self.seen[-2000:].decode(errors='replace')) from None
        if b'\x1b[6n' in self.seen[-100:]:  # where the cursor is, some ask
            self.send('\x1b[1;1R')
        return True

    def wait_for(self, pattern: str, since: int = 0) -> float:
        """When it was in what came after the first `since` bytes."""
        end = time.perf_counter() + DEADLINE
        search = re.compile(pattern.encode()).search
        while not search(self.seen, since):
            if time.perf_counter() > end:
                raise TimeoutError(f'{pattern!r} in {self.seen[since:][-2000:].decode(errors="replace")}')
            since = max(since, len(self.seen) - OVERLAP)
            self.read(end - time.perf_counter())
        return time.perf_counter()

    def drain(self) -> None:
        """Until nothing comes any more."""
        while self.read(QUIET):
            pass

    def echo(self, key: str) -> float:
        """Seconds from a key to its echo; that of a space may be a move of the cursor."""
        start, begin = len(self.seen), time.perf_counter()
        self.send(key)
        return self.wait_for(re.escape(key) if key != ' ' else '.', start) - begin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        started = family(self.process.pid) if self.process.isalive() else []
        self.process.kill(signal.SIGTERM)
        end = time.perf_counter() + 3
        while self.process.isalive() and time.perf_counter() < end:
            try:
                self.read(0.05)
            except EOFError:
                break
        self.process.close(force=True)
        for pid in started:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    print(f'{"":58}{"median ms":>10}{"p95 ms":>9}{"n":>6}')
    beside_others(count)
    with tempfile.TemporaryDirectory() as folder:
        alone(write_tree(Path(folder), {'shop/api/v0/echo.py': HANDLER % 0, 'shop/api/v0/work.py': WORK}), count)
    for targets in (1000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            report(f'key echo, {targets} targets, menu and validation', many_targets(Path(folder), targets, count))
    for name, times in reloads(max(5, count // 10)).items():
        report(f'save ({name}) to first new answer', times)


def report(what: str, seconds: list[float]) -> None:
    times = sorted(second * 1000 for second in seconds)
    print(f'{what:58}{statistics.median(times):10.1f}{times[int(len(times) * 0.95)]:9.1f}{len(times):6}', flush=True)


# Beside others


def beside_others(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = {'HOME': folder, 'XDG_STATE_HOME': folder, 'XDG_CONFIG_HOME': folder, 'IPYTHONDIR': folder}
        bench = others()
        ours = (sys.executable, '-m', 'apiphant.cli', 'dev', str(SAMPLE), '127.0.0.1:0')
        programs = {
            'apiphant dev': ('myproduct>', ours),
            'http-prompt': ('> ', (f'{bench}/http-prompt/bin/http-prompt', 'http://127.0.0.1:9')),
            'litecli': ('db>', (f'{bench}/litecli/bin/litecli', f'{folder}/data.db')),
            'IPython': (r'In ', (f'{bench}/ipython/bin/ipython', '--no-banner'))}
        for prompt, words in programs.values():  # the first start writes .pyc files and settings
            start(prompt, words, home)
        for name, (prompt, words) in programs.items():
            report(f'spawn to prompt that takes keys, {name}', [start(prompt, words, home) for _ in range(5)])
        report('spawn to first call answered', [first_call(ours, home) for _ in range(5)])
        for name, (prompt, words) in programs.items():
            with Typist(*words, **home) as typist:
                typist.wait_for(prompt)
                typist.drain()
                report(f'key echo, idle, {name}', keys(typist, count))


def others() -> Path:
    """Where the others are, each in an environment of its own: http-prompt wants an older prompt_toolkit."""
    for name in OTHERS:
        folder = BENCH / name
        if not (folder / 'ready').exists():
            venv.create(folder, with_pip=True)
            subprocess.run(
                [folder / 'bin/python', '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', name],
                check=True)
            (folder / 'ready').touch()
    return BENCH


def start(prompt: str, words: tuple[str, ...], home: dict[str, str]) -> float:
    with Typist(*words, **home) as typist:
        typist.wait_for(prompt)
        typist.echo(KEYS[0])
        return time.perf_counter() - typist.began


def first_call(words: tuple[str, ...], home: dict[str, str]) -> float:
    with Typist(*words, **home) as typist:
        typist.wait_for('myproduct>')
        typist.send('read echo\r')
        return typist.wait_for('200 OK') - typist.began


def keys(typist: Typist, count: int, is_going_on: Callable[[], bool] = lambda: True) -> list[float]:
    """Seconds of so many keys, or of those while something goes on. Between them are rests of different lengths."""
    times = []
    for number, key in zip(range(count), cycle(KEYS), strict=False):
        if number and number % len(KEYS) == 0:
            typist.send(CLEAR)
            typist.read(REST)
        if not is_going_on():
            break
        times.append(typist.echo(key))
        end = time.perf_counter() + REST * (1 + number % 3) / 2
        while time.perf_counter() < end:
            typist.read(end - time.perf_counter())
    typist.send(CLEAR)
    return times


# Alone


@contextmanager
def console(folder: Path) -> Iterator[tuple[Typist, int]]:
    """At its prompt, after a call, and its port."""
    words = (sys.executable, '-m', 'apiphant.cli', 'dev', str(folder / 'shop'), '127.0.0.1:0')
    with Typist(*words, XDG_STATE_HOME=str(folder / 'state')) as typist:
        typist.wait_for('shop>')
        typist.send('routes zzz\r')
        typist.wait_for('No route')
        typist.drain()
        yield typist, int(re.search(rb'127\.0\.0\.1:(\d+)', typist.seen)[1])  # type: ignore[index]


def alone(folder: Path, count: int) -> None:
    with console(folder) as (typist, port):
        pids = family(typist.process.pid)
        before = cpu(pids)
        end = time.perf_counter() + IDLE
        while time.perf_counter() < end:
            typist.read(end - time.perf_counter())
        print(f'{"idle CPU, console and app":58}{(cpu(pids) - before) / IDLE * 100:9.1f}%', flush=True)
        with loaded(port):
            report(f'key echo, {CLIENTS} clients load the server', keys(typist, count))
        typist.drain()
        report(f'key echo, bursts of {BURST} log lines', bursts(typist, port, count))
        report(
            'key echo, others get 10 MB replies', while_called(typist, port, 'work/read', '{"words": 800000}', count))
        ended = [spinning(typist, port, count if number == 0 else 0) for number in range(5)]
        report('key echo, a handler spins', ended[0][0])
        report('Ctrl-C to its file and line', [shown for _, shown, _ in ended])
        report('Ctrl-C to next answer', [answered for _, _, answered in ended])
        report('save to menu', [menu(typist, folder, number) for number in range(10)])


@contextmanager
def loaded(port: int) -> Iterator[None]:
    """Clients that call as fast as they can, on kept connections."""
    stopped = threading.Event()

    def call() -> None:
        connection = HTTPConnection('127.0.0.1', port)
        while not stopped.is_set():
            connection.request('POST', '/api/v0/echo/read', b'{}')
            connection.getresponse().read()
        connection.close()
    wrk = subprocess.Popen(
        ['wrk', f'-c{CLIENTS}', '-t1', '-d600', f'http://127.0.0.1:{port}/api/v0/echo/read'],
        stdout=subprocess.DEVNULL) if has_wrk() else None
    threads = [] if wrk else [threading.Thread(target=call) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
        if wrk:
            wrk.terminate()
            wrk.wait()


def has_wrk() -> bool:
    return any((Path(folder) / 'wrk').exists() for folder in os.environ['PATH'].split(os.pathsep))


def post(port: int, path: str, body: str, timeout: float = DEADLINE) -> int:
    connection = HTTPConnection('127.0.0.1', port, timeout=timeout)
    try:
        connection.request('POST', f'/api/v0/{path}', body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def while_called(typist: Typist, port: int, path: str, body: str, count: int) -> list[float]:
    """Keys while another process calls again and again."""
    program = '\n'.join((
        f'import sys; sys.path.insert(0, {str(ROOT)!r})', 'from tests.bench.console import post',
        'while True:', f'    post({port}, {path!r}, {body!r})'))
    with subprocess.Popen([sys.executable, '-c', program]) as caller:
        try:
            time.sleep(0.5)
            return keys(typist, count)
        finally:
            caller.terminate()


def bursts(typist: Typist, port: int, count: int) -> list[float]:
    times: list[float] = []
    while len(times) < count:
        typist.drain()
        typist.seen.clear()
        call = threading.Thread(target=post, args=(port, 'work/create', f'{{"lines": {BURST}}}'))
        call.start()
        typist.wait_for('line 1')
        times += keys(typist, count, lambda: f'line {BURST - 1}.'.encode() not in typist.seen)
        typist.wait_for(f'line {BURST - 1}')  # as long as nobody reads, nobody writes either
        call.join()
    return times


def spinning(typist: Typist, port: int, count: int) -> tuple[list[float], float, float]:
    """Keys while it spins, and from Ctrl-C to its place and to the next answer."""
    pids = family(typist.process.pid)
    call = threading.Thread(target=post, args=(port, 'work/update', '{}'))
    call.start()
    before = cpu(pids)
    wait_for(lambda: cpu(pids) > before + 0.3)
    times = keys(typist, count)
    typist.drain()
    since, begin = len(typist.seen), time.perf_counter()
    typist.send('\x03')
    shown = typist.wait_for(r'work\.py', since) - begin
    typist.send('read echo\r')
    answered = typist.wait_for('200 OK', since) - begin
    call.join()
    typist.drain()
    return times, shown, answered


def menu(typist: Typist, folder: Path, number: int) -> float:
    """From a save to the new field's name in the menu: a key is typed and taken back until it is there."""
    name = f'field_{"abcdefghij"[number]}'
    (folder / 'shop/api/v0/echo.py').write_text(FIELDS % name)
    since, begin = len(typist.seen), time.perf_counter()
    typist.send('read echo f')
    while not re.search(rf'{name}='.encode(), typist.seen[since:]):
        typist.read(0.02)
        typist.send('\x7ff')
    seconds = time.perf_counter() - begin
    typist.send(CLEAR)
    typist.drain()
    return seconds


def many_targets(folder: Path, targets: int, count: int) -> list[float]:
    """Keys that make a call: its target, with a menu at each key, then JSON that is looked at."""
    write_tree(folder, {
        f'shop/api/v0/part_{number % 40}/target_{number}.py': HANDLER % number for number in range(targets)})
    times: list[float] = []
    with console(folder) as (typist, _):
        while len(times) < count:
            for key in f'read part_{len(times) % 40}/target_{len(times)} {{"key": [1, 2], "other": "x"}}':
                typist.drain()
                times.append(typist.echo(key))
            typist.send(CLEAR)
    return times[:count]


def reloads(count: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        product = write_tree(Path(folder), {'shop/api/v0/a.py': HANDLER % 0}) / 'shop'
        with dev(product) as server:
            number = 0
            times: dict[str, list[float]] = {name: [] for name in SAVES}
            for _ in range(count):
                for name, save in SAVES.items():
                    number += 1
                    save(product / 'api/v0/a.py', HANDLER % number)
                    begin = time.perf_counter()
                    while server.read('a')['n'] != number:
                        pass
                    times[name].append(time.perf_counter() - begin)
                    time.sleep(0.05)
    return times


if __name__ == '__main__':
    main()
