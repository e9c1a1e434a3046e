"""SERVER.md, Isolation: what one call leaves behind reaches no other, whatever the connections are."""
from contextlib import ExitStack

import pytest

from tests.kit.running import dev, https, production, wait_for, write_tree
from tests.kit.wire import Wire

pytestmark = pytest.mark.once

ECHO = '''
def read(request):
    return request
'''
RAW = '''
from apiphant.server import raw_environ

@raw_environ
def read(environ):
    return {'size': len(environ['wsgi.input'].read()), 'method': environ['REQUEST_METHOD']}
'''
COUNT = '''
import gc

gc.disable()  # what is not dropped at once is seen

NAMES = ('Connection', 'Transport', 'TlsTransport', 'Parser', 'Message')

def read(request):
    """How many of the server's objects there are."""
    found = [type(thing).__name__ for thing in gc.get_objects()]
    return {name: found.count(name) for name in NAMES}
'''
LEAVING = '''
import threading
from contextvars import ContextVar

import gevent
from apiphant.server import raw_environ
from gevent.hub import get_hub
from greenlet import getcurrent

LOCAL = threading.local()
USER = ContextVar('user', default=None)
KEPT = []

def seen():
    return {'local': getattr(LOCAL, 'user', None), 'variable': USER.get(), 'is_new': getcurrent() not in KEPT}

def read(request):
    """What is there of others, at first and after a while."""
    first = seen()
    gevent.sleep(request.get('seconds', 0))
    return {'seen': first if seen() == first else None, 'number': request.get('number')}

def create(request):
    """Leaves all kinds of things behind."""
    if request.get('seconds'):
        gevent.Timeout(request.seconds).start()
    LOCAL.user = 'somebody'
    USER.set('somebody')
    KEPT.append(getcurrent())
    gevent.sleep(request.get('waits', 0))
    return {}

@raw_environ
def update(environ):
    return create({})

def delete(request):
    """Does something to whatever is remembered."""
    for remembered in KEPT:
        if request.what == 'kill':
            gevent.kill(remembered)
        elif request.what == 'throw':
            get_hub().loop.run_callback(remembered.throw, ValueError('stray'))
        else:
            get_hub().loop.run_callback(remembered.switch, 'stray')
    return {}
'''
FILES = {'echo': ECHO, 'raw': RAW, 'count': COUNT, 'leaving': LEAVING}
KINDS = ('production', 'tls', 'dev')
NUMBERS = (1, 2, 12)  # of the connections that come after a fault, or with it


@pytest.fixture(scope='module')
def product(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('isolation'), {
        f'shop/api/v0/{name}.py': text for name, text in FILES.items()}) / 'shop'


@pytest.fixture(scope='module', params=KINDS)
def server(request, product, tmp_path_factory):
    start = {
        'production': lambda: production(product), 'dev': lambda: dev(product),
        'tls': lambda: https(product, tmp_path_factory.mktemp('tls'))}
    with start[request.param]() as running:
        yield running
        assert running.end() == 0


def post(path, body=b'{}', *headers, method='POST'):
    return '\r\n'.join([
        f'{method} /api/v0/{path} HTTP/1.1', 'Host: localhost', f'Content-Length: {len(body)}', *headers, '',
        '']).encode() + body


