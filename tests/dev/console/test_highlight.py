"""Colours of answers, log lines and tracebacks; taken away, they leave the text as it was."""
import re
import subprocess
import sys
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.styles import get_style_by_name
from pygments.token import Token

from apiphant.dev.console import highlight
from apiphant.dev.console.highlight import LineLexer, Painter
from apiphant.dev.console.reply import Reply
from tests.kit.cpu import assert_linear
from tests.kit.running import DEADLINE, clean_environment

RED, GREEN, YELLOW, CYAN, GREY = '\x1b[31m', '\x1b[32m', '\x1b[33m', '\x1b[36m', '\x1b[90m'
RESET = '\x1b[39;49;00m'
LOG = 'INFO 12:34:56 reading'


def plain(text: str) -> str:
    return re.sub(r'\x1b\[[\d;]*m', '', text)


def reply(status: int = 200, reason: str = 'OK', body: bytes = b'{"n":1}', seconds: float = 0.0021) -> Reply:
    return Reply(status, reason, body, seconds)


def test_reply_without_colour() -> None:
    assert highlight.reply(reply(), False) == '200 OK  2.1 ms  7 bytes\n{\n  "n": 1\n}'


@pytest.mark.parametrize(('status', 'colour'), [
    (200, GREEN), (204, GREEN), (302, GREEN), (400, RED), (404, RED), (500, RED)])
def test_colour_of_status(status: int, colour: str) -> None:
    text = highlight.reply(reply(status, 'Reason'), True)
    assert text.startswith(f'{colour}{status} Reason\x1b')
    assert plain(text) == highlight.reply(reply(status, 'Reason'), False)


@pytest.mark.parametrize(('seconds', 'text'), [
    (0.00004, '0.0 ms'), (0.0021, '2.1 ms'), (0.5, '500.0 ms'), (1.0, '1.00 s'), (61.237, '61.24 s')])
def test_time_of_reply(seconds: float, text: str) -> None:
    assert f'  {text}  ' in highlight.reply(reply(seconds=seconds), False)


@pytest.mark.parametrize(('size', 'text'), [
    (0, '0 bytes'), (1, '1 byte'), (2, '2 bytes'), (9999, '9999 bytes'), (10_000, '10 kB'), (2_345_678, '2.3 MB')])
def test_size_of_reply(size: int, text: str) -> None:
    assert highlight.reply(reply(body=b'x' * size), False).splitlines()[0].endswith(f'  {text}')


@pytest.mark.parametrize(('body', 'text'), [
    (b'{"a":[1,{"b":null}],"c":"\xc3\xa9"}', '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ],\n  "c": "é"\n}'),
    (b'{}', '{}'),
    (b'{"n":123456789012345678901234567890}', '{\n  "n": 123456789012345678901234567890\n}'),
    (b'', ''),
    (b'no JSON\n', 'no JSON\n'),
    (b'\xff', '\ufffd'),
    (b'[' * 100_000, '[' * 100_000),
])
def test_body_as_text(body: bytes, text: str) -> None:
    assert highlight.body(body, False) == text
    assert plain(highlight.body(body, True)) == text


def test_body_coloured() -> None:
    assert '\x1b[' in highlight.body(b'{"n":1}', True)
    assert '\x1b[' not in highlight.body(b'{"n":1}', False)
    assert highlight.body(b'no JSON', True) == 'no JSON'


@pytest.mark.parametrize('is_colour', [True, False])
def test_body_can_be_written(is_colour: bool) -> None:
    """Half of a surrogate pair is JSON, and no UTF-8: a terminal cannot be given it."""
    assert highlight.body(b'{"a":"\\ud800"}', is_colour).encode()


@pytest.mark.parametrize(('level', 'colour'), [
    ('DEBUG', GREY), ('INFO', GREEN), ('WARNING', YELLOW), ('ERROR', RED), ('CRITICAL', RED)])
def test_colour_of_level(level: str, colour: str) -> None:
    line = f'{level} 12:34:56 text\n'
    painted = Painter().paint(line)
    assert painted.startswith(f'{colour}{level}\x1b')
    assert plain(painted) == line


@pytest.mark.parametrize('line', [
    'printed by a handler\n', 'INFO: not ours\n', 'information 12:34:56\n', '\n', 'Error: no traceback before it\n',
    '    indented\n'])
def test_other_lines_stay(line: str) -> None:
    assert Painter().paint(line) == line


def divide() -> None:
    print(1 / 0)


def chain() -> None:
    try:
        divide()
    except ZeroDivisionError as error:
        raise KeyError('chained') from error


def group() -> None:
    raise ExceptionGroup('several', [ValueError('one'), KeyError('two')])


def compile_badly() -> None:
    compile('def read(request:\n', 'echo.py', 'exec')


def say_lines() -> None:
    raise ValueError('first line\nsecond line\n\nlast line')


def traceback_of(function: Callable[[], None]) -> str:
    try:
        function()
    except Exception:
        return traceback.format_exc()
    raise AssertionError('it should raise')


