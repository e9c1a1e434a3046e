"""Raw handlers through the real server: PEP 3333 as they see it, and what the client gets."""
import json

import pytest

from tests.kit.running import production, wait_for, write_tree
from tests.kit.wire import Wire, memory

VALID = '''
from wsgiref.validate import validator
from apiphant.server import raw_environ, raw_response

def app(environ, start_response):
    body = environ['wsgi.input'].read(-1) + b''.join(environ['wsgi.input'])
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return iter([environ['REQUEST_METHOD'].encode(), b' ', body])

create = raw_response(raw_environ(validator(app)))

@raw_environ
def read(environ):
    return {name: value for name, value in environ.items() if isinstance(value, (str, bool, tuple))}
'''
INPUT = '''
from apiphant.server import raw_environ

@raw_environ
def create(environ):
    got = eval(environ['QUERY_STRING'], {'stream': environ['wsgi.input']})
    return {'got': [decoded(part) for part in got]}

def decoded(part):
    return part.decode() if isinstance(part, bytes) else [line.decode() for line in part]

@raw_environ
def read(environ):
    stream, sizes = environ['wsgi.input'], []
    while data := stream.read(100_000):
        sizes.append(len(data))
    return {'size': sum(sizes), 'largest': max(sizes, default=0)}
'''
OUTPUT = '''
import gevent
from gevent.event import Event
from apiphant.server import raw_environ, raw_response

second = Event()

class Body:
    closed = 0
    def __init__(self, *parts):
        self.parts = parts
    def __iter__(self):
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            yield part
    def close(self):
        Body.closed += 1

def write(start_response):
    write = start_response('200 OK', [])
    write(b'a')
    write(b'b')
    return [b'c']

def write_known(start_response):
    start_response('200 OK', [('Content-Length', '3')])(b'a')
    return [b'bc']

def known(start_response):
    start_response('200 OK', [('content-length', '3'), ('date', 'today')])
    return [b'a', b'bc']

def listed(start_response):
    start_response('299 Very well', [('X-A', 'b'), ('Set-Cookie', 'c')])
    return [b'ab', b'', b'c']

def generated(start_response):
    start_response('200 OK', [])
    yield b'first'
    second.wait(10)
    yield b''
    yield b'second'

def let(start_response):
    second.set()
    start_response('200 OK', [])
    return [b'let']

def empty(start_response):
    start_response('204 No Content', [])
    return []

def same(start_response):
    start_response('304 Not Modified', [('ETag', 'x')])
    return [b'dropped']

def late(start_response):
    try:
        start_response('200 OK', [('X-First', 'a')])
        1 / 0
    except ZeroDivisionError:
        import sys
        start_response('503 Busy', [('X-Second', 'b')], sys.exc_info())
    return [b'busy']

def too_late(start_response):
    start_response('200 OK', [])(b'sent')
    try:
        1 / 0
    except ZeroDivisionError:
        import sys
        start_response('503 Busy', [], sys.exc_info())
    return []

def twice(start_response):
    start_response('200 OK', [])
    start_response('201 Created', [])
    return [b'x']

def fails_before(start_response):
    raise KeyError('secret')

def fails_after(start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return Body(b'part', ValueError('after the head'))

def fails_whole(start_response):
    start_response('200 OK', [('Content-Length', '4')])
    yield b'part'
    raise ValueError('after the head')

def fails_first(start_response):
    start_response('200 OK', [('X-First', 'a')])
    return Body(ValueError('before any'))

def never_starts(start_response):
    return [b'x']

def text(start_response):
    start_response('200 OK', [])
    return ['text']

def nothing(start_response):
    start_response('200 OK', [])

def closes(start_response):
    start_response('200 OK', [])
    return Body(b'x')

def closed(start_response):
    start_response('200 OK', [])
    return [str(Body.closed).encode()]

def more(start_response):
    start_response('200 OK', [('Content-Length', '2')])
    return [b'abcdef']

def less(start_response):
    start_response('200 OK', [('Content-Length', '5')])
    return [b'ab']

def last(start_response):
    start_response('200 OK', [('Connection', 'close'), ('Keep-Alive', 'x')])
    return [b'ab']

def large(start_response):
    start_response('200 OK', [])
    for _ in range(200):
        yield b'x' * 2**20

def file(start_response):
    start_response('200 OK', [])
    return FILE['wsgi.file_wrapper'](open(__file__, 'rb'), 100)

@raw_environ
@raw_response
def create(environ, start_response):
    global FILE
    FILE = environ
    return globals()[environ['QUERY_STRING']](start_response)

@raw_environ
@raw_response
def read(environ, start_response):
    status, headers = eval(environ['wsgi.input'].read())
    start_response(status, headers)
    return [b'x']

@raw_response
def update(request, start_response):
    start_response('200 OK', [])
    return [repr(request).encode()]
'''
UPLOAD = '''
from multipart import parse_form_data
from apiphant.server import raw_environ

@raw_environ(max_body=300 * 2**20)
def create(environ):
    forms, files = parse_form_data(environ, strict=True)
    file = files['file']
    size, start, end = file.size, file.file.read(3), file.file.seek(-3, 2)
    return {'title': forms['title'], 'size': size, 'ends': [start.decode(), file.file.read().decode()]}
'''
FAILED = {'error': '500 Internal Server Error'}


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    folder = write_tree(tmp_path_factory.mktemp('wsgi'), {f'shop/api/v0/{name}.py': text for name, text in (
        ('valid', VALID), ('input', INPUT), ('output', OUTPUT), ('upload', UPLOAD))})
    with production(folder / 'shop') as running:
        yield running
        assert running.end() == 0


