"""`public/` under three servers, and of the sample product."""
from __future__ import annotations

import http.client
import os
from pathlib import Path

import pytest

from tests.kit.running import DEADLINE, SAMPLE, dev, write_tree
from tests.server.test_start import under

FILES = {'shop/api/v0/x.py': 'def read(request):\n    return {}\n', 'shop/public/a.txt': '0123456789'}


@pytest.mark.parametrize('name', ['apiphant', 'gunicorn', 'pywsgi'])
def test_under(name: str, tmp_path: Path) -> None:
    product = write_tree(tmp_path, FILES) / 'shop'
    large = product / 'public' / 'large.bin'
    large.write_bytes(bytes(8 * 1024 * 1024))
    with under(name, product) as server:
        assert server.ask('/a.txt', method='GET')[2] == b'0123456789'
        assert server.ask('/a.txt', method='GET', headers={'Range': 'bytes=3-4'})[::2] == (206, b'34')
        assert server.ask('/a.txt', method='HEAD')[1]['Content-Length'] == '10'
        assert server.ask('/large.bin', method='GET')[2] == bytes(8 * 1024 * 1024)
        assert server.ask('/../a.txt', method='GET')[0] == 404
        assert server.post('/api/v0/x/read', method='GET')[0] == 501
        (product / 'public' / 'later.txt').write_text('later')
        assert server.ask('/later.txt', method='GET')[2] == b'later'


@pytest.mark.parametrize('name', ['apiphant', 'gunicorn', 'pywsgi'])
def test_shrinks(name: str, tmp_path: Path) -> None:
    """No server may wait with the rest, nor begin the next answer in its place."""
    product = write_tree(tmp_path, FILES) / 'shop'
    large = product / 'public' / 'large.bin'
    with large.open('wb') as file:
        file.truncate(256 * 1024 * 1024)
    with under(name, product) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE)
        connection.request('GET', '/large.bin')
        response = connection.getresponse()
        os.truncate(large, 10)
        with pytest.raises(http.client.IncompleteRead):
            response.read()
        connection.close()


def test_sample() -> None:
    with dev(SAMPLE) as server:
        status, headers, body = server.ask('/', method='GET')
    assert (status, headers['Content-Type']) == (200, 'text/html; charset=utf-8')
    assert b'<h1>myproduct</h1>' in body
