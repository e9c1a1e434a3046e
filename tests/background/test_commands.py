"""apiphant-background as a person starts it: real processes, real time."""
import json
import os
import re
import signal
import sys
import time

import pytest

from tests.kit.running import Program, wait_for, write_tree
from tests.kit.tasks import RUN, background, gaps, state_of, tasks, times

pytestmark = pytest.mark.once

TASKS = '''
import gevent
from apiphant.background import seconds

@seconds(0.2)
def update_something():
    print('ran', flush=True)

@seconds(0.2)
def fails():
    1 / 0

def on_error(error):
    print('REPORTED', error.splitlines()[0], '|', error.splitlines()[-1], flush=True)
    if 'again' in error:
        raise KeyError
'''
def test_runs_reports_and_stops(tmp_path):
    with background(tmp_path, {'shop/api/background.py': TASKS}) as runner:
        for _ in range(2):
            seen = len(runner.lines)
            runner.wait_for_line(r'INFO at background\.run\.run_once:\d+ \[.*\] Task update_something: OK\.', seen)
            runner.wait_for_line(r'ERROR at background\.run\.run_once:\d+ \[.*\] Task fails failed:', seen)
        assert runner.end() == 0
    assert runner.text.count('REPORTED Task fails failed: | ZeroDivisionError: division by zero') == 1
    assert runner.text.count('on_error: OK.') == 1
    assert f'{tmp_path}/shop/api/background.py", line 11, in fails' in runner.text


def test_failing_on_error(tmp_path):
    with background(tmp_path, {'shop/api/background.py': TASKS.replace("if 'again' in error", 'if True')}) as runner:
        runner.wait_for_line(r'on_error failed:')
        runner.wait_for_line('KeyError')


