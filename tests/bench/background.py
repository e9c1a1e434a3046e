"""Runners of background tasks beside each other, in under 7 minutes: .venv/bin/python tests/bench/background.py

100 tasks a second apart, one runner after the other: drift of the grid that fits a task best (the median task), how
late runs are on it, from the task's earliest (p99, max), missing runs. Then 10,000 a minute apart, side by side with
bursts apart: a whole minute with one burst. CPU and memory are of all processes, the broker too. All have their
defaults: ours logs each run, the others do not; but APScheduler would drop runs a second late. A dash: huey knows only
minutes; Celery with 10,000 was not tried. Without redis-server, Celery takes files. Then two machines beside each
other, if there is a redis-server: see machines.py.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench import machines
from tests.bench.servers import cpu, family, others, resident
from tests.kit.running import clean_environment, wait_for, write_tree

# Seconds. The first runs and a rest are left out, and should be over by a deadline.
WINDOW, MINUTE, REST, DEADLINE = 30, 60, 3, 60
FEW, MANY = 100, 10_000  # tasks
ROW = '{:10.2f}{:9.1f}{:9.1f}{:8.0f}{:9.1f}{:10.0f}{:8.0f}{:9.1f}{:8.0f}'
TELL = '''
import os, struct, time
COUNT, PERIOD, BROKER = int(os.environ['COUNT']), float(os.environ['PERIOD']), os.environ['BROKER']
FILE = os.open('times', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def named(number):
    def task(): os.write(FILE, struct.pack('dd', number, time.monotonic()))
    task.__name__ = f'task_{number}'; return task
TASKS = [named(number) for number in range(COUNT)]
'''
OURS = '''
from apiphant.background import seconds
from tell import PERIOD, TASKS
for task in TASKS: seconds(PERIOD)(task)
'''
HUEY = '''
from huey import MemoryHuey, crontab
from tell import TASKS
huey = MemoryHuey()
for task in TASKS: huey.periodic_task(crontab())(task)
'''
APSCHEDULER = '''
from datetime import UTC, datetime
from apscheduler.schedulers.background import BackgroundScheduler as Scheduler
from tell import PERIOD, TASKS, time
scheduler, begin = Scheduler(), datetime.now(UTC)
for task in TASKS: scheduler.add_job(task, 'interval', seconds=PERIOD, next_run_time=begin, misfire_grace_time=None)
scheduler.start(); time.sleep(1e6)
'''
ON_GEVENT = APSCHEDULER.replace('.background', '.gevent').replace('Background', 'Gevent')
GEVENT = f'from gevent import monkey; monkey.patch_all()\n{ON_GEVENT}'
CELERY = '''
from celery import Celery
from tell import BROKER, PERIOD, TASKS
app = Celery(broker=BROKER)
for task in TASKS: app.task(name=task.__name__)(task)
app.conf.update(task_ignore_result=True, broker_transport_options={'data_folder_in': '.', 'data_folder_out': '.'},
                beat_schedule={task.__name__: {'task': task.__name__, 'schedule': PERIOD} for task in TASKS})
'''
REDIS = shutil.which('redis-server')
BROKER = ((REDIS, '--port', '0', '--unixsocket', 'redis.sock', '--save', ''),) if REDIS else ()


class Runner(NamedTuple):
    """What it is called, its program, its commands with PYTHON for that of the others, and what it is measured with."""
    name: str
    files: dict[str, str]
    commands: tuple[tuple[str, ...], ...]
    counts: tuple[int, ...] = (FEW, MANY)


RUNNERS = (
    Runner(
        'apiphant-background', {'shop/api/background.py': OURS},
        ((str(Path(sys.executable).with_name('apiphant-background')), 'shop'),)),
    Runner('APScheduler, Background', {'app.py': APSCHEDULER}, (('PYTHON', 'app.py'),)),
    Runner('APScheduler, Gevent', {'app.py': GEVENT}, (('PYTHON', 'app.py'),)),
    Runner('huey', {'app.py': HUEY}, (('PYTHON', '-m', 'huey.bin.huey_consumer', 'app.huey'),), (MANY,)),
    Runner(f'Celery, gevent, {"redis" if REDIS else "files"}', {'app.py': CELERY}, (
        *BROKER, ('PYTHON', '-m', 'celery', '-A', 'app', 'worker', '-P', 'gevent'),
        ('PYTHON', '-m', 'celery', '-A', 'app', 'beat')), (FEW,)),
)


class Running:
    """Processes, looked at from when each task ran once."""

    def __init__(self, path: Path, processes: list[subprocess.Popen[bytes]], count: int) -> None:
        wait_for(lambda: path.exists() and path.stat().st_size >= count * 16, f'{count} runs', DEADLINE)
        time.sleep(REST)
        self._path, self._pids = path, [pid for process in processes for pid in family(process.pid)]
        self._cpu, self._begin = cpu(self._pids), time.monotonic()

    def after(self, seconds: float) -> tuple[dict[float, list[float]], list[float]]:
        """Times of runs by task, and CPU in percent and MB, once so many seconds are over."""
        time.sleep(max(0.0, self._begin + seconds - time.monotonic()))
        usage = [(cpu(self._pids) - self._cpu) / (time.monotonic() - self._begin) * 100, resident(self._pids) / 1024]
        data, runs = array('d', self._path.read_bytes()), dict[float, list[float]]()
        for number, when in zip(data[::2], data[1::2], strict=True):
            if self._begin < when <= self._begin + seconds:
                runs.setdefault(number, []).append(when)
        return runs, usage


def main() -> None:
    python = others()
    install = [python, '-m', 'pip', 'install', '-qq', '--disable-pip-version-check']
    subprocess.run([*install, 'apscheduler<4', 'huey', 'celery[redis]'], check=True)
    few = {runner.name: measure_few(runner, python) for runner in RUNNERS if FEW in runner.counts}
    many = measure_many(python)
    print(' ' * 27 + '-- 100 tasks, each second, for 30 s ------------------  -- 10,000, each minute --')
    print(' ' * 27 + ' drift ms   p99 ms   max ms  missed    CPU %        MB    runs    CPU %      MB')
    for runner in RUNNERS:
        values = few.get(runner.name, [float('nan')] * 6) + many.get(runner.name, [float('nan')] * 3)
        print(f'{runner.name:26}' + ROW.format(*values).replace('nan', '  -'))
    if REDIS:
        machines.main()


@contextmanager
def running(runner: Runner, python: str, count: int, period: float) -> Iterator[Running]:
    print(f'{runner.name}, {count} tasks', file=sys.stderr)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = write_tree(Path(name), {'tell.py': TELL, **runner.files})
        broker = f'redis+socket://{name}/redis.sock' if REDIS else 'filesystem://'
        environment = clean_environment(
            COUNT=str(count), PERIOD=str(period), BROKER=broker, PYTHONPATH=name, XDG_STATE_HOME=f'{name}/state')
        log = stack.enter_context((folder / 'log').open('wb'))
        commands = [[python if word == 'PYTHON' else word for word in words] for words in runner.commands]
        processes = [
            stack.enter_context(subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log))
            for words in commands]
        stack.callback(lambda: list(map(subprocess.Popen.kill, processes)))
        yield Running(folder / 'times', processes, count)


def measure_few(runner: Runner, python: str) -> list[float]:
    """Drift, p99 and maximum of lateness in ms, missed runs, CPU in percent, MB."""
    with running(runner, python, FEW, 1) as found:
        runs, usage = found.after(WINDOW)
    grids = [fit(times) for times in runs.values()]
    late = [lateness * 1000 for grid in grids for lateness in grid[1]]
    return [
        median(grid[0] for grid in grids) * WINDOW * 1000, quantiles(late, n=100)[-1], max(late),
        sum(grid[2] for grid in grids), *usage]


def fit(times: list[float]) -> tuple[float, list[float], int]:
    """Of a task's runs: drift in seconds a second, seconds late on the best grid, how many are missing in between."""
    steps = list(accumulate((max(1, round(when - before)) for before, when in pairwise(times)), initial=0))
    pairs = combinations(zip(steps, times, strict=True), 2)
    slope = median((end - start) / (last - first) for (first, start), (last, end) in pairs)
    places = [when - slope * step for step, when in zip(steps, times, strict=True)]
    return slope - 1, [place - min(places) for place in places], steps[-1] + 1 - len(steps)


def measure_many(python: str) -> dict[str, list[float]]:
    """Runs, CPU in percent and MB of a whole minute. Each runner starts after the first burst of the one before."""
    with ExitStack() as stack:
        started = {
            runner.name: stack.enter_context(running(runner, python, MANY, MINUTE))
            for runner in RUNNERS if MANY in runner.counts}
        return {
            name: [sum(map(len, runs.values())), *usage] for name, found in started.items() for runs,
            usage in [found.after(MINUTE)]}


if __name__ == '__main__':
    main()
