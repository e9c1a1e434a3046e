"""Runners that share a real redis, and what happens when either dies. A time limit is one of an idle machine."""
import os
import re
import signal
import time

import pytest

from apiphant.background.on_error import QUIET
from tests.kit.cpu import is_quick
from tests.kit.processes import children, free_port
from tests.kit.redis import PASSWORD, Redis
from tests.kit.running import Program, clean_environment, run_cli, wait_for, write_tree
from tests.kit.tasks import ACTIVE, NEEDS_REDIS, RUN, gaps, times

pytest.importorskip('celery')
pytestmark = [pytest.mark.once, NEEDS_REDIS]

QUICK = '''
import os, time
from apiphant.background import seconds

def say(what):
    print(what, time.time(), flush=True)

@seconds(1)
def quick():
    say('QUICK')
'''
TASKS = QUICK + '''
@seconds(1)
def slow():
    say('BEGAN')
    time.sleep(2.5)
    say('ENDED')

@seconds(1)
def fails():
    say('FAILS')
    1 / 0

@seconds(1)
def mends():
    assert os.path.exists('mended')

def on_error(error):
    print('REPORTED', error.splitlines()[-1], flush=True)
'''
ENDLESS = '''
import time
from apiphant.background import seconds

@seconds(1)
def endless():
    try:
        print('BEGAN', flush=True)
        time.sleep(600)
    finally:
        print('CLEANED', flush=True)
'''
STUCK = QUICK + '''
@seconds(3600)
def spins():
    while not os.path.exists('begin'):
        time.sleep(0.1)
    say('SPINS')
    while not os.path.exists('end'):
        pass
    say('SPUN')
'''
GAP = 8  # seconds


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path) as server:
        yield server


@pytest.fixture
def start(redis, tmp_path):
    """Starts runners, and sees to it that they end and never said the password."""
    programs = []

    def start(source=QUICK, url=redis.url):
        folder = write_tree(tmp_path, {'shop/api/background.py': source})
        words = ('shop', '--engine', url, '--state', f'state-{len(programs)}')
        programs.append(Program('-c', RUN, *words, cwd=folder, start_new_session=True))
        return programs[-1]
    yield start
    for program in programs:
        program.process.kill()
        program.end()
        assert PASSWORD not in program.text


def both(start, source=QUICK):
    """The runner whose scheduler is the active one, and another."""
    active = start(source)
    active.wait_for_line(ACTIVE)
    other = start(source)
    other.wait_for_line('Ready to run tasks')
    return active, other


def wait_for_run(since, *runners):
    return wait_for(lambda: next((when for when in times('QUICK', *runners) if when > since), None), 'a run')


def gap_after(when, *runners):
    """The longest pause between runs, from then until another scheduler is the active one and has sent tasks."""
    wait_for(lambda: sum(runner.text.count(ACTIVE) for runner in runners) > 1, 'another scheduler')
    wait_for_run(time.time() + 1, *runners)
    return max(gaps([begun for begun in times('QUICK', *runners) if begun > when - 2]))


def test_once(start, redis, tmp_path):
    """A second's task runs once a second; one that takes longer never runs twice at a time; one that fails runs later
    and later.
    """
    begin = time.monotonic()
    runners = both(start, TASKS)
    wait_for(lambda: redis.ask('EXISTS', 'apiphant.shop:failures:mends') == '1', 'a failure to be noted')
    write_tree(tmp_path, {'mended': ''})
    wait_for(lambda: all(len(times('QUICK', runner)) > 3 for runner in runners), 'runs on each')
    wait_for(lambda: len(times('QUICK', *runners)) > 20, 'runs of quick')
    runs = times('QUICK', *runners)
    assert len(runs) <= runs[-1] - runs[0] + 3  # twice as many, if each scheduler sent it
    wait_for(lambda: len(times('BEGAN', *runners)) > 7, 'runs of slow')
    began, ended = times('BEGAN', *runners), times('ENDED', *runners)
    assert all(before <= after for before, after in zip(ended, began[1:], strict=False))
    skipped = 'Task slow: skipped, still running.'
    wait_for(lambda: any(skipped in runner.text for runner in runners), 'a run to be skipped')
    variables = clean_environment(APIPHANT_ENGINE=redis.url, APIPHANT_PRODUCT='shop')
    answer = run_cli('-A', 'apiphant.background.cluster', 'inspect', 'active', module='celery', env=variables)
    assert answer.returncode == 0, answer
    assert answer.stdout.count('->  shop-runner-') == 2
    answer = run_cli('-A', 'apiphant.background.cluster', 'inspect', 'ping', module='celery', env=variables)
    assert (answer.stdout.count('->  shop-runner-'), answer.stdout.count('->  shop-beat-')) == (2, 1)
    reports = sum(runner.text.count('REPORTED ZeroDivisionError: division by zero') for runner in runners)
    assert 1 <= reports <= 1 + (time.monotonic() - begin) // QUIET
    failed = wait_for(lambda: times('FAILS', *runners)[4:], 'failures')
    assert failed[0] - times('FAILS', *runners)[1] > 10  # 2, 4 and 8 s; without a delay, 3 s
    assert redis.ask('EXISTS', 'apiphant.shop:failures:mends') == '0'
    wait_for(lambda: sum(runner.text.count('Task mends: OK.') for runner in runners) > 8, 'runs of mends')
    scheduler, = children(runners[0].process.pid)
    runners[0].process.kill()
    assert is_quick(gap_after(time.time(), *runners), GAP)
    wait_for(lambda: not os.path.exists(f'/proc/{scheduler}/exe'), 'the scheduler to end with its runner')


