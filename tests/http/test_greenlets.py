"""What a call leaves behind in its greenlet, in every way that we know of, reaches no other call."""
import sys
from contextvars import ContextVar

import gevent
import pytest
from gevent.event import AsyncResult
from gevent.hub import get_hub
from gevent.local import local
from greenlet import getcurrent, greenlet

from apiphant.http.greenlets import Greenlets
from tests.kit.running import DEADLINE

LOCAL = local()
USER = ContextVar('user', default=None)
KEPT = []


def in_hub(function):
    """Run it there, as connections run calls."""
    done = AsyncResult()
    get_hub().loop.run_callback(lambda: done.set(function()))
    return done.get(timeout=DEADLINE)


def keep_error():
    try:
        raise ValueError
    except ValueError as error:
        KEPT.append(error)


def keep_generator():
    def generator():
        yield getcurrent()
        yield sys._getframe()
    suspended = generator()
    KEPT.extend((suspended, next(suspended), next(suspended)))


def keep_child():
    """One whose parent is the call's greenlet, and that goes on after it."""
    call = getcurrent()
    child = greenlet(call.switch)
    child.switch()
    KEPT.append(child)


def trace():
    sys.settrace(lambda *arguments: None)


REUSED = {
    'nothing': lambda: None,
    'context variable': lambda: USER.set('somebody'),
    'error that was caught': lambda: [None for _ in [0] if not hasattr(object(), 'missing')],
}
DROPPED = {
    'time-out': lambda: gevent.Timeout(0.02).start(),
    'greenlet': lambda: KEPT.append(getcurrent()),
    'method': lambda: KEPT.append(getcurrent().switch),
    'attribute': lambda: setattr(getcurrent(), 'user', 'somebody'),
    'local': lambda: setattr(LOCAL, 'user', 'somebody'),
    'spawned': lambda: KEPT.append(gevent.spawn(gevent.sleep, 0.01)),
    'spawned later': lambda: KEPT.append(gevent.spawn_later(0.01, lambda: None)),
    'child': keep_child,
    'parent': lambda: setattr(getcurrent(), 'parent', gevent.spawn(lambda: None)),
    'callback': lambda: get_hub().loop.run_callback(getcurrent().throw, ValueError),
    'timer': lambda: KEPT.append(get_hub().loop.timer(0.01)) or KEPT[-1].start(getcurrent().switch),
    'error': keep_error,
    'frame': lambda: KEPT.append(sys._getframe()),
    'outer frame': lambda: KEPT.append(sys._getframe(1)),
    'generator': keep_generator,
    'trace': trace,
    'wait': lambda: gevent.sleep(0),
}
CLEAN = {'local': None, 'variable': None, 'attributes': {}, 'is new': True}


@pytest.fixture(autouse=True)
def forget():
    yield
    sys.settrace(None)
    KEPT.clear()


@pytest.fixture
def greenlets():
    """With one that rests."""
    made = Greenlets()
    in_hub(lambda: made.run(lambda: None))
    return made


def spare(greenlets):
    return greenlets._spare


@pytest.mark.parametrize('way', REUSED)
def test_is_used_again(greenlets, way):
    before = spare(greenlets)
    in_hub(lambda: greenlets.run(REUSED[way]))
    assert spare(greenlets) is before is not None


@pytest.mark.parametrize('way', DROPPED)
def test_is_dropped(greenlets, way):
    before = spare(greenlets)
    in_hub(lambda: greenlets.run(DROPPED[way]))
    assert spare(greenlets) is not before


def disturb():
    """All greenlets that somebody has kept, in each way."""
    for kept in [kept for kept in KEPT if type(kept) is greenlet]:
        gevent.kill(kept)
        for act in (kept.switch, lambda kept=kept: kept.throw(ValueError('stray'))):
            get_hub().loop.run_callback(swallow, act)


def swallow(act):
    """What a greenlet that has ended says to that."""
    try:
        act()
    except ValueError:
        pass


@pytest.mark.parametrize('way', {**REUSED, **DROPPED})
def test_stranger_is_not_reached(greenlets, way):
    in_hub(lambda: greenlets.run({**REUSED, **DROPPED}[way]))
    sys.settrace(None)
    ended = []

    def stranger():
        seen = {'attributes': dict(getcurrent().__dict__), 'is new': getcurrent() not in KEPT}
        seen.update(local=getattr(LOCAL, 'user', None), variable=USER.get())
        gevent.sleep(0.05)
        ended.append(seen)
    for _ in range(3):
        in_hub(lambda: greenlets.run(stranger))
    in_hub(disturb)
    with gevent.Timeout(DEADLINE):
        while len(ended) < 3:
            gevent.sleep(0.01)
    assert ended == [CLEAN] * 3


def test_one_in_another(greenlets):
    """A call that waits has its greenlet for itself; the others go on beside it."""
    seen = []

    def waits():
        seen.append(getcurrent())
        gevent.sleep(0.05)
        assert getcurrent() is seen[0]
        seen.append('waited')
    in_hub(lambda: greenlets.run(waits))
    for _ in range(3):
        in_hub(lambda: greenlets.run(lambda: seen.append(getcurrent())))
    with gevent.Timeout(DEADLINE):
        while seen[-1] != 'waited':
            gevent.sleep(0.01)
    assert seen[0] not in seen[1:-1]
    assert seen[0].dead


def test_parent_is_the_hub_at_the_end(greenlets):
    """However a call changed it: a greenlet that ends gives way to the hub."""
    other = greenlet(lambda: KEPT.append('reached'))

    def adopts():
        getcurrent().parent = other
        gevent.sleep(0.01)
    in_hub(lambda: greenlets.run(adopts))
    gevent.sleep(0.05)
    assert KEPT == []
