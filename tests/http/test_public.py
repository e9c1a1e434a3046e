"""Files of `public/` through real servers: what is sent, what is not, and that nobody waits for it."""
from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from tests.kit.running import Server, dev, https, production, wait_for, write_tree
from tests.kit.wire import Answer, Wire, descriptors, memory

READ = 'def read(request):\n    return {}\n'
PAGE = '<h1>shop</h1>\n'
MB = 1024 * 1024
API = {'shop/api/v0/x.py': READ}
FILES = {
    'shop/public/index.html': PAGE,
    'shop/public/app.js': 'let a = 1\n' * 100,
    'shop/public/docs/index.html': 'docs',
    'shop/public/docs/a.txt': '0123456789',
    'shop/public/empty/a.txt': 'a',
    'shop/public/none.txt': '',
    'shop/public/.env': 'secret',
    'shop/public/.git/config': 'secret',
    'shop/public/api/v0/x/read': 'secret',
    'shop/public/gr\u00fc\u00df 100%.txt': 'gr\u00fc\u00df',
    'shop/public/%2e%2e': 'dots',
    'shop/secret.txt': 'secret',
    'shop-public/secret.txt': 'secret',
    'shop/public-secret/a.txt': 'secret',
}


@pytest.fixture(scope='module')
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tree(tmp_path_factory.mktemp('public'), {**API, **FILES}) / 'shop'
    public = folder / 'public'
    (public / 'way-out').symlink_to('..')
    (public / 'out.txt').symlink_to('../secret.txt')
    (public / 'absolute.txt').symlink_to(folder / 'secret.txt')
    (public / 'beside').symlink_to('../public-secret')
    (public / 'hidden.txt').symlink_to('.env')
    (public / 'loop').symlink_to('loop')
    (public / 'broken').symlink_to('nowhere')
    (public / 'inside.txt').symlink_to('docs/a.txt')
    (public / 'zero').symlink_to('/dev/zero')
    os.mkfifo(public / 'fifo')
    os.mkfifo(public / 'docs' / 'fifo.gz')
    with socket.socket(socket.AF_UNIX) as listener, chdir(public):  # the whole path may be too long for one
        listener.bind('socket')
    with (public / 'large.bin').open('wb') as file:
        file.truncate(64 * MB)
    (public / 'app.js.gz').write_bytes(gzip.compress((public / 'app.js').read_bytes()))
    return folder


@pytest.fixture(scope='module')
def server(product: Path) -> Iterator[Server]:
    with production(product, '--access-log', '-') as running:
        yield running


def asked(server: Server, path: str, *headers: str, method: str = 'GET') -> Answer:
    lines = ''.join(f'{header}\r\n' for header in headers)
    with Wire(server, f'{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n'.encode('latin-1')) as wire:
        return wire.answer(method != 'HEAD' and not lines.startswith('If-'))


def status(answer: Answer) -> int:
    return int(answer.status.split()[1])


# What is there


@pytest.mark.parametrize(('path', 'kind', 'body'), [
    ('/', 'text/html; charset=utf-8', PAGE),
    ('/?a=1', 'text/html; charset=utf-8', PAGE),
    ('/index.html', 'text/html; charset=utf-8', PAGE),
    ('/app.js', 'text/javascript; charset=utf-8', FILES['shop/public/app.js']),
    ('/app%2ejs', 'text/javascript; charset=utf-8', FILES['shop/public/app.js']),
    ('/docs/', 'text/html; charset=utf-8', 'docs'),
    ('/docs/a.txt', 'text/plain; charset=utf-8', '0123456789'),
    ('/docs%2Fa.txt', 'text/plain; charset=utf-8', '0123456789'),
    ('/inside.txt', 'text/plain; charset=utf-8', '0123456789'),
    ('/none.txt', 'text/plain; charset=utf-8', ''),
    ('/gr%C3%BC%C3%9F%20100%25.txt', 'text/plain; charset=utf-8', 'gr\u00fc\u00df'),
    ('/%252e%252e', 'application/octet-stream', 'dots'),
])
def test_file(server: Server, path: str, kind: str, body: str) -> None:
    answer = asked(server, path)
    assert (status(answer), answer.headers['Content-Type'], answer.body.decode()) == (200, kind, body)
    assert asked(server, path, method='HEAD').headers['Content-Length'] == answer.headers['Content-Length']


