"""What modules keep, start and change at import, over reloads: a real `apiphant dev`."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import indent

import pytest

from tests.kit.saves import in_place
from tests.kit.shop import Shop, handler, reads, shop_with

PROBE = '''import atexit, gc, json, logging, signal, sys, threading

import gevent


def read(request):
    return {"value": eval(request.expression)}
'''


@pytest.fixture(scope='module')
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all tests."""
    with shop_with(tmp_path_factory.mktemp('state'), {handler('probe'): PROBE}) as shared:
        yield shared


def value_of(shop, expression):
    """An expression's value inside the app."""
    return shop.server.read('probe', expression=expression)['value']


def add_user(shop, name, text, before=''):
    """A helper with the text, V being its version, and a target that reads the version."""
    shop.save(f'lib/{name}.py', text.replace('V_IS', '1'))
    shop.add(name, reads('V', before, f'from shop.lib.{name} import V'), 1)


def edit(shop, name, text, versions):
    """Save a helper in one version after the other, each once the one before is live. Returns where the log was."""
    since = shop.fence()
    for version in versions:
        shop.save(f'lib/{name}.py', text.replace('V_IS', str(version)))
        shop.becomes(name, version)
    return since


def warnings(shop, file, since):
    shop.fence()
    return [line for line in shop.logged(r'\bWARNING\b', since) if file in line]


# The same file under two names


LINKS = {'file': ('lib/NAME_link.py', 'NAME.py', 'lib.NAME_link'), 'folder': ('NAME_links', 'lib', 'NAME_links.NAME')}


@pytest.mark.parametrize('kind', LINKS)
@pytest.mark.parametrize('order', (1, -1), ids=('file_first', 'link_first'))
def test_two_names(shop, name, kind, order):
    link, target, module = (text.replace('NAME', name) for text in LINKS[kind])
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    (shop.folder / link).symlink_to(target)
    imports = [f'from shop.{module} import VALUE as one', f'from shop.lib.{name} import VALUE as two'][::order]
    shop.add(name, reads('[one, two]', *imports), [1, 1])
    with shop.steady(name, (1, 2, 3)):
        shop.save(f'lib/{name}.py', 'VALUE = 2\n')
        shop.becomes(name, [2, 2])


def test_saved_through_a_link(shop, name):
    shop.save(f'lib/{name}.py', 'VALUE = 1\n')
    (shop.folder / f'lib/{name}_link.py').symlink_to(f'{name}.py')
    shop.add(name, reads('[one, two]', f'from shop.lib.{name}_link import VALUE as one',
                         f'from shop.lib.{name} import VALUE as two'), [1, 1])
    with shop.steady(name, (1, 2)):
        shop.save(f'lib/{name}_link.py', 'VALUE = 2\n', in_place)
        shop.becomes(name, [2, 2])


def test_linked_from_outside(shop, name):
    file = shop.folder.parent / f'{name}.py'
    file.write_text('VALUE = 1\n')
    (shop.folder / 'lib').mkdir(exist_ok=True)
    (shop.folder / f'lib/{name}.py').symlink_to(file)
    shop.add(name, reads('VALUE', f'from shop.lib.{name} import VALUE'), 1)
    with shop.steady(name, (1, 2)):
        file.write_text('VALUE = 2\n')
        shop.becomes(name, 2)


# keep()


STATE = '''import itertools

from apiphant.reload import keep

V = V_IS
LOST = itertools.count()
KEPT = keep("kept", itertools.count)
'''


def read_state(name):
    return reads('[V, next(LOST), next(KEPT)]', f'from shop.lib.{name} import KEPT, LOST, V')


