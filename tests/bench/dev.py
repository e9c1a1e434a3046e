"""What the dev console takes: start, keys, and from a save to the first new answer. One table on standard output.

    .venv/bin/python tests/bench/dev.py [SAVES]         saves of each kind, by default 30
"""
from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pexpect

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.running import SAMPLE, dev, write_tree
from tests.saves import SAVES

HANDLER = 'def read(request):\n    return {"n": %d}\n'


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    starts = [start() for _ in range(5)]
    report('spawn to prompt that takes keys', [prompt for prompt, _ in starts])
    report('spawn to first call answered', [call for _, call in starts])
    report('key echo', keys(200))
    for name, times in reloads(count).items():
        report(f'save ({name}) to first new answer', times)


def report(what: str, seconds: list[float]) -> None:
    times = sorted(second * 1000 for second in seconds)
    print(f'{what:44} median {statistics.median(times):7.1f} ms   p95 {times[int(len(times) * 0.95)]:7.1f} ms   n={len(times)}', flush=True)


def console() -> pexpect.spawn:
    environment = {**os.environ, 'TERM': 'xterm-256color', 'XDG_STATE_HOME': tempfile.gettempdir()}
    environment.pop('PYTHONDONTWRITEBYTECODE', None)
    child = pexpect.spawn(sys.executable, ['-m', 'apiphant.cli', 'dev', str(SAMPLE), '127.0.0.1:0'], env=environment, timeout=20, dimensions=(40, 100))
    child.delaybeforesend = None
    return child


def start() -> tuple[float, float]:
    begin = time.perf_counter()
    child = console()
    child.expect_exact('myproduct>')
    child.send('read')
    child.expect_exact('read')
    prompt = time.perf_counter() - begin
    child.send(' echo\r')
    child.expect_exact('200')
    call = time.perf_counter() - begin
    child.expect_exact('myproduct>')
    child.send('quit\r')
    child.expect(pexpect.EOF)
    child.close()
    return prompt, call


def keys(count: int) -> list[float]:
    child = console()
    child.expect_exact('myproduct>')
    time.sleep(1)
    times = []
    for number in range(count):
        key = 'xyz'[number % 3]
        begin = time.perf_counter()
        child.send(key)
        child.expect_exact(key)
        times.append(time.perf_counter() - begin)
        time.sleep(0.02)
    child.terminate(force=True)
    return times


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
