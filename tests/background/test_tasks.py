"""Which tasks there are, and which are refused."""
import sys

import pytest

from apiphant.api import product
from apiphant.api.product import BrokenProduct, ProductError
from apiphant.background import tasks
from apiphant.background.schedule import Every
from tests.kit.running import write_tree

REFUSED = [
    ('@seconds(0)\ndef f(): pass', 'f: seconds(0) should be a number above 0'),
    ('@seconds(-1)\ndef f(): pass', 'f: seconds(-1) should be a number above 0'),
    ('@seconds("x")\ndef f(): pass', "f: seconds('x') should be"),
    ('@seconds(True)\ndef f(): pass', 'f: seconds(True) should be'),
    ('@seconds(float("nan"))\ndef f(): pass', 'f: seconds(nan) should be'),
    ('@seconds(1, timeout=0)\ndef f(): pass', 'f: timeout=0 should be a number above 0'),
    ('@seconds(1, jitter=-1)\ndef f(): pass', 'f: jitter=-1 should be a number from 0'),
    ('@cron("61 * * * *")\ndef f(): pass', "f: cron('61 * * * *') should be five fields"),
    ('@cron("* * *")\ndef f(): pass', "f: cron('* * *') should be five fields"),
    ('@cron("* * * * *", timezone="Mars/Base")\ndef f(): pass', "f: timezone='Mars/Base' is no zone"),
    ('@seconds(1)\ndef f(): pass\n\n@seconds(2)\ndef f(): pass', 'f: there is a task of that name in shop.api.background already'),
]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads a product with these background tasks, as the runner does; nothing of it is left afterwards."""
    monkeypatch.setattr(sys, 'path', [*sys.path])

    def begin(source):
        write_tree(tmp_path, {'shop/api/background.py': f'from apiphant.background import cron, seconds\n\n{source}\n'})
        return tasks.load(product.find(str(tmp_path / 'shop')))
    yield begin
    for name in [name for name in sys.modules if name.partition('.')[0] == 'shop']:
        del sys.modules[name]
    assert tasks.tasks() == []


@pytest.mark.parametrize(('source', 'text'), REFUSED)
def test_refused(load, source, text):
    with pytest.raises(BrokenProduct) as caught:
        load(source)
    assert f'ValueError: {text}' in caught.value.tracebacks
    assert 'shop/api/background.py", line ' in caught.value.tracebacks
    assert '/apiphant/' not in caught.value.tracebacks


def test_none(load):
    with pytest.raises(ProductError, match=r'nothing in shop\.api\.background is decorated with @seconds or @cron'):
        load('def f(): pass')


def test_no_file(tmp_path):
    write_tree(tmp_path, {'shop/api/v0/x.py': ''})
    with pytest.raises(ProductError, match='shop has no background tasks: there is no .*background.py'):
        tasks.load(product.find(str(tmp_path / 'shop')))


def test_as_decorated(load):
    assert load('@seconds(2, timeout=3)\ndef f(): pass\n\n@cron("30 2 * * *", timezone="Europe/Berlin")\ndef g(): pass\n\ndef on_error(error): pass')
    first, second = tasks.tasks()
    assert (first.name, first.schedule, first.timeout) == ('f', Every(2, 0), 3)
    assert tasks.listed([first, second]) == "f every 2 s, g at '30 2 * * *' Europe/Berlin"


def test_many_are_listed_in_part(load):
    load('\n\n'.join(f'@seconds(60)\ndef f{number}(): pass' for number in range(103)))
    assert tasks.listed(tasks.tasks()).endswith('f99 every 60 s, and 3 more')