def test_state_is_edited(shop, name):
    shop.save(f'lib/{name}.py', STATE.replace('V_IS', '1'))
    shop.add(name, read_state(name), [1, 0, 0])
    with shop.steady(name) as poller:
        since = len(shop.server.lines)
        shop.save(f'lib/{name}.py', STATE.replace('V_IS', '2'))
        shop.server.wait_for_line(rf'Reloaded 2 modules in \d+ ms: lib/{name}\.py -> {handler(name)}', since)
        poller.polls()
    old, new = ([value for value in poller.values if value[0] == version] for version in (1, 2))
    assert [lost for _, lost, _ in new] == list(range(len(new)))
    assert [kept for _, _, kept in old + new] == list(range(1, 1 + len(poller.values)))


def test_factory_called_once(shop, name):
    text = (
        f'from apiphant.reload import keep\n\ndef make():\n    print("made {name}", V_IS)\n    return V_IS\n\n'
        'MADE = keep("made", make)\nV = V_IS\n')
    since = len(shop.server.lines)
    add_user(shop, name, text)
    edit(shop, name, text, range(2, 12))
    assert shop.logged(f'^made {name}', since) == [f'made {name} 1']


def test_each_module_has_its_own(shop, name):
    names = (f'{name}_a', f'{name}_b')
    text = (
        'from apiphant.reload import keep\n\nV = V_IS\nMINE = keep("mine", lambda: __name__)\n'
        'OTHER = keep("other", lambda: [])\n')
    for helper in names:
        add_user(shop, helper, text)
    for helper in names:
        edit(shop, helper, text, (2, 3))
    assert value_of(shop, f'[sys.modules["shop.lib.{names[0]}"].MINE, sys.modules["shop.lib.{names[1]}"].MINE]') == [
        f'shop.lib.{helper}' for helper in names]
    same = f'sys.modules["shop.lib.{names[0]}"].OTHER is sys.modules["shop.lib.{names[1]}"].OTHER'
    assert value_of(shop, same) is False


def test_kept_over_a_broken_save(shop, name):
    shop.save(f'lib/{name}.py', STATE.replace('V_IS', '1'))
    shop.add(name, read_state(name), [1, 0, 0])
    since = shop.fence()
    for fault in ('raise ValueError("half way")\n', 'this is no Python\n'):
        shop.save(f'lib/{name}.py', STATE.replace('V_IS', '2') + fault)
        shop.server.wait_for_line(f'Broken: lib/{name}.py', since)
        since = shop.fence()
    _, lost, kept = shop.answer(name)
    assert lost == kept > 0
    shop.save(f'lib/{name}.py', STATE.replace('V_IS', '3'))
    shop.wait_for(lambda: shop.answer(name)[0] == 3, 'the mended one')
    assert shop.answer(name)[2] > kept


def test_factory_fails(shop, name):
    text = 'from apiphant.reload import keep\n\nV = keep("value", lambda: MADE)\n'
    since = shop.fence()
    shop.save(f'lib/{name}.py', text.replace('MADE', '1 / 0'))
    shop.save(handler(name), reads('V', f'from shop.lib.{name} import V'))
    shop.server.wait_for_line(f'Broken: lib/{name}.py', since)
    shop.save(f'lib/{name}.py', text.replace('MADE', '2'))
    shop.becomes(name, 2)


# on_unload()


POOL = """
from apiphant.reload import on_unload

V = V_IS
print('opened {name}', V)
on_unload(lambda: print('closed {name}', V))
"""


def pools(shop, name, since):
    return shop.logged(rf'^(opened|closed) {name} \d+$', since)


def test_pool(shop, name):
    since = len(shop.server.lines)
    add_user(shop, name, POOL.format(name=name))
    for value in range(20):
        shop.save(handler(name), reads(f'V + {value}', f'from shop.lib.{name} import V'))
        shop.becomes(name, value + 1)
    shop.fence()
    assert pools(shop, name, since) == [f'opened {name} 1']
    shop.save(f'lib/{name}.py', POOL.format(name=name).replace('V_IS', '2'))
    shop.becomes(name, 21)
    shop.server.wait_for_line(f'^closed {name} 1$', since)
    shop.fence()
    assert sorted(pools(shop, name, since)) == [f'closed {name} 1', f'opened {name} 1', f'opened {name} 2']


