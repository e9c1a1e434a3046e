"""Runners of two releases of a product that share a real redis, as they do while a product is deployed."""
import os
import signal
import time
from pathlib import Path

import pytest

from tests.kit.processes import children
from tests.kit.redis import Redis
from tests.kit.running import Program, wait_for, write_tree
from tests.kit.tasks import ACTIVE, NEEDS_REDIS, RUN, times

pytest.importorskip('celery')
pytestmark = [pytest.mark.once, NEEDS_REDIS]

HEAD = '''
import time
from apiphant.background import seconds

def say(what):
    print(what, time.time(), flush=True)
'''
TASK = '''
@seconds(%d)
def %s():
    say('%s')
'''
LONG = 90  # seconds; a runner that was killed counts as live for a while
SCHEDULE = 'apiphant.shop:beat::schedule'


def source(**periods):
    return HEAD + ''.join(TASK % (period, name, name) for name, period in periods.items())


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path) as server:
        yield server


@pytest.fixture
def start(redis, tmp_path):
    """Starts a runner of a release with these tasks."""
    programs = []

    def start(**periods):
        folder = write_tree(tmp_path / str(len(programs)), {'shop/api/background.py': source(**periods)})
        words = ('-c', RUN, 'shop', '--engine', redis.url, '--state', 'state')
        programs.append(Program(*words, cwd=folder, start_new_session=True))
        return programs[-1]
    yield start
    for program in programs:
        program.process.kill()
        program.end()


def active(start, **periods):
    runner = start(**periods)
    runner.wait_for_line(ACTIVE)
    return runner


def runs_on(what, *runners):
    """From now on, twice: what was sent before may still be under way."""
    seen = len(times(what, *runners))
    wait_for(lambda: len(times(what, *runners)) > seen + 2, f'runs of {what}', 30)


def restart_scheduler(runner):
    """By kill -9; returns when there is another, which has had the time to look at what is in redis."""
    before, = children(runner.process.pid)
    os.kill(before, signal.SIGKILL)
    after = wait_for(lambda: [pid for pid in children(runner.process.pid) if pid != before], 'another scheduler')
    wait_for(lambda: b'cluster.beat' in Path(f'/proc/{after[0]}/cmdline').read_bytes(), 'its program')
    time.sleep(3)


def is_scheduled(redis, name):
    return redis.ask('ZSCORE', SCHEDULE, f'apiphant.shop:beat:{name}') != '$-1'


def test_old_scheduler_starts_again(start, redis):
    old = active(start, quick=1)
    new = start(quick=1, fresh=1)
    runs_on('fresh', new)
    for _ in range(2):
        restart_scheduler(old)
        runs_on('fresh', new)
    restart_scheduler(new)
    restart_scheduler(old)
    runs_on('fresh', new)
    runs_on('quick', old, new)
    assert old.end() == 0
    runs_on('fresh', new)
    assert is_scheduled(redis, 'quick')


def test_message_finds_its_runner(start, redis):
    """What a runner takes that has no such task is for another; each is sent only once here."""
    old = active(start, quick=1)
    names = [f'fresh_{number}' for number in range(8)]
    new = start(quick=1, **dict.fromkeys(names, 3600))
    wait_for(lambda: all(times(name, new) for name in names), 'a run of each')
    runs_on('quick', old, new)
    assert [len(times(name, new)) for name in names] == [1] * len(names)
    assert 'fresh' not in old.text


@pytest.mark.parametrize('is_killed', [False, True], ids=['ends', 'killed'])
def test_removed_task(start, redis, is_killed):
    """It goes on while some runner has it, and stops when none has."""
    old = active(start, quick=1, gone=1)
    new = start(quick=1)
    new.wait_for_line('Ready to run tasks')
    restart_scheduler(new)
    runs_on('gone', old)
    assert is_scheduled(redis, 'gone')
    if is_killed:
        os.killpg(old.process.pid, signal.SIGKILL)
    else:
        assert old.end() == 0
    wait_for(lambda: not is_scheduled(redis, 'gone'), 'the end of a task that nobody has', LONG)
    runs_on('quick', new)
    new.wait_for_line('Task gone: no runner has it any more, and it is no longer sent')
    restart_scheduler(new)
    assert not is_scheduled(redis, 'gone')


def test_task_with_another_period(start, redis):
    """The runner that started last decides, whichever scheduler starts again, for as long as it is there."""
    def is_every(period):
        return redis.answer_has('HGET apiphant.shop:beat:timed definition', f'"period": {period}')
    old = active(start, quick=1, timed=700)
    assert is_every(700)
    new = start(quick=1, timed=800)
    wait_for(lambda: is_every(800), 'the new period')
    restart_scheduler(old)
    assert is_every(800)
    assert new.end() == 0
    wait_for(lambda: is_every(700), 'the old period')
    runs_on('quick', old)


@pytest.mark.parametrize('command', [
    f'ZREM {SCHEDULE} apiphant.shop:beat:quick', 'DEL apiphant.shop:beat:quick', f'DEL {SCHEDULE}', 'FLUSHALL'])
def test_missing_is_put_back(start, redis, command):
    """As an old release's scheduler, or a redis that evicts, takes it away."""
    runner = active(start, quick=1)
    runs_on('quick', runner)
    redis.ask(*command.split())
    runs_on('quick', runner)


def test_last_run_outlives_removal(start, redis):
    first = active(start, quick=1, rare=3600)
    wait_for(lambda: times('rare', first), 'the first run')
    assert first.end() == 0
    second = active(start, quick=1)
    wait_for(lambda: not is_scheduled(redis, 'rare'), 'the end of it', LONG)
    assert second.end() == 0
    third = active(start, quick=1, rare=3600)
    wait_for(lambda: is_scheduled(redis, 'rare'), 'it to be back')
    runs_on('quick', third)
    assert not times('rare', third)