def request(path, body=b'', *headers, method='POST', version='1.1'):
    lines = [f'{method} /api/v0/{path} HTTP/{version}', 'Host: x:80', f'Content-Length: {len(body)}', *headers, '', '']
    return '\r\n'.join(lines).encode() + body


def chunked(path, *chunks):
    parts = [b'%x\r\n%b\r\n' % (len(chunk), chunk) for chunk in (*chunks, b'')]
    return f'POST /api/v0/{path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'.encode() + b''.join(parts)


def out(server, name, **options):
    with Wire(server, request(f'output/create?{name}', **options)) as wire:
        return wire.answer(has_body=options.get('method') != 'HEAD')


@pytest.mark.parametrize('method', ['POST', 'GET', 'PUT'])
def test_validator_is_content(server, method):
    since = len(server.lines)
    with Wire(server, request('valid/create?a=b', b'ab', method=method) + chunked('valid/create', b'a', b'b')) as wire:
        assert [wire.answer().body, wire.answer().body] == [b'%b ab' % method.encode(), b'POST ab']
    assert not [line for line in server.lines[since:] if 'Assert' in line or 'Warn' in line]


def test_environ(server):
    sent = request(
        'valid/read?a=%20b', b'', 'Content-Type: a/b', 'Cookie: a=1', 'Cookie: b=2', 'A: 1', 'a:  2 ', 'X_Y: no',
        'X-Y: \xe9')
    with Wire(server, sent.replace('\xe9'.encode(), b'\xe9')) as wire:
        environ = wire.answer().content
        name, port = wire.socket.getsockname()
    assert environ == {
        'REQUEST_METHOD': 'POST', 'SCRIPT_NAME': '', 'PATH_INFO': '/api/v0/valid/read', 'QUERY_STRING': 'a=%20b',
        'RAW_URI': '/api/v0/valid/read?a=%20b',
        'SERVER_PROTOCOL': 'HTTP/1.1', 'SERVER_NAME': '127.0.0.1', 'SERVER_PORT': str(server.port), 'REMOTE_ADDR': name,
        'REMOTE_PORT': str(port),
        'CONTENT_LENGTH': '0', 'CONTENT_TYPE': 'a/b', 'HTTP_HOST': 'x:80', 'HTTP_COOKIE': 'a=1; b=2', 'HTTP_A': '1,2',
        'HTTP_X_Y': '\xe9', 'wsgi.version': [1, 0],
        'wsgi.url_scheme': 'http', 'wsgi.multithread': True, 'wsgi.multiprocess': environ['wsgi.multiprocess'],
        'wsgi.run_once': False, 'wsgi.input_terminated': True}


