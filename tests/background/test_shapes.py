"""What may be a task, and which tasks there are: of every shape, in every module, in runners and in dev."""
import re

import pytest

from tests.kit.running import run_cli
from tests.kit.shop import handler, reads, shop_with
from tests.kit.tasks import background, tasks

pytestmark = pytest.mark.once

DECORATORS = '''
from contextlib import contextmanager
from functools import wraps
import asyncio

def retry(function):
    @wraps(function)
    def inner():
        return function()
    return inner

def bare(function):
    def bare_inner():
        return function()
    return bare_inner

def with_name(function):
    @wraps(function)
    def inner():
        return function('in_hand')
    return inner

def driven(function):
    @wraps(function)
    def inner():
        return asyncio.run(function())
    return inner

@contextmanager
def timed():
    yield
'''
SHAPES = '''
from functools import partial
from shop.lib.decorators import bare, driven, retry, timed, with_name
from shop.lib import more, replaced
from apiphant.background import seconds

def ran(name='partial'):
    print('RAN', name, flush=True)

@seconds(60)
@retry
def wrapped(): ran('wrapped')

@seconds(60)
@retry
@retry
def twice(): ran('twice')

@seconds(60)
@bare
def hidden(): ran('bare')

@seconds(60)
@with_name
def given(name): ran(name)

@seconds(60)
@timed()
def in_context(): ran('in_context')

@seconds(60)
@driven
async def awaited(): ran('awaited')

seconds(60)(partial(ran))
named = partial(ran, 'named')
named.__name__ = 'named'
seconds(60)(named)

class Job:
    def __call__(self): ran('object')
    def method(self): ran('method')

    @seconds(60)
    @staticmethod
    def static(): ran('static')

    @classmethod
    def of_class(cls): ran('of_class')

seconds(60)(Job())
seconds(60)(Job().method)
seconds(60)(Job.of_class)
seconds(60)(lambda: ran('lambda'))

for name in ('loop_a', 'loop_b'):
    def looped(name=name): ran(name)
    looped.__name__ = name
    seconds(60)(looped)

@seconds(60)
def rebound(): ran('rebound')
rebound = None

@seconds(60)
def deleted(): ran('deleted')
del deleted

@more.each_minute
def helped(): ran('helped')

exec("""
@seconds(60)
def from_text(): ran('from_text')
""", {'seconds': seconds, 'ran': ran})
'''
MORE = '''
from apiphant.background import seconds
from shop.lib.decorators import retry

@seconds(60)
@retry
def elsewhere():
    print('RAN elsewhere', flush=True)

def each_minute(function):
    return seconds(60)(function)
'''
REPLACED = '''
import sys
from apiphant.background import seconds

@seconds(60)
def from_replaced():
    print('RAN from_replaced', flush=True)

class Lazy:
    pass

sys.modules[__name__] = Lazy()
'''
LIB = {'shop/lib/decorators.py': DECORATORS, 'shop/lib/more.py': MORE, 'shop/lib/replaced.py': REPLACED}
RAN = [
    'awaited', 'bare', 'deleted', 'elsewhere', 'from_replaced', 'from_text', 'helped', 'in_context', 'in_hand',
    'lambda', 'loop_a', 'loop_b', 'method', 'named', 'object', 'of_class', 'partial', 'rebound',
    'static', 'twice', 'wrapped']
NAMED = {'wrapped', 'bare_inner', 'in_context', 'ran', 'Job', 'static', 'elsewhere'}


def test_every_shape_runs(tmp_path):
    with background(tmp_path, {'shop/api/background.py': SHAPES, **LIB}) as runner:
        for name in RAN:
            runner.wait_for_line(f'^RAN {name}$')
        assert runner.end() == 0
    assert sorted(line.removeprefix('RAN ') for line in runner.lines if line.startswith('RAN')) == RAN
    with background(tmp_path, {}, '--list') as listing:
        assert listing.wait() == 0
    assert {line.split()[0] for line in listing.lines} >= NAMED
    assert len(listing.lines) == len(RAN)


