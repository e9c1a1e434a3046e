"""A request beside others: 30,000 idle connections, a client that pipelines without end, large bodies, two workers.

    .venv/bin/python tests/bench/crowd.py [CONNECTIONS]     by default 30000; writes tests/bench/results/crowd.txt

Each figure stands beside what it should be, and beside the same without the others, in this run. "of its own" is the
CPU time of the server itself while a call waits: on a machine that is busy with other things, these are not in it.
Needs: apt-get install wrk
"""
from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench.load import LOADS, need_wrk, wrk
from tests.bench.servers import REQUEST, ROOT, Candidate, cpu, resident, running

RESULTS = ROOT / 'tests/bench/results/crowd.txt'
CALLS = 2000
HELD_BY_ONE = 10_000  # connections of a process, which may have so many descriptors
OF_ONE_ADDRESS = 20_000  # of 28,000 ports
ROUNDS, SECONDS = 6, 2
OBJECTS = 330_000
WHILE = 8.0  # seconds that others are in the way
PRODUCT = str(ROOT / 'tests/myproduct')


def ours(workers: int) -> Candidate:
    words = ('-m', 'apiphant.cli', PRODUCT, '127.0.0.1:PORT', '--workers', str(workers), '--keep-alive', '600')
    return Candidate(f'{workers}', words, is_ours=True)


class Wait:
    """What calls took, in ms, and how much of that the server's processes ran."""

    def __init__(self, taken: list[tuple[float, float]]) -> None:
        self._all, self._own = ([seconds * 1000 for seconds in times] for times in zip(*taken, strict=True))
        self.median = median(self._all)

    def __str__(self) -> str:
        return f'{spread(self._all)}; of its own {spread(self._own)}'


def spread(times: list[float]) -> str:
    return f'median {median(times):.2f}, p99 {quantiles(times, n=100)[98]:.1f}, longest {max(times):.1f} ms'


