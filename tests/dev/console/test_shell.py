"""Commands that an answer is piped to."""
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from apiphant.dev.console.shell import feed
from apiphant.dev.line.output import split
from tests.kit.running import DEADLINE

BIG = b'0123456789abcde\n' * (8 << 16)  # 8 MB, more than a pipe holds


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


FEED = '''
import sys
from apiphant.dev.console.shell import feed

try:
    feed(sys.argv[1], b'x' * 10_000_000)
except KeyboardInterrupt:
    print('interrupted', flush=True)
'''


@pytest.mark.parametrize('command', [
    'echo $$; exec sleep 600', 'echo $$; sleep 600 | cat', 'trap "" TERM; echo $$; exec sleep 600',
    'echo $$; cat > /dev/null; exec sleep 600'])
def test_interrupted(command: str) -> None:
    """Also while the data is being written to a command that does not read."""
    words = [sys.executable, '-c', FEED, command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            time.sleep(0.1)
            os.kill(process.pid, signal.SIGINT)
            assert process.stdout.readline() == b'interrupted\n'
            assert process.wait(DEADLINE) == 0
            with pytest.raises(ProcessLookupError):
                os.kill(child, 0)
        finally:
            with suppress(ProcessLookupError):  # the sleep of a pipeline is left; Ctrl-C at a terminal would reach it
                os.killpg(process.pid, signal.SIGKILL)