WAIT = """
from pathlib import Path
from time import sleep

from apiphant.server import raw_response


def wait(gate):
    while not (Path({folder!r}) / gate).exists():
        sleep(0.01)


def create(request):
    print('begun', request.gate)
    wait(request.gate)
    return {{'value': V}}


@raw_response
def update(request, start_response):
    print('begun', request.gate)
    start_response('200 OK', [('Content-Type', 'application/json')])
    yield b'{{"value": '
    wait(request.gate)
    yield b'%d}}' % V
"""


@contextmanager
def request_under_way(shop, name, gate, action):
    """A call that began, and ends with this block. What it was answered comes into the list."""
    since, answers = len(shop.server.lines), []
    path = f'/api/v0/{name}/{action}'
    thread = threading.Thread(target=lambda: answers.append(shop.server.post(path, {'gate': gate})))
    thread.start()
    try:
        shop.server.wait_for_line(f'^begun {gate}$', since)
        yield answers
    finally:
        (shop.folder.parent / gate).touch()
        thread.join()


@pytest.mark.parametrize('action', ('create', 'update'), ids=('answered', 'streamed'))
def test_closed_after_the_last_request(shop, name, action):
    text = POOL.format(name=name)
    since = len(shop.server.lines)
    shop.save(f'lib/{name}.py', text.replace('V_IS', '1'))
    shop.add(name, reads('V', f'from shop.lib.{name} import V') + WAIT.format(folder=str(shop.folder.parent)), 1)
    late, old = (request_under_way(shop, name, f'{name}_{when}', action) for when in ('late', 'old'))
    with late, old as old:
        edit(shop, name, text, (2,))
        with request_under_way(shop, name, f'{name}_new', action) as new:
            for _ in range(5):
                shop.fence()
            assert shop.answer(name) == 2
            assert not shop.logged(f'^closed {name}', since)
            (shop.folder.parent / f'{name}_late').touch()
            (shop.folder.parent / f'{name}_old').touch()
            shop.server.wait_for_line(f'^closed {name} 1$', since)
            assert not new
    assert old == [(200, {'value': 1})]
    assert new == [(200, {'value': 2})]
    assert not shop.logged(f'^closed {name} 2', since)


def test_closed_after_a_failed_request(shop, name):
    text = POOL.format(name=name)
    shop.save(f'lib/{name}.py', text.replace('V_IS', '1'))
    shop.add(name, reads('V', f'from shop.lib.{name} import V') + '\n\ndef create(request):\n    raise SystemExit\n', 1)
    assert shop.answer(name, 'create') == 'status 500'
    since = edit(shop, name, text, (2,))
    shop.server.wait_for_line(f'^closed {name} 1$', since)


def test_closed_when_half_imported(shop, name):
    text = POOL.format(name=name)
    add_user(shop, name, text)
    since = shop.fence()
    shop.save(f'lib/{name}.py', text.replace('V_IS', '2') + 'raise ValueError("half way")\n')
    shop.server.wait_for_line(f'^closed {name} 2$', since)
    assert not shop.logged(f'^closed {name} 1$', since)
    shop.server.wait_for_line(rf'Broken: lib/{name}\.py', since)  # a fresh process was asked, and failed too
    shop.save(f'lib/{name}.py', text.replace('V_IS', '3'))
    shop.becomes(name, 3)
    shop.server.wait_for_line(f'^closed {name} 1$', since)


def test_closed_when_what_it_imports_breaks(shop, name):
    text = POOL.format(name=name) + f'import shop.lib.{name}_more\n'
    shop.save(f'lib/{name}_more.py', '')
    add_user(shop, name, text)
    since = shop.fence()
    shop.save(f'lib/{name}_more.py', '1 / 0\n')
    shop.server.wait_for_line(f'^closed {name} 1$', since)
    shop.fence()
    lines = pools(shop, name, since)  # also those of the fresh process that is asked, and may be ended before it closes
    assert lines[0] == f'opened {name} 1' and set(lines[1:]) <= {f'opened {name} 1', f'closed {name} 1'}
    assert shop.answer(name) == 1
    shop.server.wait_for_line(rf'Broken: lib/{name}_more\.py; the code before this goes on', since)
    shop.save(f'lib/{name}_more.py', '')  # or no fresh process could take over in the tests after this
    shop.server.wait_for_line(rf'Mended: lib/{name}_more\.py', since)


