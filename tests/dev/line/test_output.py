"""What of a line says where its output goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiphant.dev.line.bad_text import BadText
from apiphant.dev.line.output import split, split_python
from tests.kit.cpu import assert_linear


@pytest.mark.parametrize(('line', 'parts'), [
    ('', ('', '')),
    ('read echo', ('read echo', '')),
    ('read echo {"a": "x | y"} | jq .a | sort > out.txt', ('read echo {"a": "x | y"}', 'jq .a | sort > out.txt')),
    ('read echo |jq .a', ('read echo', 'jq .a')),
    ('read echo > out.txt', ('read echo', 'cat > out.txt')),
    ('read echo >out.txt', ('read echo', 'cat >out.txt')),
    ('read echo >> out.txt ', ('read echo', 'cat >> out.txt')),
    ('read echo > out.txt | tee x', ('read echo', 'cat > out.txt | tee x')),
    ('read echo a=x|y b=1>2', ('read echo a=x|y b=1>2', '')),
    ('read echo a=" | " b=\' > \' | wc', ('read echo a=" | " b=\' > \'', 'wc')),
    ('read echo a="\\" | " | wc', ('read echo a="\\" | "', 'wc')),
    ("read echo a=it's | wc -l 'x'", ("read echo a=it's", "wc -l 'x'")),
    ('read echo a=5" b=[x | wc', ('read echo a=5" b=[x', 'wc')),
    ('read echo a[]=1 | wc', ('read echo a[]=1', 'wc')),
    ('read echo a:=[1, {"b": " ] | "}, | 2] | wc', ('read echo a:=[1, {"b": " ] | "}, | 2]', 'wc')),
    ('read echo a=$["x | y"].z | wc', ('read echo a=$["x | y"].z', 'wc')),
    ('read echo {"a": $["x } | y"]} | wc', ('read echo {"a": $["x } | y"]}', 'wc')),
    ('read echo a=@"x | y" | wc', ('read echo a=@"x | y"', 'wc')),
    ('read echo {\n"a": 1 |\n}\n| wc', ('read echo {\n"a": 1 |\n}', 'wc')),
    ('{"a": " | "} | wc', ('{"a": " | "}', 'wc')),
    ('read echo {"a": 1 | wc', ('read echo {"a": 1 | wc', '')),
    ('read echo a="open | wc', ('read echo a="open | wc', '')),
    (' | wc', ('', 'wc')),
])
def test_split(line: str, parts: tuple[str, str]) -> None:
    assert split(line) == parts


@pytest.mark.parametrize(('line', 'named', 'position'), [
    ('read echo |', '| what? A command comes next: | jq .', 10),
    ('read echo |  \n', '| what?', 10),
    ('read echo >', '> what? A file comes next', 10),
    ('read echo >> ', '>> what? A file comes next', 10),
    ('read echo | a\0b', 'cannot be passed on', 11),
    ('read echo | \ud800', 'cannot be passed on', 11),
])
def test_bad_pipe(line: str, named: str, position: int) -> None:
    with pytest.raises(BadText) as caught:
        split(line)
    assert named in caught.value.text
    assert caught.value.position == position


@pytest.mark.parametrize(('line', 'parts'), [
    ('py 1 | 2', ('py 1', '2')), ('py (1 | 2) | wc', ('py (1 | 2)', 'wc')), ('py "a | b" | wc', ('py "a | b"', 'wc')),
    ('py a > 1', ('py a > 1', '')), ('py a >> 1 | wc', ('py a >> 1', 'wc')), ('py [1 | wc', ('py [1 | wc', '')),
    ('py x | y | z', ('py x', 'y | z')), ('py two words | wc', ('py two words | wc', '')),
])
def test_split_python(line: str, parts: tuple[str, str]) -> None:
    assert split_python(line) == parts


@given(st.text('ab |>"\'{}[]=:\\\n@$') | st.text())
def test_split_any_text(line: str) -> None:
    try:
        before, command = split(line)
    except BadText:
        return
    assert line.startswith(before)
    assert line.rstrip().endswith(command.removeprefix('cat '))


@pytest.mark.parametrize('line', [
    '"' * 100_000, ' "' * 50_000, " '" * 50_000, ' {' * 50_000, ' {}' * 33_000, ' [" ' * 25_000, '\\' * 100_000,
    'a="' + '\\"' * 50_000])
def test_split_linear(line: str) -> None:
    assert_linear(split, line)