def test_urls_of_all_forms(server: Server) -> None:
    assert asked(server, 'http://shop.example/docs/a.txt').body == b'0123456789'


def test_folder_is_sent_on(server: Server) -> None:
    answer = asked(server, '/docs?a=1')
    assert (status(answer), answer.headers['Location'], answer.body) == (302, '/docs/?a=1', b'')


def test_kept_connection(server: Server) -> None:
    """A file, none, a call, a file."""
    with Wire(server) as wire:
        for path, expected in (('/docs/a.txt', 200), ('/nothing', 404), ('/', 200), ('/', 200)):
            wire.send(f'GET {path} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
            assert status(wire.answer()) == expected
        wire.send(b'POST /api/v0/x/read HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}')
        assert wire.answer().content == {}


def test_body_is_passed_over(server: Server) -> None:
    with Wire(server, b'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello' * 2) as wire:
        assert [wire.answer().body.decode() for _ in range(2)] == [PAGE, PAGE]


def test_old_clients(server: Server) -> None:
    assert server.exchange(b'GET /docs/a.txt HTTP/1.0\r\n\r\n').endswith(b'\r\n\r\n0123456789')


# What is not


@pytest.mark.parametrize('path', [
    '/nothing', '/docs/a.txt/', '/docs/a.txt/b', '/empty', '/empty/', '/docs/nothing', '/DOCS/a.txt', '//',
    '//docs/a.txt', '/docs//a.txt', '/../secret.txt', '/%2e%2e/secret.txt', '/%2E./secret.txt',
    '/docs/../../secret.txt',
    '/docs/..%2f..%2fsecret.txt', '/..%2fsecret.txt', '/docs/../index.html', '/./index.html', '/..%5csecret.txt',
    '/%c0%ae%c0%ae/secret.txt', '/way-out/secret.txt', '/out.txt', '/absolute.txt', '/beside/a.txt', '/hidden.txt',
    '/loop', '/broken', '/.env', '/.git/config', '/%2egit/config', '/docs/%2e', '/index.html%00.txt', '/%00', '/%',
    '/' + 'a' * 300, '/' + 'a/' * 3000, '/fifo', '/fifo/', '/zero', '/socket', '/*', '*', '/etc/passwd', '//etc/passwd',
    '/app.js%0d%0aX-A:%20b', '/-secret/a.txt',
])
def test_nothing(server: Server, path: str) -> None:
    """The same as where there is no public/: 404, or what a request that is none gets."""
    answer = asked(server, path)
    expected = 400 if path == '*' else 404
    assert (status(answer), answer.content) == (expected, {'error': answer.status.partition(' ')[2]})


@pytest.mark.parametrize(('method', 'path', 'expected'), [
    ('GET', '/api/v0/x/read', 501), ('HEAD', '/api/v0/x/read', 501), ('PUT', '/api/v0/x/read', 501),
    ('GET', '/api', 404), ('GET', '/api/', 404), ('GET', '/api/v0/x', 404), ('GET', '/%61pi/v0/x/read', 404),
    ('POST', '/', 404), ('POST', '/index.html', 404), ('PUT', '/index.html', 404), ('DELETE', '/docs/', 404),
    ('OPTIONS', '/', 404), ('PATCH', '/', 404),
])
def test_rules_stay(server: Server, method: str, path: str, expected: int) -> None:
    """`public/api/` is never looked at; files are for GET and HEAD."""
    assert status(asked(server, path, method=method)) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads all')
def test_unreadable(product: Path, server: Server) -> None:
    file = product / 'public' / 'locked.txt'
    file.write_text('a')
    file.chmod(0)
    assert status(asked(server, '/locked.txt')) == 404


def test_without_folder(tmp_path: Path) -> None:
    """Byte for byte as with an unknown path that is not looked for, Date aside."""
    def plain(answer: bytes) -> list[bytes]:
        return [line for line in answer.split(b'\r\n') if not line.startswith(b'Date: ')]

    with production(write_tree(tmp_path, API) / 'shop', '--allow-origin', 'https://a.example') as server:
        for path in ('/', '/nothing'):
            for headers in ('', 'Origin: https://a.example\r\n', 'If-None-Match: *\r\n', 'Range: bytes=0-1\r\n'):
                tail = f'HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n'
                unknown = plain(server.exchange(f'GET /api/nothing {tail}'.encode()))
                assert unknown[0] == b'HTTP/1.1 404 Not Found'
                assert plain(server.exchange(f'GET {path} {tail}'.encode())) == unknown
                assert plain(server.exchange(f'HEAD {path} {tail}'.encode())) == [*unknown[:-1], b'']


# What one has already, parts, and compressed ones


def test_not_modified(server: Server) -> None:
    headers = asked(server, '/docs/a.txt').headers
    tag, date = headers['ETag'], headers['Last-Modified']
    for condition in (f'If-None-Match: {tag}', f'If-None-Match: "x", W/{tag}', 'If-None-Match: *',
                      f'If-Modified-Since: {date}'):
        answer = asked(server, '/docs/a.txt', condition)
        assert (status(answer), answer.headers['ETag'], answer.body) == (304, tag, b'')
        assert 'Content-Length' not in answer.headers
    for condition in ('If-None-Match: "x"', 'If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT',
                      'If-Modified-Since: yesterday', f'If-None-Match: "x"\r\nIf-Modified-Since: {date}'):
        assert status(asked(server, '/docs/a.txt', condition)) == 200


@pytest.mark.parametrize(('asks', 'range_', 'body'), [
    ('bytes=0-0', '0-0/10', '0'), ('bytes=2-4', '2-4/10', '234'), ('bytes=8-', '8-9/10', '89'),
    ('bytes=8-100', '8-9/10', '89'), ('bytes=-3', '7-9/10', '789'), ('bytes=-100', '0-9/10', '0123456789'),
])
def test_range(server: Server, asks: str, range_: str, body: str) -> None:
    answer = asked(server, '/docs/a.txt', f'Range: {asks}')
    assert (status(answer), answer.headers['Content-Range'], answer.body.decode()) == (206, f'bytes {range_}', body)


@pytest.mark.parametrize('asks', ['bytes=10-', 'bytes=100-200', 'bytes=-0'])
def test_range_that_is_not_there(server: Server, asks: str) -> None:
    answer = asked(server, '/docs/a.txt', f'Range: {asks}')
    assert (status(answer), answer.headers['Content-Range'], answer.body) == (416, 'bytes */10', b'')


@pytest.mark.parametrize('asks', [
    'bytes=', 'bytes=-', 'bytes=4-2', 'bytes=a-b', 'lines=0-1', 'bytes=0-1,3-4', 'bytes=+1-2', 'bytes=1_0-', '0-1',
    'bytes=\xb2-', 'bytes=' + '9' * 5000 + '-a'])
def test_range_that_is_none(server: Server, asks: str) -> None:
    assert status(asked(server, '/docs/a.txt', f'Range: {asks}')) == 200


def test_range_of_the_same(server: Server) -> None:
    headers = asked(server, '/docs/a.txt').headers
    for known, expected in ((headers['ETag'], 206), (headers['Last-Modified'], 206), ('"x"', 200),
                            (f'W/{headers["ETag"]}', 200), ('Thu, 01 Jan 1970 00:00:00 GMT', 200)):
        assert status(asked(server, '/docs/a.txt', 'Range: bytes=0-1', f'If-Range: {known}')) == expected


def test_compressed(product: Path, server: Server) -> None:
    plain, packed = asked(server, '/app.js'), asked(server, '/app.js', 'Accept-Encoding: br, gzip;q=0.5')
    assert (packed.headers['Content-Encoding'], gzip.decompress(packed.body)) == ('gzip', plain.body)
    assert packed.headers['Content-Type'] == plain.headers['Content-Type']
    assert packed.headers['ETag'] != plain.headers['ETag']
    assert packed.headers['Vary'] == plain.headers['Vary'] == 'Accept-Encoding'
    for accepted in ('gzip;q=0', 'gzip; Q=0.000', 'x-gzip', 'identity', '*;q=0', ''):
        assert 'Content-Encoding' not in asked(server, '/app.js', f'Accept-Encoding: {accepted}').headers
    assert asked(server, '/app.js.gz').headers['Content-Type'] == 'application/gzip'
    assert status(asked(server, '/docs/fifo', 'Accept-Encoding: gzip')) == 404


def test_compressed_before_the_last_save(product: Path, server: Server) -> None:
    (product / 'public' / 'old.css').write_text('new')
    (product / 'public' / 'old.css.gz').write_bytes(gzip.compress(b'old'))
    os.utime(product / 'public' / 'old.css.gz', (1, 1))
    assert asked(server, '/old.css', 'Accept-Encoding: gzip').body == b'new'


def test_caching(product: Path, server: Server) -> None:
    assert asked(server, '/').headers['Cache-Control'] == 'public, max-age=60'
    with dev(product) as live:
        assert asked(live, '/').headers['Cache-Control'] == 'no-cache'


# Large ones


def test_nobody_waits(product: Path, server: Server) -> None:
    """A client that takes nothing, one that takes all, and one that leaves: calls are answered, memory stays."""
    before, most = descriptors(server), memory(server)
    request = b'GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n'
    stuck = [Wire(server, request) for _ in range(10)]
    with Wire(server, request) as whole:
        assert server.post('/api/v0/x/read', {}) == (200, {})
        assert len(whole.answer().body) == 64 * MB
    assert server.post('/api/v0/x/read', {}) == (200, {})
    assert memory(server, 'VmHWM') < most + 32 * MB
    for wire in stuck:
        wire.reset()
    wait_for(lambda: descriptors(server) <= before, 'descriptors back')


def test_by_tls(product: Path, tmp_path: Path) -> None:
    with https(product, tmp_path) as server:
        assert server.ask('/docs/a.txt', method='GET')[2] == b'0123456789'
        assert len(server.ask('/large.bin', method='GET')[2]) == 64 * MB


def test_shrinks_while_sent(product: Path, server: Server) -> None:
    """The end comes before the body's, a line says why, and the connection is not used again."""
    file = product / 'public' / 'shrinks.bin'
    with file.open('wb') as opened:
        opened.truncate(256 * MB)
    with Wire(server, b'GET /shrinks.bin HTTP/1.1\r\nHost: a\r\n\r\n' * 2) as wire:
        wire.until(b'\r\n\r\n')
        os.truncate(file, 1000)
        assert len(wire.rest()) < 256 * MB
    server.wait_for_line(r'GET /shrinks\.bin.*shorter')
    assert 'Traceback' not in server.text
    assert status(asked(server, '/')) == 200


def test_grows_while_sent(product: Path, server: Server) -> None:
    file = product / 'public' / 'grows.bin'
    with file.open('wb') as opened:
        opened.truncate(32 * MB)
    with Wire(server, b'GET /grows.bin HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n') as wire:
        wire.until(b'\r\n\r\n')
        os.truncate(file, 64 * MB)
        wire.take(32 * MB)
        assert wire.answer().body.decode() == PAGE


def test_ten_thousand(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {**API, **{f'shop/public/{number}.txt': str(number) for number in range(10_000)}})
    with production(folder / 'shop') as server, Wire(server) as wire:
        wire.send(b'GET /1.txt HTTP/1.1\r\nHost: a\r\n\r\n')
        wire.answer()
        before = descriptors(server)
        for number in range(0, 10_000, 50):
            wire.send(f'GET /{number}.txt HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
            assert wire.answer().body == str(number).encode()
        wait_for(lambda: descriptors(server) <= before, 'the last file closed, which is after its answer')


def test_in_the_access_log(server: Server) -> None:
    asked(server, '/docs/a.txt', 'Range: bytes=0-6')
    server.wait_for_line(r'GET /docs/a\.txt 206 7 ')
