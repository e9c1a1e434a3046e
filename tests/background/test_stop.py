"""How runs end when the runner is told to stop, or is killed, and what children of tasks keep."""
import os
import signal

import pytest

from tests.kit.running import wait_for
from tests.kit.tasks import RUN, Program, background, tasks, times

pytestmark = pytest.mark.once


def test_term_in_a_long_call(tmp_path):
    """Into C, which gives Python no turn to call a handler of signals."""
    text = """
        import sqlite3
        ENDLESS = 'with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n'

        @seconds(60)
        def f():
            print('begin', flush=True)
            sqlite3.connect(':memory:').execute(ENDLESS).fetchall()
    """
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('begin')
        assert runner.end() == 1
    assert 'Task f holds all others, and is ended' in runner.text


def test_cut(tmp_path):
    """What is still running when the time is over is named, cleans up, and ends its child."""
    text = """
        import subprocess

        @seconds(60)
        def waits():
            try:
                print('begin', flush=True)
                time.sleep(600)
            finally:
                print('cleaned', flush=True)

        @seconds(60)
        def calls():
            subprocess.run(['sh', '-c', 'echo CHILD $$; exec sleep 600'])
    """
    with background(tmp_path, tasks(text)) as runner:
        child = int(runner.wait_for_line(r'CHILD (\d+)')[1])
        runner.wait_for_line('begin')
        assert runner.end() == 0
    assert 'cleaned' in runner.lines
    for name in ('waits', 'calls'):
        assert f'Task {name}: still running after 10 s, and is ended' in runner.text
    with pytest.raises(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def test_nothing_begins_after_term(tmp_path):
    text = ''.join(f'@seconds(60, jitter=6)\ndef f{number}(): print("BEGAN", time.time(), flush=True)\n\n'
                   for number in range(30))
    with background(tmp_path, tasks(text)) as runner:
        wait_for(lambda: times('BEGAN', runner), 'the first')
        assert runner.end() == 0
    assert len(times('BEGAN', runner)) < 30  # which it does not wait for, though they are done in 6 s and it has 10


def test_no_turn_after_term(tmp_path):
    text = """
        def work():
            print('BEGAN', time.time(), flush=True)
            time.sleep(1)

        @seconds(60)
        def a(): work()

        @seconds(60)
        def b(): work()
    """
    with background(tmp_path, tasks(text), '--one-by-one') as runner:
        runner.wait_for_line('BEGAN')
        assert runner.end() == 0
    assert len(times('BEGAN', runner)) == 1


@pytest.mark.parametrize('schedule', ['seconds(3600)', 'seconds(3600, jitter=0.01)'])
def test_task_that_kills_the_runner(tmp_path, schedule):
    """It was noted as run before it began, so that it does not end each runner that is started."""
    files = tasks(f"""
        @{schedule}
        def f():
            os.kill(os.getpid(), 9)

        @seconds(3600)
        def g(): pass
    """)
    with background(tmp_path, files) as runner:
        assert runner.wait() == -signal.SIGKILL
    with background(tmp_path, files) as runner:
        runner.wait_for_line('Running f')
        wait_for(lambda: list((tmp_path / 'state').rglob('tick')), 'its loop')
        assert runner.end() == 0


FORKS = """
    from gevent.monkey import get_original

    @seconds(60)
    def f():
        pid = os.fork()
        if not pid:
            while True:
                get_original('time', 'sleep')(60)
        print('CHILD', pid, flush=True)
"""


def test_lock_is_not_its_childs(tmp_path):
    with background(tmp_path, tasks(FORKS)) as first:
        child = int(first.wait_for_line(r'CHILD (\d+)')[1])
        first.process.kill()
        first.process.wait()
        try:
            with background(tmp_path, tasks(FORKS)) as second:
                second.wait_for_line('Running f|run already')
                assert 'run already' not in second.text
        finally:
            os.kill(child, signal.SIGKILL)  # it has the pipe that the first one's lines come through


def test_signals_of_its_child(tmp_path):
    """They are the child's own: it ends, and the runner goes on."""
    text = f"""{FORKS}
        os.kill(pid, 15)
        print('ENDED', os.waitpid(pid, 0)[1], flush=True)

    @seconds(0.2)
    def g(): pass
    """
    with background(tmp_path, tasks(text)) as runner:
        child = int(runner.wait_for_line(r'CHILD (\d+)')[1])
        try:
            runner.wait_for_line('ENDED 15')
            runner.wait_for_line('Task g: OK', len(runner.lines))
        finally:
            if 'ENDED' not in runner.text:
                os.kill(child, signal.SIGKILL)


def test_child_that_ends_at_once(tmp_path):
    """Before the parent goes on after the fork, as it does on a busy machine."""
    text = """
        from gevent.monkey import get_original
        os.register_at_fork(after_in_parent=lambda: get_original('time', 'sleep')(0.5))

        @seconds(60)
        def f():
            pid = os.fork()
            if not pid:
                os._exit(3)
            print('ENDED', os.WEXITSTATUS(os.waitpid(pid, 0)[1]), flush=True)
    """
    with background(tmp_path, tasks(text)) as runner:
        runner.wait_for_line('ENDED 3')


def test_link_and_real_path(tmp_path):
    files = tasks('@seconds(60)\ndef f(): pass\n')
    with background(tmp_path / 'real', files) as first:
        first.wait_for_line('Task f: OK')
        (tmp_path / 'link').symlink_to(tmp_path / 'real')
        with Program('-c', RUN, 'shop', '--state', str(tmp_path / 'real/state'), cwd=tmp_path / 'real') as second:
            assert second.wait() == 1
        with Program('-c', RUN, str(tmp_path / 'link/shop'), '--state', str(tmp_path / 'real/state')) as second:
            assert second.wait() == 1
    assert second.text.startswith('apiphant: the background tasks of this product are run already, by process')
