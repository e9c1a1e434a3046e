"""How on_error is told, without a runner."""
import gevent
import pytest

from apiphant.background import reports
from apiphant.background.on_error import Throttle
from apiphant.background.reports import MOST, Reports
from apiphant.background.running import Running


def told(*errors):
    """What on_error is told of these errors of one task, one after the other."""
    heard = []
    found = Reports(lambda text, task, count: heard.append((text, count)), Throttle(), Running())
    for error in errors:
        found.tell('f', error, f'Task f failed:\n{type(error).__name__}: {error}')
    found.join(30)
    return heard


def test_alike():
    assert told(KeyError(1), KeyError(1), KeyError(2)) == [
        ('Task f failed:\nKeyError: 1', 1), ('Task f failed:\nKeyError: 2', 1)]


def group(*errors):
    return ExceptionGroup('several', errors)


@pytest.mark.parametrize(('first', 'second', 'calls'), [
    (group(KeyError(1)), group(KeyError(1)), 1),
    (group(KeyError(1)), group(KeyError(2)), 2),
    (group(KeyError(1), OSError(2)), group(KeyError(1), OSError(3)), 2),
    (group(group(KeyError(1))), group(group(KeyError(2))), 2),
])
def test_groups(monkeypatch, first, second, calls):
    """Their last line is the same for all."""
    heard = []
    found = Reports(heard.append, Throttle(), Running())
    for error in (first, second):
        found.tell('f', error, f'several\n{"-" * 30}')
    found.join(30)
    assert len(heard) == calls


def test_long_texts_are_not_kept():
    throttle = Throttle()
    found = Reports(None, throttle, Running())
    for number in range(100):
        found.tell('f', KeyError(), f'Task f failed:\n{number}{"x" * 100_000}')
    assert len(repr(throttle)) < 20_000


def test_limit(monkeypatch, caplog):
    monkeypatch.setattr(reports, 'LIMIT', 0.1)
    found = Reports(lambda text: gevent.sleep(60), None, Running())
    found.tell('f', KeyError(), 'text')
    found.join(30)
    assert caplog.messages == ['on_error failed:']
    assert str(caplog.records[0].exc_info[1]) == 'it took longer than 0.1 s'


def test_most_at_a_time(caplog):
    found = Reports(lambda text: gevent.sleep(0.1), None, Running())
    for _ in range(MOST + 1):
        found.tell('f', KeyError(), 'text')
    assert caplog.messages == [f'on_error: not told of task f, {MOST} calls of it are still running']
    found.join(30)