@pytest.mark.parametrize('kill', ['machine', 'scheduler'])
def test_killed(start, kill):
    active, other = both(start)
    pid = active.process.pid
    scheduler, = children(active.process.pid)
    when = time.time()
    if kill == 'machine':
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(scheduler, signal.SIGKILL)
    assert is_quick(gap_after(when, active, other), GAP)
    if kill == 'scheduler':
        assert 'The scheduler ended with status -9; starting it again' in active.text


def health(folder, number):
    done = Program('-c', RUN, 'shop', '--health', '--state', f'state-{number}', cwd=folder)
    return done.wait(), done.text


def test_stuck(start, tmp_path):
    """The run of a task that never waits goes on alone, and is named."""
    runners = both(start, STUCK)
    write_tree(tmp_path, {'begin': ''})
    wait_for(lambda: times('SPINS', *runners), 'the beginning of it')
    stuck, other = sorted(runners, key=lambda runner: 'SPINS' not in runner.text)
    seen = len(times('QUICK', other))
    stuck.wait_for_line(r'Task spins holds all others, for \d+ s now:')
    wait_for(lambda: len(times('QUICK', other)) >= seen + 6, 'runs on the other')
    write_tree(tmp_path, {'end': ''})
    stuck.wait_for_line('Task spins: OK')
    stuck.wait_for_line('Task quick', len(stuck.lines))
    assert 'celery.' not in stuck.text  # nor where it finds what it had taken and is late for
    assert len(times('SPINS', *runners)) == 1
    assert 'lock' not in stuck.text


def test_health(start, redis, tmp_path):
    runner = start()
    wait_for(lambda: health(tmp_path, 0)[0] == 0, 'the first tick')
    status, text = health(tmp_path, 0)
    assert status == 0
    assert re.fullmatch(r'alive: the last tick was \d+ s ago', text)
    assert health(tmp_path, 1) == (1, 'not alive: it never ran')
    runner.wait_for_line('Task quick: OK')
    words = ('-c', RUN, 'shop', '--engine', redis.url, '--list')
    listing = Program(*words, cwd=tmp_path)
    assert listing.wait() == 0
    assert re.fullmatch(r'quick  every 1 s  last \d{4}-.*Z  next \d{4}-.*Z', listing.text)
    redis.stop()
    listing = Program(*words, cwd=tmp_path)
    assert listing.wait() == 1
    assert listing.text == f'apiphant: the engine {redis.shown} cannot be reached: connection refused'
    runner.wait_for_line('cannot be reached')
    tick, = tmp_path.glob('state-0/apiphant/*/tick')
    time.sleep(1)
    os.utime(tick, (0, 0))
    assert health(tmp_path, 0)[0] == 1
    redis.start()
    wait_for(lambda: health(tmp_path, 0)[0] == 0, 'a tick')
    second = Program('-c', RUN, 'shop', '--engine', redis.url, '--state', 'state-0', cwd=tmp_path)
    assert second.wait() == 1
    told = 'apiphant: the background tasks of this product are run already, by process'
    assert second.text == f'{told} {runner.process.pid}'