def test_closed_when_deleted(shop, name):
    shop.add(name, POOL.format(name=name).replace('V_IS', '1') + reads('V'), 1)
    since = shop.fence()
    (shop.folder / handler(name)).unlink()
    shop.becomes(name, 'status 404')
    shop.server.wait_for_line(f'^closed {name} 1$', since)


def test_closed_by_an_importer(shop, name):
    """What it imports is edited, so it is executed again, too."""
    text = f'from shop.lib.{name}_more import MORE\n' + POOL.format(name=name)
    shop.save(f'lib/{name}_more.py', 'MORE = 1\n')
    add_user(shop, name, text.replace('V_IS', 'MORE'))
    since = shop.fence()
    shop.save(f'lib/{name}_more.py', 'MORE = 2\n')
    shop.becomes(name, 2)
    shop.server.wait_for_line(f'^closed {name} 1$', since)


def test_opened_by_a_function_of_another_module(shop, name):
    shop.save(f'lib/{name}_open.py', f"""
from apiphant.reload import on_unload


def open_pool(number):
    on_unload(lambda: print('closed {name}', number))
    return number
""")
    text = f'from shop.lib.{name}_open import open_pool\n\nV = open_pool(V_IS)\n'
    add_user(shop, name, text)
    since = edit(shop, name, text, (2,))
    shop.server.wait_for_line(f'^closed {name} 1$', since)


def test_one_of_them_fails(shop, name):
    text = f"""
from apiphant.reload import on_unload

V = V_IS


def fail():
    raise ValueError('unloading {name}')


on_unload(lambda: print('closed {name} before', V))
on_unload(fail)
on_unload(lambda: print('closed {name} after', V))
"""
    add_user(shop, name, text)
    since = edit(shop, name, text, (2,))
    for word in ('before', 'after'):
        shop.server.wait_for_line(f'^closed {name} {word} 1$', since)
    shop.server.wait_for_line('^ERROR .*unload', since)
    shop.server.wait_for_line(rf' File ".*lib/{name}\.py", line \d+, in fail', since)
    shop.server.wait_for_line(f'^ValueError: unloading {name}$', since)
    assert shop.answer(name) == 2


# Objects and classes


def test_isinstance(shop, name):
    text = 'class Thing:\n    V = V_IS\n'
    shop.save(f'lib/{name}.py', text.replace('V_IS', '1'))
    shop.save(f'lib/{name}_registry.py', f'from shop.lib.{name} import Thing\n\nTHING = Thing()\n')
    shop.add(name, reads('[THING.V, isinstance(THING, Thing)]', f'from shop.lib.{name} import Thing',
                         f'from shop.lib.{name}_registry import THING'), [1, True])
    with shop.steady(name, (3,)) as poller:
        for value in (2, 3, 4):
            shop.save(f'lib/{name}.py', text.replace('V_IS', str(value)))
            shop.becomes(name, [value, True])
    assert all(is_instance for _, is_instance in poller.values)


def test_object_of_an_old_class(shop, name):
    text = 'class Thing:\n    def tell(self):\n        return V_IS\n'
    shop.save(f'lib/{name}.py', text.replace('V_IS', '1'))
    shop.save(f'lib/{name}_store.py', 'THINGS = []\n')
    target = reads('[thing.tell() for thing in THINGS]', f'from shop.lib.{name} import Thing',
                   f'from shop.lib.{name}_store import THINGS')
    shop.add(name, target + '\n\ndef create(request):\n    THINGS.append(Thing())\n', [])
    assert shop.answer(name, 'create') is None
    with shop.steady(name) as poller:
        shop.save(f'lib/{name}.py', text.replace('V_IS', '2'))
        shop.wait_for(lambda: shop.answer(name, 'create') is None and shop.answer(name)[-1] == 2,
                      'an object of the new class')
        poller.polls()
    assert shop.answer(name)[0] == 1