@pytest.mark.parametrize('function', [divide, chain, group, compile_badly, say_lines])
def test_traceback_loses_nothing(function: Callable[[], None]) -> None:
    text = f'{LOG}\n{traceback_of(function)}{LOG}\n'
    painted = Painter().paint(text)
    assert plain(painted) == text
    assert painted != text


@pytest.mark.parametrize('line', [
    'shop.api.v0.echo.read.<locals>.Odd: message\n', 'printed by somebody else\n', 'words: of somebody else\n', '\n',
    '  File missing\n', 'é is no name\n', 'Error\n',
    '  [Previous line repeated 994 more times]\n', '    | bars\n'])
def test_line_after_frame(line: str) -> None:
    """Whatever comes after a frame is shown whole: an error with an odd name, or what others print at the same time."""
    text = f'  File "echo.py", line 7, in read\n{line}{LOG}\n'
    assert plain(Painter().paint(text)) == text


@pytest.mark.parametrize(('function', 'name'), [
    (divide, 'ZeroDivisionError'), (chain, 'ZeroDivisionError'), (chain, 'KeyError'), (group, 'ExceptionGroup'),
    (group, 'ValueError'), (compile_badly, 'SyntaxError')])
def test_error_name_red(function: Callable[[], None], name: str) -> None:
    assert f'{RED}{name}\x1b[39;49;00m' in Painter().paint(traceback_of(function))


def test_file_and_line_cyan() -> None:
    painted = Painter().paint('  File "/shop/api/v0/echo.py", line 7, in read\n')
    assert f'{CYAN}/shop/api/v0/echo.py\x1b' in painted
    assert f'{CYAN}7\x1b' in painted


def test_marks_below_source_red() -> None:
    painted = Painter().paint(traceback_of(divide)).splitlines()
    assert [line for line in painted if '~~^~~' in line and line.startswith(RED)]
    assert [line for line in painted if 'print' in line and '\x1b[' in line]


def test_traceback_ends() -> None:
    """The line after a traceback is painted as if there had been none."""
    painter = Painter()
    painter.paint(traceback_of(divide))
    assert painter.paint('    x = 1\n') == '    x = 1\n'


def test_traceback_in_pieces() -> None:
    """Lines come from a pipe in pieces; where it is cut makes no difference."""
    text, painter = traceback_of(chain), Painter()
    assert ''.join(map(painter.paint, text.splitlines(keepends=True))) == Painter().paint(text)


# Lines


def tokens(text: str) -> list[tuple[str, str]]:
    """Kind and text of each part but plain text, as the prompt has them."""
    found = LineLexer(stripnl=False, ensurenl=False).get_tokens(text)
    return [(str(kind).removeprefix('Token.'), part) for kind, part in found if kind is not Token.Text]


@pytest.mark.parametrize(('text', 'expected'), [
    ('', []),
    ('help', [('Keyword', 'help')]),
    ('  read echo', [('Keyword', 'read'), ('Name.Class', 'echo')]),
    ('read echo a=b',
     [('Keyword', 'read'), ('Name.Class', 'echo'), ('Name.Tag', 'a'), ('Operator', '='), ('Literal.String', 'b')]),
    ('read echo id=$.items[0].id b:=_', [
        ('Keyword', 'read'), ('Name.Class', 'echo'), ('Name.Tag', 'id'), ('Operator', '='),
        ('Name.Class', '$.items[0].id'), ('Name.Tag', 'b'), ('Operator', ':='),
        ('Name.Class', '_')]),
    ('read echo two_words', [('Keyword', 'read'), ('Name.Class', 'echo')]),
    ('read echo a.b[]:=12 c="x y"', [
        ('Keyword', 'read'), ('Name.Class', 'echo'), ('Name.Tag', 'a.b[]'), ('Operator', ':='),
        ('Literal.Number', '12'), ('Name.Tag', 'c'), ('Operator', '='),
        ('Literal.String', '"x y"')]),
    ('read echo {"a": "b", "c": -1.5e3}', [
        ('Keyword', 'read'), ('Name.Class', 'echo'), ('Name.Tag', '"a"'), ('Literal.String', '"b"'),
        ('Name.Tag', '"c"'), ('Literal.Number', '-1.5e3')]),
    ('create shop/items a:=true b:=null | jq .', [
        ('Keyword', 'create'), ('Name.Class', 'shop/items'), ('Name.Tag', 'a'), ('Operator', ':='),
        ('Keyword.Constant', 'true'), ('Name.Tag', 'b'), ('Operator', ':='),
        ('Keyword.Constant', 'null'), ('Operator', '| jq .')]),
    ('read echo a="not | closed',
     [
         ('Keyword', 'read'), ('Name.Class', 'echo'), ('Name.Tag', 'a'), ('Operator', '='),
            ('Literal.String', '"not | closed')]),
    ('read echo > x.json', [('Keyword', 'read'), ('Name.Class', 'echo'), ('Operator', '> x.json')]),
])
def test_tokens_of_line(text: str, expected: list[tuple[str, str]]) -> None:
    assert tokens(text) == expected