IMPORTS = '''
from contextlib import contextmanager
from functools import partial
from shop.lib.decorators import bare, retry, timed
'''
ASYNC = 'f: the body of an async def never runs when it is called as a task is; write a def that calls asyncio.run'
TWICE = 'bare_inner: there is a task of that name in shop.api.background already; if it is a decorator'
ASYNC_GENERATOR = 'f: the body of an async generator never runs'
GENERATOR = 'f: the body of a generator never runs when it is called as a task is; write a function without yield'
REFUSED = {
    'async': ('@seconds(1)\nasync def f(): pass', ASYNC),
    'async of cron': ('@cron("* * * * *")\nasync def f(): pass', ASYNC),
    'async behind wraps': ('@seconds(1)\n@retry\nasync def f(): pass', ASYNC),
    'async behind a context': ('@seconds(1)\n@timed()\nasync def f(): pass', ASYNC),
    'async behind partial': ('async def f(x): pass\nseconds(1)(partial(f, 1))', ASYNC),
    'async static': ('class A:\n    @seconds(1)\n    @staticmethod\n    async def f(): pass', ASYNC),
    'async object': ('class f:\n    async def __call__(self): pass\nseconds(1)(f())', ASYNC),
    'async method': ('class A:\n    async def f(self): pass\nseconds(1)(A().f)', ASYNC),
    'generator': ('@seconds(1)\ndef f(): yield', GENERATOR),
    'generator behind wraps': ('@seconds(1)\n@retry\n@retry\ndef f(): yield', GENERATOR),
    'generator behind partial': ('def f(x): yield\nseconds(1)(partial(retry(f), 1))', GENERATOR),
    'context manager': ('@seconds(1)\n@contextmanager\ndef f(): yield', GENERATOR),
    'async generator': ('@seconds(1)\nasync def f(): yield', ASYNC_GENERATOR),
    'async generator behind wraps': ('@seconds(1)\n@retry\nasync def f(): yield', ASYNC_GENERATOR),
    'seconds without parentheses': ('@seconds\ndef f(): pass', 'f: @seconds needs a period, as in @seconds(60)'),
    'seconds without parentheses over static': (
        'class A:\n    @seconds\n    @staticmethod\n    def f(): pass',
        'f: @seconds needs a period'),
    'cron without parentheses': (
        '@cron\ndef f(): pass',
        "f: @cron needs a line of five fields, as in @cron('30 2 * * *')"),
    'argument': ('@seconds(1)\ndef f(x, y, z=1): pass', 'f: a task is called with nothing, and this takes x, y'),
    'method in its class': (
        'class A:\n    @seconds(1)\n    def f(self): pass',
        'f: a task is called with nothing, and this takes self'),
    'classmethod': (
        'class A:\n    @seconds(1)\n    @classmethod\n    def f(cls): pass',
        'f: classmethod objects cannot be called; decorate a function that does what it should'),
    'class': ('@seconds(1)\nclass f: pass', 'f: a class cannot be a task; decorate a function'),
    'nothing to call': ('seconds(1)(5)', 'int: int objects cannot be called'),
    'same name': ('@seconds(1)\n@bare\ndef f(): pass\n\n@seconds(1)\n@bare\ndef g(): pass', TWICE),
    'never a date': (
        '@cron("0 0 31 2 *")\ndef f(): pass',
        "f: cron('0 0 31 2 *') has no next date: it would never run"),
    'never a date of four months': (
        '@cron("0 0 31 4,6,9,11 *", timezone="Europe/Berlin")\ndef f(): pass',
        "f: cron('0 0 31 4,6,9,11 *') has no next date"),
    'too long': ('@seconds(1e300)\ndef f(): pass', 'f: seconds(1e+300) has no next date: it would never run'),
    'too short': ('@seconds(1e-310)\ndef f(): pass', 'f: seconds(1e-310) has no next date'),
    'too short for a clock': ('@seconds(1e-9)\ndef f(): pass', 'f: seconds(1e-09) has no next date'),
}


@pytest.mark.parametrize(('source', 'text'), REFUSED.values(), ids=list(REFUSED))
def test_refused_by_check_and_runner(tmp_path, source, text):
    files = {**tasks(f'{IMPORTS}{source}\n'), **LIB}
    with background(tmp_path, files) as runner:
        assert runner.wait() == 1
    assert f'ValueError: {text}' in runner.text
    done = run_cli('check', 'shop', cwd=tmp_path)
    assert done.returncode == 1
    assert f'ValueError: {text}' in done.stderr
    assert f'{tmp_path}/shop/api/background.py' in done.stderr
    assert '/apiphant/' not in done.stderr


ON_ERROR = '\n\ndef on_error(text): print("TOLD", text.splitlines()[-1], flush=True)\n'


