import sys

import pytest

from apiphant.schedule import next_run
from tests.running import Program, write_tree

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
RUN = 'import sys; from apiphant.cli import background; sys.exit(background())'


@pytest.mark.parametrize(('now', 'expected'), [(0, 10), (9.9, 10), (10, 20), (10.1, 20), (35, 40), (-5, 0), (1e6, 1e6 + 10)])
def test_grid(now, expected):
    assert next_run(0, 10, now) == expected


def background(folder, files):
    return Program('-c', RUN, 'shop', cwd=write_tree(folder, files))


def test_runs_reports_and_stops(tmp_path):
    with background(tmp_path, {'shop/api/background.py': TASKS}) as runner:
        for _ in range(2):
            seen = len(runner.lines)
            runner.wait_for_line(r'INFO at background\._run_once:\d+ \[.*\] Task update_something: OK\.', seen)
            runner.wait_for_line(r'ERROR at background\._run_once:\d+ \[.*\] Task fails failed:', seen)
            runner.wait_for_line(r'on_error: OK\.', seen)
        assert runner.end() == 0
    assert 'REPORTED Task fails failed: | ZeroDivisionError: division by zero' in runner.text
    assert f'{tmp_path}/shop/api/background.py", line 11, in fails' in runner.text


def test_failing_on_error(tmp_path):
    tasks = TASKS.replace("if 'again' in error", 'if True')
    with background(tmp_path, {'shop/api/background.py': tasks}) as runner:
        runner.wait_for_line(r'on_error failed:')
        runner.wait_for_line('KeyError')


def test_package_of_tasks(tmp_path):
    with background(tmp_path, {'shop/api/background/__init__.py': 'from . import one', 'shop/api/background/one.py': TASKS}) as runner:
        runner.wait_for_line('Task update_something: OK')


@pytest.mark.parametrize(('source', 'text'), [
    ('', 'nothing in shop.api.background is decorated with @seconds'),
    ('import not_there', "ModuleNotFoundError: No module named 'not_there'"),
    ('from apiphant.background import seconds\n@seconds(0)\ndef f(): pass', r'ValueError: f: seconds(0) should be a number above 0'),
    ('from apiphant.background import seconds\n@seconds("x")\ndef f(): pass', r"ValueError: f: seconds('x') should be"),
])
def test_refused(tmp_path, source, text):
    with background(tmp_path, {'shop/api/background.py': source}) as runner:
        assert runner.wait() == 1
    assert text in runner.text
    assert f'{sys.prefix}/lib' not in runner.text


def test_no_tasks(tmp_path):
    with background(tmp_path, {'shop/api/v0/x.py': ''}) as runner:
        assert runner.wait() == 1
    assert runner.text == f'apiphant: shop has no background tasks: there is no {tmp_path}/shop/api/background.py'
