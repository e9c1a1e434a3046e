"""How the product's on_error is called."""
import logging

import pytest

from apiphant.background.on_error import report


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


def test_failing(caplog):
    report(lambda error: 1 / 0, 'text', 'task', 1)
    assert caplog.messages == ['on_error failed:']
    assert caplog.records[0].exc_info[0] is ZeroDivisionError