def test_host_of_an_absolute_target(server):
    """It counts, and not what Host says."""
    with Wire(server, request('valid/read').replace(b'/api', b'http://h:8080/api', 1)) as wire:
        assert wire.answer().content['HTTP_HOST'] == 'h:8080'


TEXT = b'ab\ncde\n\nfg'


@pytest.mark.parametrize(('call', 'expected'), [
    ('[stream.read()]', [TEXT.decode()]), ('[stream.read(-1),stream.read(),stream.read(5)]', [TEXT.decode(), '', '']),
    ('[stream.read(None)]', [TEXT.decode()]),
    ('[stream.read(2),stream.read(0),stream.read(3),stream.read(99)]', ['ab', '', '\ncd', 'e\n\nfg']),
    ('[*map(stream.readline,[-1]*6)]', ['ab\n', 'cde\n', '\n', 'fg', '', '']),
    ('[stream.readline(2),stream.readline(2),stream.readline(9),stream.readline(0)]', ['ab', '\n', 'cde\n', '']),
    ('[stream.readline(-1)]', ['ab\n']),
    ('[stream.readlines()]', [['ab\n', 'cde\n', '\n', 'fg']]),
    ('[stream.readlines(4),stream.read()]', [['ab\n', 'cde\n'], '\nfg']),
    ('[stream.readlines(0)]', [['ab\n', 'cde\n', '\n', 'fg']]),
    ('list(stream)', ['ab\n', 'cde\n', '\n', 'fg']),
    ('[stream.read(1),stream.readline(),next(iter(stream)),stream.read()]', ['a', 'b\n', 'cde\n', '\nfg'])])
def test_input(server, call, expected):
    """The same however it comes: in one piece, in chunks, byte by byte."""
    path = f'input/create?{call}'
    bytewise = chunked(path, *(TEXT[n:n + 1] for n in range(len(TEXT))))
    with Wire(server, request(path, TEXT) + chunked(path, TEXT) + bytewise) as wire:
        assert [wire.answer().content for _ in range(3)] == [{'got': expected}] * 3
        for byte in request(path, TEXT):
            wire.send(bytes((byte,)))
        assert wire.answer().content == {'got': expected}


@pytest.mark.parametrize('size', [0, 1, 65_536, 1_048_576])
def test_input_of_any_size(server, size):
    chunks = [b'y' * size] if size else []
    with Wire(server, request('input/read', b'x' * size) + chunked('input/read', *chunks)) as wire:
        assert [wire.answer().content for _ in range(2)] == [{'size': size, 'largest': min(size, 100_000)}] * 2


def test_max_body(server):
    with Wire(server, request('input/read', b'x' * 1_048_577)) as wire:
        assert wire.answer().status.startswith('HTTP/1.1 413 ')
    with Wire(server, chunked('input/read', *[b'x' * 65_536] * 16, b'x')) as wire:
        assert wire.answer().status.startswith('HTTP/1.1 413 ')
        assert wire.rest() == b''


@pytest.mark.parametrize(('name', 'status', 'body', 'length'), [
    ('write', '200 OK', b'abc', None), ('write_known', '200 OK', b'abc', '3'), ('known', '200 OK', b'abc', '3'),
    ('listed', '299 Very well', b'abc', '3'),
    ('late', '503 Busy', b'busy', '4'), ('empty', '204 No Content', b'', None), ('more', '200 OK', b'ab', '2'),
    ('last', '200 OK', b'ab', '2')])
def test_output(server, name, status, body, length):
    answer = out(server, name)
    assert (answer.status, answer.body) == (f'HTTP/1.1 {status}', body)
    headers = {key.lower(): value for key, value in answer.headers.items()}
    assert headers.get('content-length') == length
    assert headers.get('transfer-encoding') == ('chunked' if length is None and body else None)
    assert headers['date']


def test_headers_of_the_handler(server):
    assert {'X-A': 'b', 'Set-Cookie': 'c'}.items() <= out(server, 'listed').headers.items()
    assert out(server, 'known').headers['date'] == 'today'
    last = out(server, 'last').headers
    assert last['Connection'] == 'close'
    assert 'Keep-Alive' not in last
    assert 'X-First' not in out(server, 'late').headers