# What is done again at each import


def test_hook_appended(shop, name):
    shop.save(f'lib/{name}_hooks.py', 'HOOKS = []\n')
    text = f'from shop.lib.{name}_hooks import HOOKS\n\nV = V_IS\nHOOKS.append(lambda: V)\n'
    add_user(shop, name, text)
    since = edit(shop, name, text, range(2, 12))
    assert value_of(shop, f'[hook() for hook in sys.modules["shop.lib.{name}_hooks"].HOOKS]') == [11]
    assert warnings(shop, f'lib/{name}.py', since) == []


def test_hook_removed(shop, name):
    shop.save(f'lib/{name}_hooks.py', 'HOOKS = []\n')
    text = f"""
from apiphant.reload import on_unload
from shop.lib.{name}_hooks import HOOKS

V = V_IS


def hook():
    return V


HOOKS.append(hook)
on_unload(lambda: HOOKS.remove(hook))
"""
    add_user(shop, name, text)
    since = edit(shop, name, text, range(2, 12))
    shop.wait_for(lambda: value_of(shop, f'[hook() for hook in sys.modules["shop.lib.{name}_hooks"].HOOKS]') == [11],
                  'one hook')
    assert warnings(shop, f'lib/{name}.py', since) == []


def test_registered_by_name(shop, name):
    shop.save(f'lib/{name}_registry.py', """
COMMANDS = {}


def command(function):
    COMMANDS[f'{function.__module__}.{function.__qualname__}'] = function
    return function
""")
    text = f'from shop.lib.{name}_registry import command\n\nV = V_IS\n\n\n@command\ndef tell():\n    return V_IS\n'
    add_user(shop, name, text)
    since = edit(shop, name, text, range(2, 12))
    commands = f'sys.modules["shop.lib.{name}_registry"].COMMANDS'
    assert value_of(shop, f'[[name, function()] for name, function in {commands}.items()]') == [
        [f'shop.lib.{name}.tell', 11]]
    assert warnings(shop, f'lib/{name}.py', since) == []


LOG_HANDLER = """
class Handler(logging.Handler):
    def emit(self, record):
        pass


handler = Handler()
logging.getLogger('NAME').addHandler(handler)
"""
STARTS = {  # what is started, how it is ended, how many there are, the word for it
    '38_greenlet': (
        'task = gevent.spawn(run)\ntask.name = "NAME"\n', 'task.kill()',
        'sum(isinstance(item, gevent.Greenlet) and item.name == "NAME" and not item.dead for item in gc.get_objects())',
        'greenlet'),
    '38_greenlet_later': (
        'task = gevent.spawn_later(1000, run)\ntask.name = "NAME"\n', 'task.kill()',
        'sum(isinstance(item, gevent.Greenlet) and item.name == "NAME" and not item.dead for item in gc.get_objects())',
        'greenlet'),
    '39_thread': (
        'threading.Thread(target=run, name="NAME", daemon=True).start()\n', 'stopped.set()',
        'sum(thread.name == "NAME" for thread in threading.enumerate())', 'thread'),
    '39_atexit': ('atexit.register(run)\n', 'atexit.unregister(run)', '1', 'atexit'),  # they cannot be counted
    '39_signal': (
        'before = signal.signal(signal.SIGUSR2, run)\n',
        'signal.getsignal(signal.SIGUSR2) is run and signal.signal(signal.SIGUSR2, before)',
        'callable(signal.getsignal(signal.SIGUSR2)) + 0', 'signal'),
    '43_logging_handler': (LOG_HANDLER, 'logging.getLogger("NAME").removeHandler(handler)',
                           'len(logging.getLogger("NAME").handlers)', 'logging handler'),
}
STARTING = """
import atexit
import logging
import signal
import threading

import gevent
from apiphant.reload import on_unload

V = V_IS
stopped = threading.Event()


def run(*arguments):
    stopped.wait()


def end():
    END


START
"""