@pytest.mark.parametrize(('source', 'kind'), [
    ('async def g(): pass\n@seconds(60)\ndef f(): return g()', 'a coroutine'),
    ('def g(): yield\n@seconds(60)\n@bare\ndef f(): return g()', 'a generator'),
    ('async def g(): yield\nseconds(60)(lambda: g())', 'an async generator'),
])
def test_gives_what_never_runs(tmp_path, source, kind):
    """Where that can be seen only when it has been called."""
    with background(tmp_path, {**tasks(IMPORTS + source + ON_ERROR), **LIB}) as runner:
        runner.wait_for_line(f'TOLD .*Unfinished: it returned {kind}, whose body never runs')
    assert 'OK' not in runner.text.replace('on_error: OK', '')
    assert 'never awaited' not in runner.text


def test_leap_day_is_a_date(tmp_path):
    with background(tmp_path, tasks('@cron("0 0 29 2 *")\ndef f(): pass\n'), '--list') as listing:
        assert listing.wait() == 0
    assert re.search(r'^f .* next 20\d\d-02-29 00:00:00Z$', listing.text)


# In dev

LIST = reads(
    '[task.name + " " + str(task.schedule) for task in tasks()]', 'from apiphant.background.tasks import tasks')
ALIVE = reads(
    'sum(1 for held in gc.get_objects() if type(held) is Task)', 'import gc',
    'from apiphant.background.tasks import Task')
HEAD = 'from apiphant.background import seconds\nfrom shop.lib.decorators import retry\n'
TASK = '\n@seconds(%d)\n@retry\ndef %s(): pass\n'
BACKGROUND = HEAD + 'import shop.lib.more\n'
DEV = {
    'lib/decorators.py': DECORATORS,
    'lib/more.py': HEAD + TASK % (60, 'elsewhere'),
    'api/background.py': BACKGROUND + TASK % (60, 'first') + TASK % (60, 'second'),
    handler('list'): LIST,
    handler('alive'): ALIVE,
}


def listed(shop):
    return sorted(shop.answer('list'))


def wait_for_list(shop, *expected):
    shop.wait_for(lambda: listed(shop) == sorted(expected), f'the tasks {expected}, not {listed(shop)}')


def test_dev_lists_what_a_fresh_start_would(tmp_path):
    with shop_with(tmp_path, DEV) as shop:
        wait_for_list(shop, 'elsewhere every 60 s', 'first every 60 s', 'second every 60 s')
        shop.save('api/background.py', BACKGROUND + TASK % (5, 'first') + TASK % (60, 'third'))
        wait_for_list(shop, 'elsewhere every 60 s', 'first every 5 s', 'third every 60 s')
        shop.save('lib/more.py', HEAD + TASK % (7, 'elsewhere') + TASK % (8, 'fresh'))
        wait_for_list(shop, 'elsewhere every 7 s', 'fresh every 8 s', 'first every 5 s', 'third every 60 s')
        shop.save('lib/decorators.py', DECORATORS + '\n# edited\n')
        shop.fence()
        wait_for_list(shop, 'elsewhere every 7 s', 'fresh every 8 s', 'first every 5 s', 'third every 60 s')


def test_dev_keeps_tasks_over_a_broken_save(tmp_path):
    """Those that a broken module had decorated before it failed are none, and take the place of none."""
    with shop_with(tmp_path, DEV) as shop:
        before = listed(shop)
        since = len(shop.server.lines)
        shop.save('api/background.py', HEAD + TASK % (5, 'first') + TASK % (5, 'half') + '1 / 0\n')
        shop.server.wait_for_line('ZeroDivisionError', since)
        assert listed(shop) == before
        since = len(shop.server.lines)
        shop.save('api/background.py', HEAD + '@seconds(1)\nasync def first(): pass\n')
        shop.server.wait_for_line('ValueError: first: the body of an async def never runs', since)
        assert listed(shop) == before
        shop.save('api/background.py', HEAD + TASK % (5, 'first'))
        shop.wait_for(lambda: 'first every 5 s' in listed(shop) and len(listed(shop)) == 2, 'the mended tasks')


def test_dev_lets_old_tasks_go(tmp_path):
    with shop_with(tmp_path, DEV) as shop:
        for number in range(2, 30):
            broken = '1 / 0\n' if number % 3 == 0 else ''
            shop.save('api/background.py', BACKGROUND + TASK % (number, 'first') + broken)
            if number % 3:
                wait_for_list(shop, 'elsewhere every 60 s', f'first every {number} s')
            else:
                shop.server.wait_for_line('ZeroDivisionError', len(shop.server.lines) - 1)
        shop.wait_for(lambda: shop.answer('alive') <= 4, 'old generations of tasks to go')