@pytest.mark.parametrize('name', ['empty', 'same'])
def test_without_body(server, name):
    with Wire(server, request(f'output/create?{name}') + request('output/create?listed')) as wire:
        answer = wire.answer(has_body=False)
        assert not {'Content-Length', 'Transfer-Encoding'} & answer.headers.keys()
        assert wire.answer().body == b'abc'


@pytest.mark.parametrize('name', ['write', 'known', 'listed', 'generated', 'closes', 'large', 'more', 'less'])
def test_head(server, name):
    """The head alone, and the next request is answered after it."""
    asked = request(f'output/create?{name}', method='HEAD')
    with Wire(server, request('output/create?let') + asked + request('output/create?listed')) as wire:
        wire.answer()
        assert wire.answer(has_body=False).status.startswith('HTTP/1.1 2')
        assert wire.answer().body == b'abc'


def test_sent_as_it_comes(server):
    """The first part is there before the second is made, and others are answered meanwhile."""
    with Wire(server, request('output/create?generated')) as wire:
        assert wire.until(b'\r\n\r\n')
        assert wire.chunk() == b'first'
        assert wire.is_silent() or out(server, 'let')
        assert out(server, 'let').body == b'let'
        assert (wire.chunk(), wire.chunk()) == (b'second', b'')


def test_old_clients(server):
    """HTTP/1.0 has no chunks: the end of an unknown length is the end of the connection."""
    for header in ('A: b', 'Connection: keep-alive'):
        with Wire(server, request('output/create?write', b'', header, version='1.0')) as wire:
            head, _, body = wire.rest().partition(b'\r\n\r\n')
            assert body == b'abc'
            assert b'Transfer-Encoding' not in head
            assert b'Connection: close' in head
    with Wire(server, request('output/create?known', b'', 'Connection: keep-alive', version='1.0')) as wire:
        assert wire.answer().headers['Connection'] == 'keep-alive'
        assert wire.is_silent()


@pytest.mark.parametrize('name', ['fails_before', 'fails_first', 'never_starts', 'twice', 'text', 'nothing'])
def test_fails_before_the_head(server, name):
    since = len(server.lines)
    with Wire(server, request(f'output/create?{name}') + request('output/create?listed')) as wire:
        answer = wire.answer()
        assert (answer.status, answer.content) == ('HTTP/1.1 500 Internal Server Error', FAILED)
        assert 'X-First' not in answer.headers
        assert wire.answer().body == b'abc'
    server.wait_for_line('POST /api/v0/output/create failed:', since)


@pytest.mark.parametrize(('name', 'part', 'error'), [
    ('fails_after', b'part', 'ValueError: after the head'), ('too_late', b'sent', 'ZeroDivisionError')])
def test_fails_after_the_head(server, name, part, error):
    """The connection is cut, so that the client sees that something is missing."""
    since = len(server.lines)
    with Wire(server, request(f'output/create?{name}') + request('output/create?listed')) as wire:
        answer = wire.rest()
        assert answer.startswith(b'HTTP/1.1 200 OK\r\n')
        assert answer.endswith(b'\r\n4\r\n%b\r\n' % part)
        assert answer.count(b'HTTP/1.1') == 1
    server.wait_for_line(error, since)
    server.wait_for_line('Traceback', since)


@pytest.mark.parametrize(('name', 'method'), [('fails_after', 'HEAD'), ('fails_whole', 'POST')])
def test_fails_after_the_whole_answer(server, name, method):
    """Nothing is missing, and the head has said that the connection is kept."""
    since = len(server.lines)
    with Wire(server, request(f'output/create?{name}', method=method) + request('output/create?listed')) as wire:
        assert wire.answer(has_body=method != 'HEAD').status == 'HTTP/1.1 200 OK'
        assert wire.answer().body == b'abc'
    server.wait_for_line('ValueError: after the head', since)


def test_less_than_said(server):
    since = len(server.lines)
    with Wire(server, request('output/create?less') + request('output/create?listed')) as wire:
        assert wire.rest().endswith(b'\r\n\r\nab')
    server.wait_for_line('output/create sent less than its Content-Length', since)


