"""What @seconds and @cron take and refuse, and what loading a product's tasks tells. No process is started."""
import sys
from importlib import import_module

import pytest

from apiphant.api import product
from apiphant.api.product import BrokenProduct, ProductError
from apiphant.background.schedule import Cron, Every
from apiphant.background.tasks import SHOWN, Task, listed, load, tasks
from tests.kit.running import write_tree

HEAD = 'from apiphant.background import cron, seconds\n\n'


@pytest.fixture
def tasks_of(tmp_path, monkeypatch):
    """The tasks of a module `chores` with this text."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(text):
        (tmp_path / 'chores.py').write_text(HEAD + text)
        module = import_module('chores')
        return {task.name: task for task in tasks() if task.function.__module__ == module.__name__}
    yield load
    sys.modules.pop('chores', None)


@pytest.mark.parametrize(('decorator', 'schedule', 'timeout'), [
    ('seconds(60)', Every(60), None),
    ('seconds(0.5, timeout=2, jitter=1.5)', Every(0.5, 1.5), 2),
    ('seconds(60, timeout=0.1, jitter=0)', Every(60), 0.1),
    ('cron("30 2 * * *")', Cron('30 2 * * *', 'UTC'), None),
    ('cron("*/5 8-17 * * mon-fri", timezone="Europe/Berlin", timeout=30, jitter=5)',
     Cron('*/5 8-17 * * mon-fri', 'Europe/Berlin', 5), 30),
])
def test_taken(tasks_of, decorator, schedule, timeout):
    task = tasks_of(f'@{decorator}\ndef f(): return 7\n')['f']
    assert (task.schedule, task.timeout, task.function()) == (schedule, timeout, 7)


PERIOD, TIMEOUT, JITTER = 'should be a number above 0', 'should be a number above 0', 'should be a number from 0'
FIELDS = 'should be five fields'
PERIODS = ('0', '-1', '"60"', 'None', 'True', 'float("nan")', 'float("inf")', '[60]')
TIMEOUTS = ('0', '-1', '"1"', 'False', 'float("inf")')
JITTERS = ('-0.1', '"1"', 'None', 'True', 'float("nan")')
LINES = ('"* * *"', '"* * * * * *"', '""', '30', 'None')
SENSELESS = ('"61 * * * *"', '"a b c d e"')
ZONES = ('"Mars/Base"', '""', '"../x"', 'None', '7')


@pytest.mark.parametrize(('decorator', 'why'), [
    *((f'seconds({value})', f'seconds\\(.*\\) {PERIOD}') for value in PERIODS),
    *((f'seconds(60, timeout={value})', f'timeout=.* {TIMEOUT}') for value in TIMEOUTS),
    *((f'seconds(60, jitter={value})', f'jitter=.* {JITTER}') for value in JITTERS),
    *((f'cron({value})', f'cron\\(.*\\) {FIELDS}') for value in LINES),
    *((f'cron({value})', 'cron\\(.*\\) has the minute .*, which makes no sense') for value in SENSELESS),
    *((f'cron("* * * * *", timezone={value})', 'is no zone') for value in ZONES),
    ('cron("* * * * *", timeout=0)', TIMEOUT),
    ('cron("* * * * *", jitter=-1)', JITTER),
])
def test_refused(tasks_of, decorator, why):
    with pytest.raises(ValueError, match=f'^f: {why}' if why[0] in 'sc' and '(' in why else why):
        tasks_of(f'@{decorator}\ndef f(): pass\n')


def test_same_name_twice(tasks_of):
    with pytest.raises(ValueError, match='f: there is a task of that name in chores already'):
        tasks_of('@seconds(1)\ndef f(): pass\n\n@cron("* * * * *")\ndef f(): pass\n')


def test_is_the_function_still(tasks_of):
    task = tasks_of('@seconds(60)\ndef f(): return 7\n')['f']
    assert sys.modules['chores'].f is task.function


def test_gone_with_its_module(tasks_of):
    task = tasks_of('@seconds(60)\ndef f(): return 7\n')['f']
    assert task in tasks()
    del sys.modules['chores']
    assert task not in tasks()
    assert tasks_of('@seconds(5)\ndef f(): return 8\n')['f'].schedule == Every(5)


@pytest.fixture
def product_with(tmp_path, monkeypatch):
    """The product `plant`, with these files in its folder `api`."""
    monkeypatch.setattr(sys, 'path', sys.path.copy())

    def make(files):
        tree = {f'api/{name}': text for name, text in {'v0/x.py': '', **files}.items()}
        return product.find(write_tree(tmp_path / 'plant', tree))
    yield make
    for name in [name for name in sys.modules if name.partition('.')[0] == 'plant']:
        del sys.modules[name]


def test_loaded(product_with):
    found = product_with({'background.py': f'{HEAD}@seconds(60)\ndef water(): pass\n\ndef on_error(error): pass\n'})
    on_error = load(found)
    assert on_error is sys.modules['plant.api.background'].on_error
    assert [task.name for task in tasks()] == ['water']


def test_loaded_without_on_error(product_with):
    more = f'{HEAD}@seconds(60)\ndef water(): pass\n'
    files = {'background/__init__.py': 'from . import more\n', 'background/more.py': more}
    assert load(product_with(files)) is None


@pytest.mark.parametrize(('files', 'said'), [
    ({}, r'^plant has no background tasks: there is no .*/plant/api/background\.py$'),
    ({'background.py': ''},
     '^plant has no background tasks: nothing in plant.api.background is decorated with @seconds or @cron$'),
])
def test_nothing_to_load(product_with, files, said):
    with pytest.raises(ProductError, match=said) as caught:
        load(product_with(files))
    assert not isinstance(caught.value, BrokenProduct)


@pytest.mark.parametrize(('text', 'kind'), [
    ('import plant.not_there', ModuleNotFoundError),
    ('1 / 0', ZeroDivisionError),
    ('raise SystemExit(3)', SystemExit),
    ('def', SyntaxError),
])
def test_broken(product_with, text, kind):
    with pytest.raises(BrokenProduct) as caught:
        load(product_with({'background.py': text}))
    assert {name: type(error) for name, error in caught.value.errors.items()} == {'plant.api.background': kind}


def test_many_in_one_line():
    def nothing():
        pass
    todo = [Task(nothing, Every(60))] * SHOWN
    assert listed(todo[:2]) == 'nothing every 60 s, nothing every 60 s'
    assert listed(todo).count('nothing') == SHOWN
    assert 'more' not in listed(todo)
    assert listed([*todo, *todo[:3]]).endswith('nothing every 60 s, and 3 more')
    assert listed([*todo, *todo[:3]]).count('nothing') == SHOWN


def test_refused_where_it_stands(product_with):
    """The traceback is of the product's own lines."""
    with pytest.raises(BrokenProduct) as caught:
        load(product_with({'background.py': f'{HEAD}@seconds(0)\ndef water(): pass\n'}))
    assert 'ValueError: water: seconds(0) should be a number above 0' in caught.value.tracebacks
    assert 'plant/api/background.py", line ' in caught.value.tracebacks
    assert '/apiphant/' not in caught.value.tracebacks