def test_python_in_line() -> None:
    assert tokens('py 1 + x')[:2] == [('Keyword', 'py'), ('Literal.Number.Integer', '1')]


WORDS = [
    'read ', 'create', 'py ', 'echo', 'a=', ':=', '"', "'", '{', '}', '\\', '| ', '> ', ' ', '\n', '\r', '\t', '1', 'é',
    '\0', 'true', '_', '-', '.', ',']


@given(
    st.text() | st.lists(st.sampled_from(WORDS)).map(''.join) | st.lists(st.sampled_from(WORDS)).map(
        lambda parts: 'read echo ' + ''.join(parts)))
def test_line_loses_nothing(text: str) -> None:
    assert ''.join(part for _, _, part in LineLexer().get_tokens_unprocessed(text)) == text


@pytest.mark.parametrize('text', [
    'a' * 20_000, '1' * 20_000, '"' * 20_000, '{"a": ' * 4000, 'a=' + 'b-' * 10_000, '- ' * 10_000, '\\' * 20_000,
    '"' + '\\"' * 10_000])
def test_long_line_at_once(text: str) -> None:
    assert_linear(lambda part: list(LineLexer().get_tokens_unprocessed(part)), f'read echo {text}')


# Differences


@pytest.mark.parametrize(('changes', 'expected'), [
    ('', ''),
    (' same', ' same'),
    ('-old\n+new', f'{RED}-old{RESET}\n{GREEN}+new{RESET}'),
    (' a\n-\n b', f' a\n{RED}-{RESET}\n b'),
    ('\n+x', f'\n{GREEN}+x{RESET}'),
])
def test_difference(changes: str, expected: str) -> None:
    assert highlight.difference(changes.splitlines(), True) == expected
    assert highlight.difference(changes.splitlines(), False) == changes


# Styles


@pytest.mark.parametrize(('name', 'is_known'), [
    ('monokai', True), ('default', True), ('no-such-style', False), ('', False), ('../x', False), ('a b', False)])
def test_style_of_environment(name: str, is_known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('APIPHANT_STYLE', name)
    assert (highlight.style() is not highlight.Plain) == is_known
    if is_known:
        assert highlight.style() is get_style_by_name(name)


def test_style_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('APIPHANT_STYLE', raising=False)
    assert highlight.style() is highlight.Plain


@pytest.mark.parametrize(('environment', 'codes'), [
    ({}, '[34m"a"'), ({'APIPHANT_STYLE': 'monokai'}, '[38;5;'), ({'APIPHANT_STYLE': 'nonsense'}, '[34m"a"')])
def test_style_of_body(environment: dict[str, str], codes: str) -> None:
    """In a process of its own: what was chosen is kept."""
    code = 'from apiphant.dev.console import highlight; print(highlight.body(b\'{"a": [1, null, "x"]}\', True))'
    dropped = {name: value for name, value in clean_environment().items() if name != 'APIPHANT_STYLE'}
    done = subprocess.run(
        [sys.executable, '-c', code], env={**dropped, **environment}, capture_output=True, text=True, timeout=DEADLINE,
        check=True)
    assert codes in done.stdout
    assert plain(done.stdout) == '{\n  "a": [\n    1,\n    null,\n    "x"\n  ]\n}\n'


# Where a traceback ended


def test_last_place() -> None:
    painter = Painter()
    assert painter.last_place is None
    painter.paint(f'{LOG}\nprinted\n')
    assert painter.last_place is None
    frames = '  File "/shop/a.py", line 7, in read\n    x\n  File "/shop/b c.py", line 12, in f\n    y'
    painter.paint(f'{LOG}\n{frames}\nValueError: z\n')
    assert painter.last_place == ('/shop/b c.py', 12)
    painter.paint(f'{LOG}\nfine again\n')
    assert painter.last_place == ('/shop/b c.py', 12)


@pytest.mark.parametrize(('function', 'name'), [(divide, 'divide'), (say_lines, 'say_lines')])
def test_last_place_of_traceback(function: Callable[[], None], name: str) -> None:
    painter = Painter()
    painter.paint(traceback_of(function))
    assert painter.last_place == (__file__, function.__code__.co_firstlineno + 1)


@pytest.mark.parametrize(('number', 'expected'), [
    (1, '1 byte'), (9999, '9999 bytes'), (10_000, '10 kB'), (999_499, '999 kB'), (11_085_000, '11.1 MB'),
    (2_500_000_000, '2500.0 MB')])
def test_size(number: int, expected: str) -> None:
    assert highlight.size(number) == expected


def test_long_source_line() -> None:
    """It is shown whole, and at once: pygments would take 16 s for 2 MB."""
    line = '    ' + 'x y.' * 500_000
    painter = Painter()
    painter.paint('Traceback (most recent call last):\n  File "x.py", line 3, in read')
    assert painter.paint(line) == line