def test_redis_away(start, redis):
    runners = both(start, TASKS)
    redis.stop()
    time.sleep(GAP)
    seen = [len(runner.lines) for runner in runners]
    redis.start()
    back = time.time()
    late = wait_for_run(back, *runners) - back
    for runner, since in zip(runners, seen, strict=True):
        runner.wait_for_line('Task ', since)
    both_late = time.time() - back
    assert is_quick(late, GAP)
    assert is_quick(both_late, 2 * GAP)
    for runner in runners:
        runner.wait_for_line('is back')
        assert said(runner) == [
            f'The engine {redis.shown} cannot be reached: connection refused; trying again',
            f'The engine {redis.shown} is back']
        assert 'celery.' not in runner.text
        assert 'redis.exceptions' not in runner.text


def said(runner):
    """Of the engine: where the connection breaks while it is in use, that is another trouble, and said too."""
    lines = [line.split('] ')[1] for line in runner.lines if '] The engine' in line]
    return [line for line in lines if 'reset' not in line and 'closed' not in line]


def test_replica(start, redis):
    """A redis that answers, but takes nothing, as one that is full."""
    runner = start()
    runner.wait_for_line('Task quick: OK')
    assert redis.ask('REPLICAOF', '127.0.0.1', '1') == 'OK'
    runner.wait_for_line("The engine .* cannot be reached: you can't write against a read only replica; trying again")
    assert redis.ask('REPLICAOF', 'NO', 'ONE') == 'OK'
    runner.wait_for_line('is back')
    runner.wait_for_line('Task quick: OK', len(runner.lines))
    assert 'celery.' not in runner.text


def test_drain(start, redis):
    """And what a run whose lock is lost says."""
    runner = start(TASKS)
    runner.wait_for_line('BEGAN')
    assert redis.ask('DEL', 'apiphant.shop:lock:slow') == '1'
    runner.wait_for_line('Task slow: its lock cannot be renewed, it was lost; this run goes on and may overlap')
    assert runner.end() == 0
    assert len(times('BEGAN', runner)) == len(times('ENDED', runner))


@pytest.mark.parametrize(('source', 'line', 'status'), [
    pytest.param(ENDLESS, 'BEGAN', 0, id='waits'), pytest.param(STUCK, 'SPINS', 1, id='never waits')])
def test_drain_has_a_limit(start, tmp_path, source, line, status):
    write_tree(tmp_path, {'begin': ''})
    runner = start(source)
    runner.wait_for_line(line)
    when = time.monotonic()
    assert runner.end() == status
    taken = time.monotonic() - when
    assert taken > 9
    assert is_quick(taken, 14)
    assert ('Task spins holds all others, and is ended' in runner.text) == (status == 1)
    assert ('Task endless: still running after 10 s, and is ended' in runner.text) == (status == 0)
    assert ('CLEANED' in runner.lines) == (status == 0)


def test_unreachable(start, redis):
    nowhere = free_port()
    runners = {
        start(url=f'redis://:{PASSWORD}@127.0.0.1:{nowhere}/0'):
            f'redis://127.0.0.1:{nowhere}/0 cannot be reached: connection refused; trying again',
        start(url=f'redis://:not-{PASSWORD}@127.0.0.1:{redis.port}/0'):
            f'{redis.shown} cannot be reached: invalid username-password pair',
        start(url=f'redis://:{PASSWORD}@no.invalid/0'): 'redis://no.invalid:6379/0 cannot be reached: ',
    }
    for runner, line in runners.items():
        runner.wait_for_line(re.escape(line))
    time.sleep(2)
    for runner in runners:
        assert runner.end() == 0
        assert runner.text.count('The engine') == 1
        assert 'Traceback' not in runner.text


def test_no_celery(tmp_path):
    hidden = write_tree(tmp_path, {'celery/__init__.py': 'raise ModuleNotFoundError("No module", name="celery")'})
    write_tree(tmp_path, {'shop/__init__.py': '', 'shop/api/__init__.py': '', 'shop/api/background.py': QUICK})
    variables = clean_environment(PYTHONPATH=str(hidden))
    runner = Program('-c', RUN, 'shop', '--engine', 'redis://127.0.0.1:1/0', cwd=tmp_path, env=variables)
    assert runner.wait() == 1
    assert runner.lines == ['apiphant: --engine needs celery, which is not installed: pip install "apiphant[cluster]"']
