"""How a mistake in a typed text is shown."""
import pytest

from apiphant.dev.line.bad_text import AFTER, BEFORE, BadText, pointed, printable

LINE = ''.join(chr(ord('a') + number % 26) for number in range(300))


@pytest.mark.parametrize(('text', 'shown'), [
    ('plain text', 'plain text'),
    ('two\nlines\tand more', 'two lines and more'),
    ('\x1b[31m\0', '?[31m?'),
    ('\ud800', '?'),
    ('名 é', '名 é'),
    ('', ''),
])
def test_printable(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(('line', 'position', 'shown', 'column'), [
    ('abc', 0, 'abc', 0),
    ('abc', 2, 'abc', 2),
    ('abc', 3, 'abc', 3),
    ('', 0, '', 0),
    ('a\tb', 2, 'a b', 2),
    ('名前=x', 2, '名前=x', 4),  # two columns each
    ('ｱＡ=x', 2, 'ｱＡ=x', 3),  # one and two
    (LINE, BEFORE, LINE[:BEFORE + AFTER] + '...', BEFORE),
    (LINE, BEFORE + 1, '...' + LINE[1:BEFORE + 1 + AFTER] + '...', 3 + BEFORE),
    (LINE, 300 - AFTER, '...' + LINE[300 - AFTER - BEFORE:], 3 + BEFORE),
    (LINE, 300, '...' + LINE[300 - BEFORE:], 3 + BEFORE),
])
def test_pointed(line, position, shown, column):
    assert pointed(line, position) == f'  {shown}\n  {" " * column}^'


def test_without_the_text_around():
    error = BadText('no\tgood', 3)
    assert str(error) == error.text == 'no good'
    assert (error.whole, error.needs, error.args) == ('', '', ('no\tgood', 3))


def test_within_keeps_what_is_needed():
    error = BadText('bad', 3, 'abc d', 'lines').within('xy abc d', 3)
    assert (error.position, error.whole, error.needs) == (6, 'xy abc d', 'lines')
    assert str(error) == 'bad (column 7)\n  xy abc d\n        ^'


@pytest.mark.parametrize(('position', 'expected'), [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (5, (3, 1)), (6, (3, 2))])
def test_line_and_column(position, expected):
    error = BadText('bad', position, 'ab\nc\nde')
    assert error.line_and_column == expected
    assert str(error) == f'bad (line {expected[0]}, column {expected[1]})'
