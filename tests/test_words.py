"""Errors, numbers and odd text, as a person is told of them."""
import ssl

import pytest

from apiphant.words import count, printable, reason


def chained(outer, inner):
    try:
        raise outer from inner
    except Exception as error:
        return error


@pytest.mark.parametrize(('error', 'text'), [
    (FileNotFoundError(2, 'No such file or directory', 'x'), 'no such file or directory'),
    (chained(RuntimeError('outer'), ConnectionRefusedError(111, 'Connection refused')), 'connection refused'),
    (chained(RuntimeError('Outer words.'), ValueError('inner')), 'outer words'),
    (TimeoutError(), 'timed out'),
    (ValueError('Two\nlines'), 'two'),
    (KeyError(), 'KeyError'),
])
def test_reason(error, text):
    assert reason(error) == text


def test_reason_of_a_certificate():
    error = ssl.SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] and more')
    error.verify_message = 'self-signed certificate'
    assert reason(error) == 'its certificate is not trusted: self-signed certificate'


def test_count():
    assert [count(number, 'action') for number in range(3)] == ['0 actions', '1 action', '2 actions']


@pytest.mark.parametrize(('text', 'shown'), [('plain ~', 'plain ~'), ('a\tb\x1b[2J', r'a\x09b\x1b[2J'), ('é', r'\xe9')])
def test_printable(text, shown):
    assert printable(text) == shown
