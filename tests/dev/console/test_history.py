"""The file that keeps what was typed."""
import os
import stat
from pathlib import Path

import pytest

from apiphant.dev.console.history import KEPT, MOST, shorten

ENTRY = '\n# 2026-01-01 10:00:00.000000\n+read echo number:=%d\n+  more of it\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / 'shop.history'
    made.touch(mode=0o600)
    return made


def test_large_is_shortened(path: Path) -> None:
    """To whole entries, the last ones; 60 MB took seconds to read at each start."""
    count = 60_000_000 // len(ENTRY % 1_000_000)
    text = ''.join(ENTRY % number for number in range(count))
    path.write_text(text)
    shorten(path)
    kept = path.read_text()
    assert KEPT - 200 < len(kept) <= KEPT
    assert text.endswith(kept)
    assert kept.startswith('\n# 2026-01-01')
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_others_stay(path: Path) -> None:
    text = ENTRY % 1 * 1000
    path.write_text(text)
    shorten(path)
    assert path.read_text() == text


def test_one_endless_entry(path: Path) -> None:
    path.write_bytes(b'\xff' * (MOST + 1))
    shorten(path)
    assert path.read_bytes() == b''
