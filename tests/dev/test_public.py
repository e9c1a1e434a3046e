"""`public/` in `apiphant dev`: what is saved there is served, and nothing is reloaded for it."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.kit.running import Server, dev, wait_for, write_tree

FILES = {'shop/api/v0/x.py': 'def read(request):\n    return {"value": 1}\n'}


def body(server: Server, path: str) -> str | int:
    status, _, found = server.ask(path, method='GET')
    return found.decode() if status == 200 else status


def test_saves(tmp_path: Path) -> None:
    """The folder itself, a file, the next version of it within the same second, another folder in its place."""
    product = write_tree(tmp_path, FILES) / 'shop'
    with dev(product) as server:
        assert body(server, '/') == 404
        since = len(server.lines)
        for text in ('one', 'two', 'six'):
            write_tree(product, {'public/index.html': text, 'public/app.js': text})
            assert (body(server, '/'), body(server, '/app.js')) == (text, text)
        tags = set()
        for moment, text in enumerate(('abc', 'xyz')):
            write_tree(product, {'public/index.html': text})
            os.utime(product / 'public' / 'index.html', ns=(0, 10**18 + moment * 10**6))
            tags.add(server.ask('/', method='GET')[1]['ETag'])
        (product / 'public').rename(product / 'before')
        assert body(server, '/') == 404
        (product / 'public').symlink_to('before')
        assert body(server, '/') == 'xyz'
        (product / 'public').unlink()
        shutil.rmtree(product / 'before')
        assert body(server, '/app.js') == 404
        write_tree(product, {'api/v0/x.py': 'def read(request):\n    return {"value": 2}\n'})
        wait_for(lambda: server.read('x') == {'value': 2}, 'the reload of a handler')
        assert not [line for line in server.lines[since:] if 'public' in line]
    assert len(tags) == 2
