"""`public/` under other WSGI servers: through `application()`, as a server that checks everything calls it."""
from __future__ import annotations

import os
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apiphant.api.application import Application
from apiphant.api.call import NOBODY
from apiphant.api.download import File, Shrank, accepted_of, chunks
from apiphant.api.media_types import media_type
from apiphant.api.public import Public, names_of
from tests.api.test_application import ask, environ_of
from tests.kit.running import write_tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {'public/index.html': 'page', 'public/\u00fc.txt': '0123456789', 'secret.txt': 'secret'}
    return write_tree(tmp_path, files)


@pytest.fixture
def app(folder: Path) -> Application:
    return Application({}, public=Public(folder / 'public', 60))


def got(app: Application, path: str, method: str = 'GET', **more: str) -> tuple[str, bytes]:
    status, _, body = ask(app, environ_of(method=method, path=path, **{'QUERY_STRING': '', **more}))
    return status, body


def test_files(app: Application) -> None:
    assert got(app, '/') == ('200 OK', b'page')
    assert got(app, '/', 'HEAD') == ('200 OK', b'')
    assert got(app, '/\xc3\xbc.txt', HTTP_RANGE='bytes=2-3') == ('206 Partial Content', b'23')
    assert got(app, '/\xc3\xbc.txt', HTTP_IF_NONE_MATCH='*') == ('304 Not Modified', b'')
    assert got(app, '/\xc3\xbc.txt', HTTP_RANGE='bytes=10-')[0].startswith('416 ')
    for path in ('/../secret.txt', '/secret.txt', '', '/\u20ac.txt'):
        assert got(app, path)[0] == '404 Not Found'
    assert got(app, '/', 'POST')[0] == '404 Not Found'


def test_folder_is_sent_on(app: Application, folder: Path) -> None:
    write_tree(folder, {'public/\u00fc/index.html': 'page'})
    status, headers, body = ask(app, environ_of(method='GET', path='/\xc3\xbc', QUERY_STRING='a=1'))
    assert (status, headers['Location'], body) == ('302 Found', '/%C3%BC/?a=1', b'')


def test_all_is_closed(app: Application) -> None:
    """Whatever was asked, also an answer that nobody takes."""
    before = os.listdir('/proc/self/fd')
    for more in ({}, {'HTTP_RANGE': 'bytes=99-'}, {'HTTP_IF_NONE_MATCH': '*'}):
        for method in ('GET', 'HEAD'):
            got(app, '/', method, **more)
    next(iter(app(environ_of(method='GET', path='/'), lambda status, headers, exc_info=None: None)))
    app(environ_of(method='GET', path='/'), lambda status, headers, exc_info=None: None)
    assert os.listdir('/proc/self/fd') == before


def test_full_table(app: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be known is a 500 with a line, and not said to be absent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) - 1, hard))
    try:
        status = got(app, '/')[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert status == '500 Internal Server Error'
    assert 'GET / failed: [Errno 24] Too many open files' in caplog.text


def test_replaced_in_between(folder: Path) -> None:
    """What is sent is what was found."""
    action = Public(folder / 'public', 60).action(b'/', NOBODY)
    assert action is not None
    (folder / 'public' / 'index.html').unlink()
    (folder / 'public' / 'index.html').symlink_to('../secret.txt')
    headers: list[Any] = []
    assert b''.join(action.handler(environ_of(method='GET'), lambda *given: headers.append(given))) == b'page'


def test_folder_that_is_a_link(folder: Path) -> None:
    (folder / 'link').symlink_to('public')
    assert got(Application({}, public=Public(folder / 'link', 60)), '/') == ('200 OK', b'page')


def test_shrinks(folder: Path) -> None:
    """An error, by which any server closes the connection: the rest cannot be sent."""
    opened = (folder / 'secret.txt').open('rb', buffering=0)
    parts = chunks(File(opened, 100, 0), 0, 100, NOBODY)
    assert next(parts) == b'secret'
    with pytest.raises(Shrank, match='shorter'):
        next(parts)
    assert opened.closed


def test_others_have_their_turn(folder: Path) -> None:
    turns: list[int] = []
    (folder / 'large').write_bytes(bytes(1024 * 1024))
    host: Any = SimpleNamespace(give_way=lambda: turns.append(1))
    opened = (folder / 'large').open('rb', buffering=0)
    assert sum(map(len, chunks(File(opened, 1024 * 1024, 0), 0, 1024 * 1024, host))) == 1024 * 1024
    assert len(turns) > 5


@pytest.mark.parametrize(('path', 'names'), [
    (b'/', [b'']), (b'/a', [b'a']), (b'/a/', [b'a', b'']), (b'/a/b', [b'a', b'b']), (b'/apis', [b'apis']),
    (b'', None), (b'a', None), (b'*', None), (b'//', None), (b'/a//b', None), (b'/.', None), (b'/..', None),
    (b'/.a/b', None), (b'/a/.b', None), (b'/a/../b', None), (b'/a\0', None), (b'/api', None), (b'/api/x', None),
])
def test_names(path: bytes, names: list[bytes] | None) -> None:
    assert names_of(path) == names


@pytest.mark.parametrize(('name', 'expected'), [
    ('a.html', 'text/html; charset=utf-8'), ('a.mjs', 'text/javascript; charset=utf-8'), ('a.svg', 'image/svg+xml'),
    ('a.png', 'image/png'), ('a.woff2', 'font/woff2'), ('a.webmanifest', 'application/manifest+json'),
    ('a.json', 'application/json'), ('a.tar.gz', 'application/gzip'), ('a', 'application/octet-stream'),
    ('a.nonsense', 'application/octet-stream'), ('data:text/html,a', 'application/octet-stream'), ('A.CSS',
     'text/css; charset=utf-8'), ('', 'application/octet-stream'),
])
def test_media_type(name: str, expected: str) -> None:
    assert media_type(name) == expected


@pytest.mark.parametrize(('header', 'codings'), [
    ('gzip, deflate, br', ['br', 'gzip']), ('GZIP', ['gzip']), ('gzip;q=0.1', ['gzip']), ('gzip;q=0', []),
    ('br; q=0.0, gzip; q=1', ['gzip']), ('', []), (',,;', []),
])
def test_accepted(header: str, codings: list[str]) -> None:
    assert accepted_of(header) == codings