HANGS = """
    number = 0

    @seconds(0.2)
    def f():
        global number
        number += 1
        print('ran', flush=True)
        raise KeyError(number)

    @seconds(0.2)
    def g(): pass

    def on_error(error):
        print('called', flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize('words', [(), ('--one-by-one',)], ids=str)
def test_on_error_that_hangs(tmp_path, words):
    """It is beside the tasks: they go on."""
    with background(tmp_path, tasks(HANGS), *words) as runner:
        runner.wait_for_line('called')
        wait_for(lambda: runner.lines.count('ran') > 2, 'more runs of the task that failed')
        runner.wait_for_line('Task g: OK', len(runner.lines))
        runner.process.kill()


@pytest.mark.parametrize('what', ['sys.exit(3)', 'raise KeyboardInterrupt', 'raise gevent.GreenletExit'])
def test_on_error_that_ends(tmp_path, what):
    text = f"""
        @seconds(0.2)
        def f(): 1 / 0

        @seconds(0.2)
        def g(): pass

        def on_error(error):
            {what}
    """
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('on_error failed:')
        runner.wait_for_line('Task g: OK', len(runner.lines))
        assert runner.end() == 0


def test_on_error_gets_time_to_end(tmp_path):
    text = """
        @seconds(60)
        def f(): 1 / 0

        def on_error(error):
            print('begun', flush=True)
            time.sleep(1)
            print('told', flush=True)
    """
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('begun')
        assert runner.end() == 0
    assert 'told' in runner.lines
    with background(tmp_path, tasks(text), '--run', 'f') as run:
        assert run.wait() == 1
    assert 'told' in run.lines


def test_on_error_with_details(tmp_path):
    text = '''
        @seconds(9)
        def f():
            raise KeyError(1)

        def on_error(error, task, count):
            print('TOLD', task, count, error.splitlines()[-1], flush=True)
    '''
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('^TOLD f 1 KeyError: 1$')


def test_package_of_tasks(tmp_path):
    files = {'shop/api/background/__init__.py': 'from . import one', 'shop/api/background/one.py': TASKS}
    with background(tmp_path, files) as runner:
        runner.wait_for_line('Task update_something: OK')


def test_grid_without_drift(tmp_path):
    text = '''
        @seconds(0.25)
        def f():
            time.sleep(0.1)
            print('f', time.time() - 0.1, flush=True)
    '''
    with background(tmp_path, tasks(text)) as runner:
        wait_for(lambda: len(times('f', runner)) == 13, 'runs')
    found = times('f', runner)
    assert abs(found[12] - found[0] - 3) < 0.9  # 12 times 0.1 s late, if each began when the one before had ended


def test_never_overlaps_itself(tmp_path):
    text = '''
        @seconds(0.2)
        def slow():
            print('begin', flush=True)
            time.sleep(0.5)
            print('end', flush=True)

        @seconds(0.2)
        def other(): pass
    '''
    with background(tmp_path, tasks(text)) as runner:
        wait_for(lambda: runner.lines.count('end') == 4, 'runs')
    order = [line for line in runner.lines if line in ('begin', 'end')]
    assert order[:8] == ['begin', 'end'] * 4
    assert 'Task slow: skipped, still running.' in runner.text
    assert runner.text.count('Task other: OK') > 6  # side by side


def test_one_by_one(tmp_path):
    text = '''
        def work():
            print('begin', flush=True)
            time.sleep(0.1)
            print('end', flush=True)

        @seconds(0.3)
        def a(): work()

        @seconds(0.3)
        def b(): work()
    '''
    with background(tmp_path, tasks(text), '--one-by-one') as runner:
        wait_for(lambda: runner.lines.count('end') == 6, 'runs')
    assert [line for line in runner.lines if line in ('begin', 'end')][:12] == ['begin', 'end'] * 6


def test_timeout(tmp_path):
    with background(tmp_path, tasks('@seconds(60, timeout=0.2)\ndef f():\n    time.sleep(30)\n')) as runner:
        runner.wait_for_line('Task f failed:')
        runner.wait_for_line(r'TaskTimeout: it took longer than 0\.2 s')


def test_timeout_that_the_task_catches(tmp_path):
    """As a loop does that goes on whatever happens; or it ends without a word, and too late."""
    text = """
        @seconds(60, timeout=0.2)
        def goes_on():
            while True:
                try:
                    time.sleep(0.1)
                except Exception:
                    pass

        @seconds(60, timeout=0.2)
        def ends():
            try:
                time.sleep(60)
            except BaseException:
                pass
    """
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('Task goes_on failed:')
        runner.wait_for_line('Task ends failed:')
    assert runner.text.count('TaskTimeout: it took longer than 0.2 s') == 2


def test_prints_at_once(tmp_path):
    """Also where what reads it is a pipe, as of a supervisor."""
    with background(tmp_path, tasks('@seconds(60)\ndef f(): print("ran")\n')) as runner:
        runner.wait_for_line('^ran$')


def test_different_groups_of_errors(tmp_path):
    text = """
        errors = [ExceptionGroup('several', [KeyError(1), OSError(2)]), ExceptionGroup('several', [KeyError(3)])]

        @seconds(0.2)
        def f():
            raise errors[0]

        @seconds(0.2)
        def g():
            errors.reverse()
            raise errors[0]

        def on_error(error, task, count):
            print('TOLD', task, *[line.strip('| ') for line in error.splitlines() if 'Error: ' in line], flush=True)
    """
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('^TOLD g KeyError: 1 OSError: 2$')
        runner.wait_for_line('^TOLD g KeyError: 3$')


def test_jitter(tmp_path):
    text = '@seconds(0.5, jitter=0.3)\ndef f():\n    print("f", time.time(), flush=True)\n'
    with background(tmp_path, tasks(text)) as runner:
        wait_for(lambda: len(times('f', runner)) == 8, 'runs')
    found = gaps(times('f', runner))
    assert max(found) - min(found) > 0.05


def test_slower_while_it_fails(tmp_path):
    text = '@seconds(0.1)\ndef f():\n    print("f", time.time(), flush=True)\n    1 / 0\n'
    with background(tmp_path, tasks(text)) as runner:
        wait_for(lambda: len(times('f', runner)) == 5, 'runs')
    found = times('f', runner)
    assert found[4] - found[0] > 1  # 0.1, 0.2, 0.4 and 0.8 s


RAISED = ['SystemExit', 'KeyboardInterrupt', 'gevent.GreenletExit', 'gevent.Timeout', 'MemoryError']


@pytest.mark.parametrize('error', RAISED)
def test_whatever_a_task_raises(tmp_path, error):
    text = f'@seconds(0.2)\ndef f():\n    raise {error}\n\n@seconds(0.2)\ndef g(): pass\n'
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('Task f failed:')
        runner.wait_for_line('Task g: OK', len(runner.lines))


def test_holding_all_others(tmp_path):
    text = '''
        @seconds(60)
        def spins():
            end = time.monotonic() + 6
            while time.monotonic() < end:
                pass
    '''
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line(r'WARNING .* Task spins holds all others, for \d s now:')
        runner.wait_for_line('in spins')
        assert '/apiphant/' not in runner.text


def test_term_lets_tasks_end(tmp_path):
    text = '@seconds(60)\ndef f():\n    print("begin", flush=True)\n    time.sleep(1)\n    print("done", flush=True)\n'
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('begin')
        assert runner.end() == 0
    assert 'done' in runner.lines


def test_term_with_a_task_that_never_waits(tmp_path):
    text = '@seconds(60)\ndef f():\n    print("begin", flush=True)\n    while True:\n        pass\n'
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('begin')
        assert runner.end() == 1


def test_last_runs_are_kept(tmp_path):
    files = tasks('@seconds(3600)\ndef f(): pass\n\n@seconds(0.2)\ndef g(): pass\n')
    with background(tmp_path, files) as runner:
        runner.wait_for_line('Task f: OK')
        assert runner.end() == 0
    with background(tmp_path, files) as runner:
        runner.wait_for_line('Task g: OK')
        assert runner.end() == 0
    assert 'Task f' not in runner.text


def test_killed_while_it_runs(tmp_path):
    """What is kept is whole whenever the process ends."""
    files = tasks('@seconds(0.01)\ndef f(): pass\n')
    for _ in range(3):
        with background(tmp_path, files) as runner:
            runner.wait_for_line('Task f: OK')
            runner.process.kill()
    with background(tmp_path, files) as runner:
        runner.wait_for_line('Task f: OK')
    assert 'set aside' not in runner.text


def test_broken_last_runs(tmp_path):
    files = tasks('@seconds(60)\ndef f(): pass\n')
    with background(tmp_path, files) as runner:
        runner.wait_for_line('Task f: OK')
        assert runner.end() == 0
    path = state_of(tmp_path) / 'last-runs.json'
    assert json.loads(path.read_text())['f'] == pytest.approx(time.time(), abs=60)
    path.write_text('{"f": ')
    with background(tmp_path, files) as runner:
        runner.wait_for_line('WARNING .* set aside as last-runs.broken')
        runner.wait_for_line('Task f: OK')
    assert path.with_suffix('.broken').read_text() == '{"f": '


def test_second_runner(tmp_path):
    files = tasks('@seconds(60)\ndef f(): pass\n')
    with background(tmp_path, files) as first:
        first.wait_for_line('Task f: OK')
        with background(tmp_path, files) as second:
            assert second.wait() == 1
        told = 'apiphant: the background tasks of this product are run already, by process'
        assert second.text == f'{told} {first.process.pid}'


def test_full_disk(tmp_path):
    """As far as a limit on the size of files goes for one: tasks run, and it is said once."""
    path = write_tree(tmp_path, tasks('@seconds(0.2)\ndef f(): pass\n'))
    limit = 'import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); '
    with Program('-B', '-c', limit + RUN, 'shop', '--state', 'state', cwd=path) as runner:
        runner.wait_for_line(r'WARNING .*/last-runs\.json cannot be written: file too large; trying again')
        runner.wait_for_line('Task f: OK', len(runner.lines))
        assert runner.end() == 0
    assert runner.text.count('cannot be written') == 1


def test_state_that_cannot_be_kept(tmp_path):
    write_tree(tmp_path, {**tasks('@seconds(0.2)\ndef f(): pass\n'), 'file': ''})
    with Program('-c', RUN, 'shop', '--state', 'file', cwd=tmp_path) as runner:
        assert runner.wait() == 1
    assert re.fullmatch('apiphant: cannot keep state in file/.*: not a directory', runner.text)


def test_list(tmp_path):
    files = tasks('@seconds(60)\ndef f(): pass\n\n@cron("30 2 * * *", timezone="Europe/Berlin")\ndef nightly(): pass\n')
    with background(tmp_path, files, '--list') as listing:
        assert listing.wait() == 0
    assert re.fullmatch(r"f        every 60 s                     last never  next \d{4}-.*Z\n"
                        r"nightly  at '30 2 \* \* \*' Europe/Berlin  last never  next \d{4}-.*Z", listing.text)
    with background(tmp_path, files, '--list', '--json') as listing:
        assert listing.wait() == 0
    assert [(row['name'], row['last']) for row in json.loads(listing.text)] == [('f', None), ('nightly', None)]


def test_run_one(tmp_path):
    files = tasks('@seconds(60)\ndef f(): print("ran")\n\n@seconds(60)\ndef fails(): 1 / 0\n')
    nope = "there is no task 'nope'; there are: f, fails"
    for name, status, text in (('f', 0, 'Task f: OK'), ('fails', 1, 'Task fails failed'), ('nope', 1, nope)):
        with background(tmp_path, files, '--run', name) as run:
            assert run.wait() == status
        assert text in run.text


def test_health(tmp_path):
    files = tasks('@seconds(0.2)\ndef f(): pass\n')
    with background(tmp_path, files, '--health') as before:
        assert before.wait() == 1
    assert before.text == 'not alive: it never ran'
    with background(tmp_path, files) as runner:
        runner.wait_for_line('Task f: OK')
        with background(tmp_path, files, '--health') as health:
            assert health.wait() == 0, health.text
    os.utime(state_of(tmp_path) / 'tick', (0, 0))
    with background(tmp_path, files, '--health') as after:
        assert after.wait() == 1


def test_stopped_for_a_while(tmp_path):
    """As in a suspend: the missed runs are skipped, not replayed."""
    with background(tmp_path, tasks('@seconds(0.2)\ndef f():\n    print("f", time.time(), flush=True)\n')) as runner:
        runner.wait_for_line('Task f: OK')
        runner.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        runner.process.send_signal(signal.SIGCONT)
        resumed = time.time()
        wait_for(lambda: len([when for when in times('f', runner) if when > resumed]) == 3, 'runs after it')
        elapsed = time.time() - resumed
        found = [when for when in times('f', runner) if when > resumed]
    assert len(found) <= elapsed / 0.2 + 2  # seven more at once, if they were replayed


@pytest.mark.parametrize(('source', 'text'), [
    ('', 'apiphant: shop has no background tasks: nothing in shop.api.background is decorated with @seconds or @cron'),
    ('import not_there', "ModuleNotFoundError: No module named 'not_there'")])
def test_refused(tmp_path, source, text):
    """Which others are, test_tasks.py knows."""
    with background(tmp_path, tasks(source)) as runner:
        assert runner.wait() == 1
    assert text in runner.text
    assert f'{sys.prefix}/lib' not in runner.text


def test_no_tasks(tmp_path):
    with background(tmp_path, {'shop/api/v0/x.py': ''}) as runner:
        assert runner.wait() == 1
    assert runner.text == f'apiphant: shop has no background tasks: there is no {tmp_path}/shop/api/background.py'