def own_time(pids: list[int]) -> float:
    """The CPU time of processes to the nanosecond, by Linux's numbers for the clocks of others."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def connect(port: int, address: str = '127.0.0.1') -> socket.socket:
    client = socket.create_connection(('127.0.0.1', port), 60, (address, 0))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def call(client: socket.socket) -> float:
    begin = time.perf_counter()
    client.sendall(REQUEST)
    if not client.recv(4096).startswith(b'HTTP/1.1 200'):
        raise RuntimeError('no answer')
    return time.perf_counter() - begin


def calls(port: int, pids: list[int], enough: Callable[[int], bool]) -> Wait:
    """One after the other, on one connection."""
    with connect(port) as client:
        taken: list[tuple[float, float]] = []
        while not enough(len(taken)):
            before = own_time(pids)
            seconds = call(client)
            taken.append((seconds, own_time(pids) - before))
    return Wait(taken)


def so_many(port: int, pids: list[int]) -> Wait:
    return calls(port, pids, lambda number: number >= CALLS)


def for_a_while(port: int, pids: list[int]) -> Wait:
    end = time.monotonic() + WHILE
    return calls(port, pids, lambda number: time.monotonic() > end)


# Idle connections


def hold(port: int, count: int, first: int) -> None:
    """A process of its own: say a word when all are there and had an answer, and leave when told."""
    held = []
    for number in range(first, first + count):
        client = connect(port, f'127.0.0.{1 + number // OF_ONE_ADDRESS}')
        call(client)
        held.append(client)
    print('held', flush=True)
    sys.stdin.read()


@contextmanager
def idle(port: int, count: int) -> Iterator[None]:
    holders = [
        subprocess.Popen(
            [sys.executable, __file__, 'hold', str(port), str(min(HELD_BY_ONE, count - first)), str(first)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for first in range(0, count, HELD_BY_ONE)]
    try:
        for holder in holders:
            if not holder.stdout or holder.stdout.readline() != b'held\n':
                raise RuntimeError('a connection was refused')
        yield
    finally:
        for holder in holders:
            holder.communicate()


def beside_idle(count: int) -> list[str]:
    with running(ours(2), sys.executable, ROOT) as (port, pids):
        so_many(port, pids)
        before, alone = resident(pids), so_many(port, pids)
        with idle(port, count):
            each = (resident(pids) - before) / count
            held = [len(os.listdir(f'/proc/{pid}/fd')) for pid in pids]
            used = cpu(pids)
            time.sleep(5)
            used = (cpu(pids) - used) / 5 * 100
            beside = so_many(port, pids)
        after = so_many(port, pids)
    return [
        f'{count} idle connections, two workers (descriptors {held}):',
        f'    {each:.1f} KB each (4 at most); {used:.1f} % CPU',
        f'    a request beside them: {beside}',
        f'    before: {alone}; after: {after}',
        f'    {beside.median / median([alone.median, after.median]):.2f}x (2 at most)']


# Clients in the way


def pipeline(port: int, is_over: threading.Event) -> None:
    """Its buffers are full all the time."""
    with connect(port) as client:
        reader = threading.Thread(target=drain, args=(client,))
        reader.start()
        data = REQUEST * 1000
        while not is_over.is_set():
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        reader.join()


def drain(client: socket.socket) -> None:
    while client.recv(1_000_000):
        pass


def send_large(port: int, is_over: threading.Event) -> None:
    """A MB of objects, again and again."""
    body = b'{"a":[' + b','.join([b'{}'] * OBJECTS) + b']}'
    head = REQUEST.partition(b'Content-Length')[0] + b'Connection: close\r\nContent-Length: %d\r\n\r\n' % len(body)
    while not is_over.is_set():
        with connect(port) as client:
            client.sendall(head + body)
            drain(client)


def beside(what: str, disturb: Callable[[int, threading.Event], None], most: int) -> list[str]:
    with running(ours(1), sys.executable, ROOT) as (port, pids):
        alone = for_a_while(port, pids)
        is_over = threading.Event()
        disturber = subprocess.Popen([sys.executable, __file__, disturb.__name__, str(port)], stdin=subprocess.PIPE)
        try:
            time.sleep(1)
            found = for_a_while(port, pids)
        finally:
            disturber.communicate()
        is_over.set()
    return [f'beside {what} (under {most} ms):', f'    {found}', f'    alone: {alone}']


def until_told(disturb: Callable[[int, threading.Event], None], port: int) -> None:
    """A process of its own, whose Python has nothing else to do."""
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    disturb(port, is_over)


# Two workers


def two_workers() -> list[str]:
    found: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        for number in range(ROUNDS * 2):
            workers = 1 + number % 2
            with running(ours(workers), sys.executable, ROOT) as (port, pids):
                wrk(Path(name), port, LOADS[0], 1)
                before = cpu(pids)
                answered = wrk(Path(name), port, LOADS[0], SECONDS)
                found[workers].append((cpu(pids) - before) / answered.count * 1e6)
    one, two = (median(values) for values in found.values())
    return [f'CPU us a request, one worker {one:.1f}, two {two:.1f}: {two / one:.2f}x (1.1 at most)']


def main(count: int) -> None:
    need_wrk()
    lines = [
        *beside_idle(count),
        *beside('a client that pipelines without end', pipeline, 20),
        *beside(f'bodies of 1 MB with {OBJECTS} objects', send_large, 50),
        *two_workers()]
    text = '\n'.join(lines) + '\n'
    print(text)
    RESULTS.write_text(text)


if __name__ == '__main__':
    words = sys.argv[1:]
    if words[:1] == ['hold']:
        hold(*map(int, words[1:]))
    elif words[:1] in (['pipeline'], ['send_large']):
        until_told(globals()[words[0]], int(words[1]))
    else:
        main(int(words[0]) if words else 30_000)
