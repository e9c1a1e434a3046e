"""What is written whole: the old content or the new, and nothing beside it."""
import pytest

from apiphant.atomic_write import write_whole


def test_new_and_over_an_old_one(tmp_path):
    path = tmp_path / 'kept.json'
    write_whole(path, [b'one'])
    assert path.read_bytes() == b'one'
    path.chmod(0o640)
    write_whole(path, iter([b'two', b' three']))
    assert path.read_bytes() == b'two three'
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted(tmp_path):
    path = tmp_path / 'kept.json'
    path.write_bytes(b'one')

    def pieces():
        yield b'half of two'
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, pieces())
    assert path.read_bytes() == b'one'
    assert list(tmp_path.iterdir()) == [path]


def test_nowhere(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / 'nothing/kept.json', [b'one'])