def starting(name, kind):
    start, end, count, word = STARTS[kind]
    return STARTING.replace('START', start).replace('END', end).replace('NAME', name), count.replace('NAME', name), word


@pytest.mark.parametrize('kind', STARTS)
def test_started_and_ended(shop, name, kind):
    text, count, _ = starting(name, kind)
    text += 'on_unload(end)\n'
    since = len(shop.server.lines)
    add_user(shop, name, text)
    assert value_of(shop, count) == 1
    edit(shop, name, text, range(2, 12))
    shop.wait_for(lambda: value_of(shop, count) == 1, f'one {kind}')
    assert warnings(shop, f'lib/{name}.py', since) == []


@pytest.mark.parametrize('kind', STARTS)
def test_started_and_left(shop, name, kind):
    """Nothing ends it, so a fresh process takes over at each edit.

    It says what was started, or that gevent holds code of the module, whichever is found first.
    """
    text, count, word = starting(name, kind)
    since = len(shop.server.lines)
    add_user(shop, name, text)
    for version in range(2, 100):
        edit(shop, name, text, (version,))
        shop.wait_for(lambda: value_of(shop, count) == 1, f'one {kind}')
        if shop.logged(rf'^Restarted in \d+ ms: lib/{name}\.py .*({word}|leaves code in a library)', since):
            return
    raise AssertionError(f'no restart: {shop.server.lines[since:]}')


@pytest.mark.parametrize('kind', STARTS)
def test_started_by_a_request(shop, name, kind):
    """This is none of the reloader's business, even while it imports something."""
    text, _, _ = starting(name, kind)
    started = STARTS[kind][0].replace('NAME', name)
    text = text[:text.rindex('def end')] + '\ndef start():\n' + indent(started, '    ')
    shop.save(f'lib/{name}.py', text.replace('V_IS', '1'))
    shop.add(name, reads('V', f'from shop.lib.{name} import V, start') + '\n\ndef create(request):\n    start()\n', 1)
    since = len(shop.server.lines)
    for version in (2, 3, 4):
        edit(shop, name, f'print("importing {name}", {version})\nimport time; time.sleep(0.1)\n' + text, (version,))
        assert shop.answer(name, 'create') is None
    assert warnings(shop, f'lib/{name}.py', since) == []


def test_wrapped(shop, name):
    text = """
import json

V = V_IS


def wrap(function):
    def wrapper(*values, **options):
        return function(*values, **options)
    wrapper.inner = function
    return wrapper


json.dumps = wrap(json.dumps)
"""
    since = len(shop.server.lines)
    add_user(shop, name, text)
    edit(shop, name, text, range(2, 6))
    shop.server.wait_for_line(rf'^Restarted in \d+ ms: lib/{name}\.py sets json\.dumps', since)
    assert value_of(shop, 'hasattr(json.dumps.inner, "inner")') is False


def test_one_line_per_call(shop, name):
    text = """
import logging

from apiphant.reload import on_unload

V = V_IS
logger = logging.getLogger('NAME')
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter('%(name)s said %(message)s'))
logger.addHandler(handler)
logger.propagate = False
on_unload(lambda: logger.removeHandler(handler))
""".replace('NAME', name)
    add_user(shop, name, text)
    edit(shop, name, text, range(2, 12))
    shop.wait_for(lambda: value_of(shop, f'len(logging.getLogger("{name}").handlers)') == 1, 'one handler')
    since = len(shop.server.lines)
    value_of(shop, f'logging.getLogger("{name}").warning("this once")')
    shop.fence()
    assert shop.logged('this once', since) == [f'{name} said this once']
