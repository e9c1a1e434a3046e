"""How things are said."""
from ssl import SSLCertVerificationError

import pytest

from apiphant.words import count, printable, reason


@pytest.mark.parametrize(('text', 'shown'), [
    ('plain text!', 'plain text!'), ('', ''), ('a\nb\x1b[0m', 'a\\x0ab\\x1b[0m'), ('é', '\\xe9'), ('\ud800', '\\xd800'),
    ('\x7f', '\\x7f')])
def test_printable(text, shown):
    assert printable(text) == shown
    assert printable(text).isascii()


@pytest.mark.parametrize(('number', 'said'), [
    (0, '0 actions'), (1, '1 action'), (2, '2 actions'), (1000, '1000 actions')])
def test_count(number, said):
    assert count(number, 'action') == said


def caused(error, cause):
    error.__cause__ = cause
    return error


def met(error, context):
    error.__context__ = context
    return error


def untrusted():
    error = SSLCertVerificationError(1, 'certificate verify failed')
    error.verify_message = 'self-signed certificate'
    return error


REFUSED = ConnectionRefusedError(111, 'Connection refused')


@pytest.mark.parametrize(('error', 'said'), [
    (REFUSED, 'connection refused'),
    (caused(ValueError('Something.'), REFUSED), 'connection refused'),
    (met(ValueError('Something.'), REFUSED), 'connection refused'),
    (caused(ValueError('Something.'), met(KeyError(1), REFUSED)), 'connection refused'),
    (met(caused(ValueError('x'), KeyError('y')), REFUSED), "x"),  # raised `from` another: that is the chain
    (caused(ValueError('x'), untrusted()), 'its certificate is not trusted: self-signed certificate'),
    (TimeoutError(), 'timed out'),
    (TimeoutError(110, 'Connection timed out'), 'connection timed out'),
    (OSError('no number'), 'no number'),
    (ValueError('Some trouble.\nAnd more.'), 'some trouble'),
    (ValueError('  Spaces around.  '), 'spaces around'),
])
def test_reason(error, said):
    assert reason(error) == said