def check_others(server, number):
    """So many others, side by side, are told what they sent, twice each, and nothing else."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for _ in range(number)]
        for turn in (b'1', b'2'):
            for index, wire in enumerate(wires):
                wire.send(post('echo/read', b'{"turn":%b,"index":%d}' % (turn, index), 'Authorization: secret'))
            for index, wire in enumerate(wires):
                assert wire.answer().content == {'turn': int(turn), 'index': index}
        assert wires[0].is_silent()


# Parsers

CONNECTS = (b'\r\n', b'Content-Length: 100\r\n\r\n', b'Content-Length: 10\r\n\r\n{"a": "b"}',
            b'Transfer-Encoding: chunked\r\n\r\n',
            b'Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 100\r\n\r\n', b'\r\n' + post('echo/read') * 2)


STATUSES = {'echo/read': '501', 'raw/read': '200', 'none/read': '404'}


def open_all(stack, server, number, requests):
    """So many connections for each of the requests, by connection."""
    return {stack.enter_context(Wire(server, data)): data for data in requests for _ in range(number)}


def connect(path, more):
    return b'CONNECT /api/v0/%b HTTP/1.1\r\nHost: localhost\r\n' % path.encode() + more


@pytest.mark.parametrize('number', NUMBERS)
def test_connect(server, number):
    """It has no body, one answer, and is the last on its connection."""
    requests = {connect(path, more): status for path, status in STATUSES.items() for more in CONNECTS}
    with ExitStack() as stack:
        wires = open_all(stack, server, number, requests)
        check_others(server, number)
        for wire, data in wires.items():
            answer = wire.answer()
            assert (answer.status.split()[1], answer.headers.get('Connection')) == (requests[data], 'close'), data
            assert b'raw' not in data or answer.content == {'size': 0, 'method': 'CONNECT'}
        for wire, data in wires.items():
            assert wire.rest() == b'', data


TRAILERS = (
    b'Connection: close', b'connection: x, close', b'Proxy-Connection: close', b'Connection: upgrade\r\nUpgrade: x',
    b'X: y')


SECOND = post('echo/read', b'{"second":1}')


def chunked(path, trailer):
    head = f'POST /api/v0/{path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'.encode()
    return head + b'2\r\n{}\r\n0\r\n%b\r\n\r\n' % trailer


@pytest.mark.parametrize('number', NUMBERS)
@pytest.mark.parametrize('is_pipelined', [False, True])
def test_trailer(server, is_pipelined, number):
    """It may end the connection, and then the answer says so; else what follows is answered too."""
    requests = [chunked(path, trailer) + (SECOND if is_pipelined else b'') for path in STATUSES for trailer in TRAILERS]
    with ExitStack() as stack:
        wires = open_all(stack, server, number, requests)
        check_others(server, number)
        for wire, data in wires.items():
            answer = wire.answer()
            assert answer.status == ('HTTP/1.1 404 Not Found' if b'none' in data else 'HTTP/1.1 200 OK'), data
            if answer.headers.get('Connection') == 'close':
                assert b'close\r' in data
                assert wire.rest() == b''
            else:
                wire.send(b'' if is_pipelined else SECOND)
                assert wire.answer().content == {'second': 1}
    check_others(server, number)


@pytest.mark.parametrize('body', [b'', b'{"a": "' + b'b' * 50_000])
@pytest.mark.parametrize('path', ['echo/read', 'raw/read', 'none/read'])
def test_nothing_is_kept(server, path, body):
    """Of a client that left, whatever of its request was there; and of those that rest, no more than a connection."""
    counted = server.read('count')
    kind = 'TlsTransport' if server.tls else 'Transport'
    head = b'POST /api/v0/%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n' % path.encode()
    with ExitStack() as stack:
        resting = [stack.enter_context(Wire(server, post('echo/read', b'{"a":1}'))) for _ in range(10)]
        assert {wire.answer().status for wire in resting} == {'HTTP/1.1 200 OK'}
        for sent in (
                head + body, head[:-2], head[:-2] + b'A: b', head[:-2] + b'A : b', head.replace(b'100000', b'9000000')):
            with ExitStack() as leaving:
                for _ in range(10):
                    leaving.enter_context(Wire(server, sent))
        more = {**counted, 'Connection': counted['Connection'] + 10, kind: counted[kind] + 10}
        wait_for(lambda: server.read('count') == more, f'{more}, not {server.read("count")}')
    wait_for(lambda: server.read('count') == counted, f'{counted}, not {server.read("count")}')


# Greenlets

CLEAN = {'local': None, 'variable': None, 'is_new': True}
LEFT = (
    post('leaving/create', b'{"seconds":0.2}'), post('leaving/create', b'{"seconds":0.2,"waits":0.01}'),
    post('leaving/update'))


def check_clean(wires, seconds=0.5):
    """A call on each, at once, sees nothing of others and is not disturbed for so long."""
    for number, wire in enumerate(wires):
        wire.send(post('leaving/read', b'{"seconds":%.1f,"number":%d}' % (seconds, number)))
    for number, wire in enumerate(wires):
        answer = wire.answer()
        assert (answer.status, answer.content) == ('HTTP/1.1 200 OK', {'seen': CLEAN, 'number': number})


def leave(stack, server, number):
    """Connections whose calls have left something behind."""
    wires = [stack.enter_context(Wire(server)) for _ in range(number)]
    for left in LEFT:
        for wire in wires:
            wire.send(left)
        assert {wire.answer().status for wire in wires} == {'HTTP/1.1 200 OK'}
    return wires


@pytest.mark.parametrize('number', NUMBERS)
def test_left_to_strangers(server, number):
    with ExitStack() as stack:
        leave(stack, server, number)
        check_clean([stack.enter_context(Wire(server)) for _ in range(number)])


@pytest.mark.parametrize('number', NUMBERS)
def test_left_to_the_same_connection(server, number):
    """Behind a proxy its next call is a stranger's too."""
    with ExitStack() as stack:
        wires = leave(stack, server, number)
        for seconds in (0, 0.5, 0):
            check_clean(wires, seconds)


@pytest.mark.parametrize('left', LEFT)
@pytest.mark.parametrize('number', NUMBERS)
def test_left_in_a_pipeline(server, left, number):
    with ExitStack() as stack:
        wires = [
            stack.enter_context(Wire(server, (left + post('leaving/read', b'{"seconds":0.4}')) * 3))
            for _ in range(number)]
        for wire in wires:
            for _ in range(3):
                assert wire.answer().content == {}
                assert wire.answer().content == {'seen': CLEAN, 'number': None}


@pytest.mark.parametrize('number', NUMBERS)
@pytest.mark.parametrize('what', ['kill', 'throw', 'switch'])
def test_remembered_greenlet(server, what, number):
    """Of a call that has ended: nobody is hit by what is done to it."""
    with ExitStack() as stack:
        wires = leave(stack, server, number) + [stack.enter_context(Wire(server)) for _ in range(number)]
        for index, wire in enumerate(wires):
            wire.send(post('leaving/read', b'{"seconds":0.5,"number":%d}' % index))
        for _ in range(2):
            assert server.post('/api/v0/leaving/delete', {'what': what}) == (200, {})
        for index, wire in enumerate(wires):
            assert wire.answer().content == {'seen': CLEAN, 'number': index}
