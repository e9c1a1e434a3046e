"""Where the output of a line goes."""
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiphant.dev.console.shell import feed
from apiphant.dev.line.bad_text import BadText
from apiphant.dev.line.output import split
from tests.kit.cpu import assert_linear

BIG = b'0123456789abcde\n' * (8 << 16)  # 8 MB, more than a pipe holds


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


@given(st.text('ab |>"\'{}[]=:\\\n@$') | st.text())
def test_split_any_text(line: str) -> None:
    try:
        before, command = split(line)
    except BadText:
        return
    assert line.startswith(before)
    assert line.rstrip().endswith(command.removeprefix('cat '))


@pytest.mark.parametrize('line', ['"' * 100_000, ' "' * 50_000, " '" * 50_000, ' {' * 50_000, ' {}' * 33_000, ' [" ' * 25_000, '\\' * 100_000, 'a="' + '\\"' * 50_000])
def test_split_linear(line: str) -> None:
    assert_linear(split, line)


def fed(command: str, data: bytes, path: Path) -> tuple[int, bytes]:
    with path.open('wb') as output:
        status = feed(command, data, stdout=output.fileno())
    return status, path.read_bytes()


@pytest.mark.parametrize(('command', 'data', 'result'), [
    ('cat', b'{"a": 1}\n', (0, b'{"a": 1}\n')),
    ('cat', b'', (0, b'')),
    ('cat', BIG, (0, BIG)),
    ('true', BIG, (0, b'')),
    ('head -1', BIG, (0, b'0123456789abcde\n')),
    ('exit 3', BIG, (3, b'')),
    ('tr a-z A-Z | tail -c 6', BIG, (0, b'ABCDE\n')),
    ('sleep 0.2; head -c 3', BIG, (0, b'012')),
    ('exec <&-; sleep 0.2; echo late', BIG, (0, b'late\n')),
    ('kill -9 $$', BIG, (-9, b'')),
])
def test_feed(command: str, data: bytes, result: tuple[int, bytes], tmp_path: Path) -> None:
    assert fed(command, data, tmp_path / 'out') == result


def test_feed_to_file(tmp_path: Path) -> None:
    path = tmp_path / 'two words.json'
    for line in (f'read echo > "{path}"', f'read echo >> "{path}"'):
        assert feed(split(line)[1], b'{}\n') == 0
    assert path.read_bytes() == b'{}\n{}\n'


def test_command_unknown(capfd: pytest.CaptureFixture[str]) -> None:
    assert feed('no-such-command-here', BIG) == 127
    assert 'not found' in capfd.readouterr().err


@pytest.mark.parametrize('command', ['echo $$; exec sleep 60', 'echo $$; sleep 60 | cat', 'trap "" TERM; echo $$; exec sleep 60', 'echo $$; cat > /dev/null; exec sleep 60'])
def test_interrupted(command: str) -> None:
    """Also while the data is being written to a command that does not read."""
    code = 'import sys; from apiphant.dev.console.shell import feed\ntry: feed(sys.argv[1], b"x" * 10_000_000)\nexcept KeyboardInterrupt: print("interrupted", flush=True)'
    with subprocess.Popen([sys.executable, '-c', code, command], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            time.sleep(0.1)
            start = time.monotonic()
            os.kill(process.pid, signal.SIGINT)
            assert process.stdout.readline() == b'interrupted\n'
            assert process.wait(5) == 0
            assert time.monotonic() - start < 3
            with pytest.raises(ProcessLookupError):
                os.kill(child, 0)
        finally:
            with suppress(ProcessLookupError):  # the sleep of a pipeline is left: Ctrl-C at a terminal would have reached it
                os.killpg(process.pid, signal.SIGKILL)
