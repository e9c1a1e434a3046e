"""How the product's on_error is called, and how often."""
import logging

import pytest

from apiphant.background.on_error import MOST, Throttle, report


class Unreadable:
    """Python cannot tell what it takes."""

    __signature__ = 'none'

    def __init__(self, heard):
        self.heard = heard

    def __call__(self, *given):
        self.heard.append(given)


@pytest.mark.parametrize(('make', 'expected'), [
    (lambda heard: lambda error: heard.append((error,)), ('text',)),
    (lambda heard: lambda error, task, count: heard.append((error, task, count)), ('text', 'task', 3)),
    (lambda heard: lambda error, *more: heard.append((error, *more)), ('text', 'task', 3)),
    (lambda heard: lambda *given: heard.append(given), ('text',)),
    (Unreadable, ('text',)),
])
def test_what_it_gets(caplog, make, expected):
    caplog.set_level(logging.INFO)
    heard = []
    report(make(heard), 'text', 'task', 3)
    assert heard == [expected]
    assert caplog.messages == ['on_error: OK.']


@pytest.mark.parametrize('error', [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_failing(caplog, error):
    def on_error(text):
        raise error
    report(on_error, 'text', 'task', 1)
    assert caplog.messages == ['on_error failed:']
    assert caplog.records[0].exc_info[0] is error


def test_throttle():
    throttle, key = Throttle(), 'KeyError: 1'
    assert throttle.count(key, 0) == 1
    assert [throttle.count(key, now) for now in range(1, 60)] == [0] * 59
    assert throttle.count('KeyError: 2', 30) == 1
    assert throttle.count(key, 60) == 60
    assert throttle.count(key, 200) == 1


def test_throttle_forgets():
    throttle = Throttle()
    for number in range(MOST + 10):
        assert throttle.count(str(number), 0) == 1
    assert throttle.count('0', 1) == 1
    assert throttle.count(str(MOST), 1) == 0


def test_throttle_forgets_counts():
    throttle, key = Throttle(), 'KeyError: 1'
    assert [throttle.count(key, now) for now in (0, 1, 2)] == [1, 0, 0]
    for number in range(MOST):
        throttle.count(str(number), 3)
    assert throttle.count(key, 4) == 1


def test_throttle_forgets_the_oldest():
    """By when it was told last, not first; but none before there are too many."""
    throttle, key = Throttle(), 'KeyError: 1'
    assert throttle.count(key, 0) == 1
    for number in range(MOST - 1):
        throttle.count(str(number), 1)
    assert throttle.count(key, 59) == 0
    assert throttle.count(key, 60) == 2
    assert throttle.count('one more', 60) == 1
    assert throttle.count(key, 61) == 0
    assert throttle.count('0', 61) == 1
