"""The way out to a terminal: what acts on it is shown as text, and only colours pass."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiphant.dev import escapes

RED, RESET = '\x1b[31m', '\x1b[0m'
ATTACKS = ['\x1b]52;c;aGk=\x07', '\x1b]0;title\x1b\\', '\x1b[2J', '\x1b[?1049h', '\x1bc', '\x1b[1;1H', '\x9b31m',
           '\x9d0;title\x9c',
           '\x1bP+q\x1b\\', '\x0e', '\x08', '\x7f', '\x1b[3\x07m', '\x1b[31', '\x1b[>4;2m', '\x1b[?5m', '\u202e',
           '\u2066', '\ud800', '\x1b' + RED.strip('m') + ' m', '\x1b[' + '1;' * 99 + 'm']


@pytest.mark.parametrize(('text', 'expected'), [
    ('plain \u00e9 \u20ac\ta\n', 'plain \u00e9 \u20ac\ta\n'), ('\x1b[31mred', '\\x1b[31mred'),
    ('\x9b31m', '\\x9b31m'), ('a\rb\x00\x7f', 'a\\x0db\\x00\\x7f'),
    ('a\u202eb\u2069', 'a\\u202eb\\u2069'), ('\ud800', '\\ud800'), ('\U0001f600', '\U0001f600')])
def test_shown(text: str, expected: str) -> None:
    assert escapes.shown(text) == expected
    assert escapes.shown(expected) == expected


@pytest.mark.parametrize('text', ATTACKS)
def test_only_colours_pass(text: str) -> None:
    for passed in (escapes.coloured(f'{RED}a{text}b{RESET}'), escapes.printed(f'{RED}a{text}b{RESET}', True)):
        assert not escapes.UNSAFE.search(passed.replace(RED, '').replace(RESET, ''))
        assert passed.startswith(f'{RED}a')
        assert passed.endswith(f'b{RESET}')


@given(st.text(st.sampled_from('\x1b[]0123;:mHc\x07\x9b\r\n\tab\u202e\ud800')))
def test_nothing_else_passes(text: str) -> None:
    for passed in (escapes.coloured(text), escapes.printed(text, True)):
        assert not escapes.UNSAFE.search(escapes.COLOUR.sub('', passed))
        assert escapes.coloured(passed) == passed
    assert not escapes.UNSAFE.search(escapes.printed(text, False))
    escapes.shown(text).encode()


@pytest.mark.parametrize(('text', 'expected'), [
    (f'{RED}red\nnext\n', f'{RED}red{RESET}\nnext\n'), (f'{RED}red{RESET}\n', f'{RED}red{RESET}\n'),
    ('dos\r\n', 'dos\n'),
    ('\r 1%\r 50%\r100%\nend\n', '100%\nend\n'),
    ('\r 1%\r 50%\r\n', ' 50%\n'), ('\r 10%\r     \rdone\n', 'done\n'),
    ('name\rother\n', 'name\\x0dother\n'), ('\r\n', '\n'), ('\r', ''), ('', '')])
def test_printed(text: str, expected: str) -> None:
    """Colours end with their line; a progress bar is what it was last; nothing else is hidden."""
    assert escapes.printed(text, True) == expected


def test_printed_without_colours() -> None:
    assert escapes.printed(f'{RED}red\n', False) == '\\x1b[31mred\n'


def test_json_stays_json() -> None:
    text = '{"a": "\u009b\u202e\ud800\x7f\u00e9"}\n'
    assert escapes.shown_json(text) == '{"a": "\\u009b\\u202e\\ud800\\u007f\u00e9"}\n'
