"""A typed or pasted text as lines, and the request in each."""
import pytest

from apiphant.dev.line.lines import is_open, lines_of, request_in


@pytest.mark.parametrize(('text', 'lines'), [
    ('', [(0, '')]),
    ('read echo a=1', [(0, 'read echo a=1')]),
    ('read echo a=1\nread echo b=2\n', [(0, 'read echo a=1'), (14, 'read echo b=2\n')]),
    ('read echo a=1\n\n\nhelp', [(0, 'read echo a=1'), (16, 'help')]),
    ('read echo a=1\n/api/v0/echo/read b=2', [(0, 'read echo a=1'), (14, '/api/v0/echo/read b=2')]),
    ('read echo a=1\nno command', [(0, 'read echo a=1\nno command')]),
    ('read echo {\nread: 1\n}\nhelp', [(0, 'read echo {\nread: 1\n}'), (22, 'help')]),
    ('read echo {\nread echo\n', [(0, 'read echo {\nread echo\n')]),
])
def test_lines(text: str, lines: list[tuple[int, str]]) -> None:
    assert list(lines_of(text)) == lines


@pytest.mark.parametrize(('line', 'request_text', 'begin'), [
    ('read echo a=1', 'a=1', 10), ('read echo a=1 | wc', 'a=1', 10), ('  read  echo  a=1', 'a=1', 14),
    ('watch read echo a=1', 'a=1', 16), ('/api/v0/echo/read a=1', 'a=1', 18),
    ('watch /api/v0/echo/read a=1', 'a=1', 24),
    ('read', '', 4), ('help read', '', 9), ('py {', '', 4), ('read echo a=1 |', '', 0),
])
def test_request_in(line: str, request_text: str, begin: int) -> None:
    assert request_in(line) == (request_text, begin)


@pytest.mark.parametrize(('line', 'may_go_on'), [
    ('read echo {"a":', True), ('/api/v0/echo/read {"a":', True), ('watch read echo {"a":', True),
    ('read echo {"a": 1}', False), ('py {', False), ('help {', False), ('', False),
])
def test_open(line: str, may_go_on: bool) -> None:
    assert is_open(line) is may_go_on
