"""Background tasks on two machines that share a redis, beside others: .venv/bin/python tests/bench/machines.py

A machine is what one would start on each: ours has its scheduler within, Celery a worker and a beat of its own, huey a
consumer. All products at once, each with a redis of its own, three times from the start: 30 s of a task each second
(runs, and those that another run was less than half a second before) and of one that takes 2.5 s (runs that began while
another was going on); then the longest pause in the first one's runs when the scheduler of the first machine, which is
the active one where only one is, is killed; that whole machine; and redis for 8 s. Celery's beat is not started again
here, as a supervisor would do. A pause of 14 s, or 22 with redis away, did not end while it was looked at. huey knows
only minutes: its runs of two are below.
"""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench.servers import family, others
from tests.kit.redis import Redis
from tests.kit.running import clean_environment, wait_for, write_tree

WINDOW, AWAY, AFTER, DEADLINE, DOUBLED = 30, 8, 14, 90, 0.5  # seconds
MINUTES = 2
QUICK, BEGAN, ENDED = range(3)
TELL = '''
import os, struct, time
FILE = os.open('times', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def tell(what): os.write(FILE, struct.pack('dd', what, time.monotonic()))
def quick(): tell(0)
def slow(): tell(1); time.sleep(2.5); tell(2)
'''
OURS = 'from apiphant.background import seconds\nfrom tell import quick, slow\nseconds(1)(quick); seconds(1)(slow)\n'
CELERY = '''
import os
from celery import Celery
from tell import quick, slow
app = Celery(broker=os.environ['BROKER'])
for task in quick, slow: app.task(name=task.__name__)(task)
schedule = {name: {'task': name, 'schedule': 1.0} for name in ('quick', 'slow')}
app.conf.update(task_ignore_result=True, beat_schedule=schedule)
'''
HUEY = '''
import os
from huey import RedisHuey, crontab
from tell import quick
huey = RedisHuey(url=os.environ['BROKER'])
huey.periodic_task(crontab())(quick)
'''


class Product(NamedTuple):
    """Its program, and the commands of each machine, with PYTHON for that of the others and NUMBER for the machine's.

    The last has the scheduler.
    """
    name: str
    files: dict[str, str]
    commands: tuple[tuple[str, ...], ...]


RUNNERS = (
    Product(
        'apiphant-background', {'shop/api/background.py': OURS},
        ((str(Path(sys.executable).with_name('apiphant-background')), 'shop', '--state', 'NUMBER'),)),
    Product('Celery, two plain beats', {'app.py': CELERY}, (
        ('PYTHON', '-m', 'celery', '-A', 'app', 'worker', '-P', 'gevent', '-n', 'NUMBER'),
        ('PYTHON', '-m', 'celery', '-A', 'app', 'beat', '-s', 'NUMBER'))),
)
CONSUMERS = Product('huey, two consumers', {'app.py': HUEY}, (('PYTHON', '-m', 'huey.bin.huey_consumer', 'app.huey'),))


class Pair:
    """Two machines of a product. Events are pairs of what happened and when."""

    def __init__(self, folder: Path, redis: Redis, start: Callable[[int], list[int]]) -> None:
        self._path, self.redis = folder / 'times', redis
        self.first = start(0)
        wait_for(self.events, 'a run on the first machine', DEADLINE)
        start(1)
        time.sleep(5)

    def events(self) -> list[tuple[float, float]]:
        data = array('d', self._path.read_bytes() if self._path.exists() else b'')
        return sorted(zip(data[::2], data[1::2], strict=True), key=lambda event: event[1])

    def runs(self, begin: float) -> list[float]:
        return [when for what, when in self.events() if what == QUICK and when >= begin]


@contextmanager
def machines(product: Product, python: str) -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = write_tree(Path(name), {'tell.py': TELL, **product.files})
        redis = stack.enter_context(Redis(folder))
        environment = clean_environment(BROKER=redis.url, APIPHANT_ENGINE=redis.url, PYTHONPATH=name)
        log = stack.enter_context((folder / 'log').open('wb'))

        def start(number: int) -> list[int]:
            commands = [
                [{'PYTHON': python, 'NUMBER': f'machine{number}'}.get(word, word) for word in words]
                for words in product.commands]
            processes = [
                subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log) for words in commands]
            stack.callback(lambda: [process.wait() for process in processes])
            stack.callback(lambda: [process.kill() for process in processes])
            return [process.pid for process in processes]
        yield Pair(folder, redis, start)


def many_runs(pair: Pair) -> list[float]:
    """Of a second's task, doubled ones of it, and overlaps of the slow one."""
    begin = time.monotonic()
    time.sleep(WINDOW)
    runs, going, overlaps = [when for when in pair.runs(begin) if when < begin + WINDOW], 0, 0
    for what, _ in pair.events():
        overlaps += what == BEGAN and going > 0
        going += {BEGAN: 1, ENDED: -1}.get(int(what), 0)
    return [len(runs), doubled(runs), overlaps]


def doubled(runs: list[float]) -> int:
    return sum(after - before < DOUBLED for before, after in pairwise(runs))


def scheduler_killed(pair: Pair) -> None:
    os.kill(family(pair.first[-1])[-1], signal.SIGKILL)


def machine_killed(pair: Pair) -> None:
    for pid in [pid for top in pair.first for pid in family(top)]:
        os.kill(pid, signal.SIGKILL)


def redis_away(pair: Pair) -> None:
    pair.redis.stop()
    time.sleep(AWAY)
    pair.redis.start()


def longest_pause(pair: Pair, harm: Callable[[Pair], None]) -> float:
    begin = time.monotonic()
    harm(pair)
    time.sleep(AFTER)
    runs = pair.runs(begin - 1.5)
    return max(after - before for before, after in pairwise([*runs, time.monotonic()]))


def measure(product: Product, python: str) -> list[float]:
    with machines(product, python) as pair:
        found = [*many_runs(pair), longest_pause(pair, scheduler_killed)]
    for harm in (machine_killed, redis_away):
        with machines(product, python) as pair:
            found.append(longest_pause(pair, harm))
    return found


def measure_minutes(python: str) -> int:
    with machines(CONSUMERS, python) as pair:
        begin = time.monotonic()
        time.sleep(MINUTES * 60)
        return len(pair.runs(begin))


def main() -> None:
    python = others()
    subprocess.run(
        [python, '-m', 'pip', 'install', '-qq', '--disable-pip-version-check', 'huey', 'celery[redis]'], check=True)
    with ThreadPoolExecutor() as pool:
        minutes, found = pool.submit(measure_minutes, python), list(
            pool.map(lambda product: measure(product, python), RUNNERS))
    print(' ' * 25 + '-- two machines, 30 s ---  -- longest pause, s, after the end of --')
    print(' ' * 25 + '  runs  doubled  overlaps  a scheduler  a machine  redis for 8 s')
    for product, values in zip(RUNNERS, found, strict=True):
        print(f'{product.name:25}' + '{:6.0f}{:9.0f}{:10.0f}{:13.1f}{:11.1f}{:15.1f}'.format(*values))
    print(f'{CONSUMERS.name}: {minutes.result()} runs in {MINUTES} minutes of a task each minute')


if __name__ == '__main__':
    main()
