"""What the app prints, from a pipe to whole lines."""
import os

import pytest

from apiphant.dev.console.child import Pump
from tests.kit.running import DEADLINE

MEGABYTES = b'0123456789abcde ' * 1_000_000


@pytest.mark.parametrize('printed', [
    b'', b'\n', b'a\nb', b'a\n\nb\n', b'no end', 'split é'.encode() * 20_000 + b'\n', b'bad \xff\xfe\n', MEGABYTES,
    b'a\n' + MEGABYTES + b'\nb\n'])
def test_whole_lines(printed: bytes) -> None:
    source, sink = os.pipe()
    written: list[str] = []
    pump = Pump(source, written.append)
    with os.fdopen(sink, 'wb') as pipe:
        pipe.write(printed)
    pump.join(DEADLINE)
    assert not pump.is_alive()
    assert all(text.endswith('\n') for text in written)
    assert ''.join(written) == printed.decode('utf-8', 'replace') + ('\n' if printed[-1:] not in (b'', b'\n') else '')