def test_close_is_called(server):
    """Once each: at the end, for HEAD, on an error before and after the head, and when the client has gone."""
    def closed():
        return int(out(server, 'closed').body)
    for count, (name, method) in enumerate(
            (('closes', 'POST'), ('closes', 'HEAD'), ('fails_first', 'POST'), ('fails_after', 'POST')), closed() + 1):
        with Wire(server, request(f'output/create?{name}', b'', 'Connection: close', method=method)) as wire:
            wire.rest()
        assert closed() == count, name


@pytest.mark.parametrize(('status', 'headers'), [
    ('200 OK\r\nX: y', []), ('200 OK', [('X', 'a\r\nSet-Cookie: b')]), ('200 OK', [('X', 'a\nb')]),
    ('200 OK', [('X', 'a\rb')]), ('200 OK', [('X', 'a\0b')]), ('200 OK', [('X: y\r\nZ', 'a')]),
    ('200 OK', [('', 'a')]), ('200 OK', [('X Y', 'a')]), ('200 OK', [('X', '\u20ac')]), ('200 OK', [('X\u20ac', 'a')]),
    ('200 \u20ac', []), ('99 OK', []), ('OK', []), ('', []), (200, []),
    ('100 Continue', []), ('101 Switching Protocols', []), ('200 OK', [('X', b'a')]), ('200 OK', [('X', 1)]),
    ('200 OK', [('Content-Length', '1'), ('Content-Length', '1')]),
    ('200 OK', [('Content-Length', '-1')]), ('200 OK', [('Content-Length', '\xb2')]), ('200 OK', None)])
def test_bad_head(server, status, headers):
    """What cannot be a head is an error of the handler, and nothing of it is sent."""
    asked = request('output/read', ascii((status, headers)).encode())
    with Wire(server, asked + request('output/create?listed')) as wire:
        answer = wire.answer()
        assert (answer.status, answer.content) == ('HTTP/1.1 500 Internal Server Error', FAILED)
        assert not {'X', 'Set-Cookie'} & answer.headers.keys()
        assert wire.answer().body == b'abc'


def test_raw_response_alone(server):
    with Wire(server, request('output/update', b'{"a":1}') + request('output/update', b'[]')) as wire:
        assert wire.answer().body == b"{'a': 1}"
        assert wire.answer().status == 'HTTP/1.1 400 Bad Request'


def test_file_wrapper(server):
    assert out(server, 'file').body.decode() == OUTPUT


def test_client_gone_while_streaming(server):
    since = len(server.lines)
    with Wire(server, request('output/create?large')) as wire:
        wire.until(b'\r\n\r\n')
        wire.reset()
    assert out(server, 'listed').body == b'abc'
    assert not [line for line in server.lines[since:] if 'Traceback' in line]


def test_large_answer_in_little_memory(server):
    """200 MB, to a client that reads as fast as it can."""
    before = memory(server)
    with Wire(server, request('output/create?large')) as wire:
        wire.until(b'\r\n\r\n')
        size = 0
        while chunk := wire.chunk():
            size += len(chunk)
    assert size == 200 * 2**20
    assert memory(server, 'VmHWM') - before < 40 * 2**20


def test_large_upload_in_little_memory(server):
    """200 MB through multipart.parse_form_data."""
    edge, size, block = b'--edge', 200 * 2**20, b'x' * 2**20
    disposition = edge + b'\r\nContent-Disposition: form-data; '
    start = disposition + b'name="title"\r\n\r\nT\r\n' + disposition + b'name="file"; filename="f"\r\n\r\n'
    end = b'\r\n' + edge + b'--\r\n'
    out(server, 'listed')
    before = memory(server)
    head = (f'POST /api/v0/upload/create HTTP/1.1\r\nHost: x\r\n'
            f'Content-Type: multipart/form-data; boundary=edge\r\n'
            f'Content-Length: {len(start) + size + len(end)}\r\n\r\n')
    with Wire(server, head.encode() + start) as wire:
        wire.send(b'abc')
        for _ in range(199):
            wire.send(block)
        wire.send(block[6:] + b'def' + end)
        answer = wire.answer()
    assert answer.content == {'title': 'T', 'size': size, 'ends': ['abc', 'def']}
    assert memory(server, 'VmHWM') - before < 40 * 2**20


def test_still_serves(server):
    wait_for(lambda: json.loads(server.ask('/api/v0/valid/read')[2])['REQUEST_METHOD'] == 'POST')
