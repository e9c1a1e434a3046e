"""Connections that interleave pieces of any requests, and leave in any phase: nothing of one reaches another.

The server is a real one of one worker, plain and TLS. Each request has a token of its own, in a header and in its body
where it has one. What comes back on a connection has that connection's tokens only, in their order; a canary is
answered after each step; and at the end the worker has no more connections, parsers, greenlets and descriptors than at
the start. A fixed set by default; APIPHANT_MODEL_EXAMPLES=N tries so many others. APIPHANT_MODEL_CODE, a folder, names
another apiphant to serve with, APIPHANT_MODEL_PATIENCE the seconds after which nothing more is waited for, and
APIPHANT_MODEL_WITHOUT a pattern of requests to leave out, since they have a fault that is known.
"""
import json
import os
import re
import ssl
from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.running import clean_environment, https, production, wait_for, write_tree
from tests.kit.wire import Wire, memory

pytestmark = pytest.mark.once

EXAMPLES = int(os.environ.get('APIPHANT_MODEL_EXAMPLES', '0'))
CODE = os.environ.get('APIPHANT_MODEL_CODE')
WITHOUT = os.environ.get('APIPHANT_MODEL_WITHOUT', '')
PATIENCE = float(os.environ.get('APIPHANT_MODEL_PATIENCE', '30'))
PROFILE = settings(
    derandomize=not EXAMPLES, database=None, deadline=None, max_examples=EXAMPLES or 150, print_blob=False,
    suppress_health_check=list(HealthCheck))

ECHO = '''
import gevent

def read(request):
    return request

def create(request):
    gevent.sleep(0.005)
    return request

def update(request):
    """Leaves something for whoever comes next."""
    gevent.Timeout(0.003).start()
    return request
'''
RAW = '''
import gevent
from apiphant.server import raw_environ, raw_response

def told(environ, start_response, body):
    start_response('200 OK', [('X-Token', environ.get('HTTP_X_TOKEN', ''))])
    return [body]

@raw_environ
@raw_response
def read(environ, start_response):
    return told(environ, start_response, environ['wsgi.input'].read())

@raw_environ
@raw_response
def create(environ, start_response):
    """Reads half, and answers what it was told in the header."""
    environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 20) // 2)
    return told(environ, start_response, environ.get('HTTP_X_TOKEN', '').encode())

@raw_environ
@raw_response
def update(environ, start_response):
    """Answers piece by piece."""
    body = environ['wsgi.input'].read()
    told(environ, start_response, b'')
    for start in range(0, len(body), 50):
        gevent.sleep(0)
        yield body[start:start + 50]

@raw_environ
@raw_response
def delete(environ, start_response):
    """Fails after the head."""
    told(environ, start_response, b'')
    yield environ.get('HTTP_X_TOKEN', '').encode()
    raise ValueError('as it should')
'''
COUNT = '''
import gc
import os
from collections import Counter
from apiphant.server import raw_environ

@raw_environ
def read(environ):
    """How many of the server's objects there are, and descriptors."""
    gc.collect()
    things = gc.get_objects()
    names = Counter(f'{type(thing).__module__}.{type(thing).__name__}' for thing in things)
    prefixes = ('apiphant.', 'greenlet.', 'gevent.', 'httptools')
    ours = {name: number for name, number in names.items() if name.startswith(prefixes)}
    return {**ours, 'descriptors': len(os.listdir('/proc/self/fd')), 'objects': len(things)}
'''
FILES = {'echo': ECHO, 'raw': RAW, 'count': COUNT}
REMEMBERED = ('gevent._gevent_cgreenlet', 'Head', 'functools')  # kept on purpose, within bounds of their own
GROWTH = 20_000  # objects in all, and bytes are below
BYTES = 64 * 2 ** 20
TOKEN = re.compile(rb'token-[0-9]+-')
NUMBERS = count(1)
LEFT = (ConnectionResetError, BrokenPipeError, ssl.SSLError)

# What is asked

PATHS = ('echo/read', 'echo/create', 'echo/update', 'raw/read', 'raw/create', 'raw/update', 'raw/delete', 'none/read')
SIMPLE = ('echo/read', 'echo/create', 'raw/read', 'raw/update')
METHODS = ('POST', 'GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'PROPFIND')
KEEPING = ('', 'Expect: 100-continue', 'Connection: keep-alive', 'Cookie: a=b', 'X-Long: ' + 'x' * 5000)
CLOSING = (
    'Connection: close', 'Connection: upgrade\r\nUpgrade: h2c', 'Upgrade: websocket\r\nConnection: keep-alive, Upgrade',
    'Upgrade: a')
TRAILERS = ('', 'X: y', 'Connection: close', 'connection: x, close', 'Proxy-Connection: close', 'Content-Length: 5',
            'Transfer-Encoding: chunked',
            'Host: y', 'X-Token: z', 'Connection: upgrade\r\nUpgrade: x', 'Expect: 100-continue', 'A: ' + 'a' * 5000)
HARMLESS = ('', 'X: y', 'Host: y', 'X-Token: z', 'A: ' + 'a' * 5000)
FRAMING = ('Content-Length: 5', 'Transfer-Encoding: chunked')  # trailers that may be refused
LINE = 'POST /api/v0/echo/read HTTP/1.1\r\n'
BROKEN = (
    LINE + '\r\n', LINE + 'Host: x\r\nHost: y\r\n\r\n', LINE + 'Host : x\r\n\r\n',
    LINE + 'Host: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
    LINE + 'Host: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}',
    LINE + 'Host: x\r\nTransfer-Encoding: gzip\r\n\r\n',
    LINE + 'Host: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    LINE + 'Host: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}zz\r\n',
    LINE + 'Host: x\r\nContent-Length: 99999999\r\n\r\n', LINE + 'Host: x\r\nExpect: x\r\nContent-Length: 2\r\n\r\n{}',
    LINE + 'Host: x\r\nContent-Length: -1\r\n\r\n', LINE.replace('1.1', '2.0') + 'Host: x\r\n\r\n',
    'GET * HTTP/1.1\r\nHost: x\r\n\r\n',
    'SSH-2.0-x\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'POST /' + 'a' * 9000 + ' HTTP/1.1\r\n\r\n',
    LINE + 'Host: x\r\n' + 'A: b\r\n' * 120 + '\r\n', LINE + 'Host: x\r\nA: \x00\r\n\r\n',
    LINE + 'Host: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA b\r\n\r\n')


class Ask(NamedTuple):
    """A request that is well formed."""
    path: str
    method: str = 'POST'
    more: str = ''
    trailer: str | None = None  # None: not chunked
    size: int = 0
    has_body: bool = True
    version: str = '1.1'

    @property
    def is_plain(self) -> bool:
        return self.path.startswith('echo')

    @property
    def keeps(self) -> bool:
        """Whether the connection has to be kept."""
        is_read = self.path in (*SIMPLE, 'echo/update')
        is_calm = self.more in KEEPING and (self.trailer is None or self.trailer in HARMLESS)
        return is_read and is_calm and self.version == '1.1' and self.method != 'CONNECT' and (
            self.method == 'POST' or not self.is_plain)

    @property
    def statuses(self) -> tuple[int, ...]:
        if self.path.startswith('none'):
            return (404, 400)
        refused = (400,) if self.trailer in FRAMING else ()
        return (501 if self.is_plain and self.method != 'POST' else 200, *refused)

    def content(self, token: bytes) -> bytes:
        return json.dumps({'token': token.decode(), 'pad': 'x' * self.size}).encode() if self.sends_body else b''

    @property
    def sends_body(self) -> bool:
        return self.has_body and self.method != 'CONNECT'

    def data(self, token: bytes) -> bytes:
        body = self.content(token)
        lines = [
            f'{self.method} /api/v0/{self.path} HTTP/{self.version}', 'Host: x', f'X-Token: {token.decode()}',
            *filter(None, [self.more])]
        if self.sends_body and self.trailer is not None:
            return '\r\n'.join([*lines, 'Transfer-Encoding: chunked', '', '']).encode() + self._chunks(body)
        lines += [f'Content-Length: {len(body)}'] if self.sends_body else []
        return '\r\n'.join([*lines, '', '']).encode() + body

    def _chunks(self, body: bytes) -> bytes:
        parts = [body[start:start + 40 + self.size // 3] for start in range(0, len(body), 40 + self.size // 3)]
        trailer = f'{self.trailer}\r\n' if self.trailer else ''
        return b''.join(b'%x\r\n%b\r\n' % (len(part), part) for part in parts) + f'0\r\n{trailer}\r\n'.encode()

    def check(self, answer, token: bytes) -> None:
        status = int(answer.status.split()[1])
        assert status in self.statuses, (self, answer)
        if status == 200 and not self.is_plain:
            assert answer.headers['X-Token'] == token.decode(), (self, answer)
        if status == 200 and self.method not in ('HEAD', 'CONNECT'):
            found = token if self.path in ('raw/create', 'raw/delete') else self.content(token)
            assert answer.body == found or (
                self.is_plain and json.loads(answer.body) == json.loads(found or b'{}')), (self, answer)


class Break(NamedTuple):
    """A request that has to be refused, and to be the last of its connection."""
    number: int
    keeps = False
    method = 'POST'
    path = ''

    def data(self, token: bytes) -> bytes:
        return BROKEN[self.number].encode('latin-1')

    def check(self, answer, token: bytes) -> None:
        assert 400 <= int(answer.status.split()[1]) < 600, (self, answer)
        assert is_last(answer), (self, answer)


def is_last(answer) -> bool:
    return answer.headers.get('Connection') == 'close'


def asks(**fixed):
    given = {'path': st.sampled_from(PATHS), 'method': st.just('POST'), 'more': st.sampled_from(KEEPING + CLOSING),
             'trailer': st.none() | st.sampled_from(TRAILERS), 'size': st.sampled_from((0, 0, 100, 5000, 70_000)),
             'has_body': st.just(True),
             'version': st.just('1.1')}
    return st.builds(Ask, **{**given, **fixed})


def is_wanted(request: Ask | Break) -> bool:
    return not WITHOUT or not re.search(WITHOUT, repr(request))


REQUESTS = st.one_of(
    asks(more=st.sampled_from(KEEPING)), asks(), asks(method=st.sampled_from(METHODS), has_body=st.booleans()),
    asks(trailer=st.none(), version=st.just('1.0'), more=st.sampled_from(('', 'Connection: keep-alive'))),
    st.builds(Break, st.integers(0, len(BROKEN) - 1))).filter(is_wanted)


# What is done


@dataclass(frozen=True)
class Step:
    """Put a request, if any, behind what a connection has to send; send some of that; and then what is said."""
    connection: int
    request: Ask | Break | None
    portion: int  # of 100
    then: str


STEPS = st.lists(
    st.builds(Step, st.integers(0, 5), st.none() | REQUESTS | REQUESTS,
              st.sampled_from((100, 100, 100, 0, 10, 50, 90, 99)),
              st.sampled_from(('', '', 'read', 'read', 'fin', 'reset', 'half'))),
    min_size=1, max_size=25)


class Client(Wire):
    """A connection with what it has to send, and the requests that it waits for the answers of."""

    def __init__(self, server) -> None:
        self.tokens: set[bytes] = set()
        self.asked: deque[tuple[Ask | Break, bytes, int]] = deque()  # with their ends in what is sent
        self.is_over = False  # nothing more can be sent or is awaited
        self.is_half_closed = False
        self._may_end = False  # since a request that is no plain one has been sent
        self._put = self._sent = 0
        self._unsent = b''
        super().__init__(server)
        self.socket.settimeout(PATIENCE)

    def put(self, request: Ask | Break) -> None:
        token = b'token-%d-' % next(NUMBERS)
        data = request.data(token)
        self.tokens.add(token)
        self._unsent += data
        self._put += len(data)
        self.asked.append((request, token, self._put))

    def push(self, portion: int) -> None:
        size = -(-len(self._unsent) * portion // 100)
        if self.is_over or self.is_half_closed or not size:
            return
        self._may_end = self._may_end or any(not request.keeps for request, _, _ in self.asked)
        try:
            self.send(self._unsent[:size])
        except LEFT:
            assert self._may_end, 'it was closed'
            self.is_over = True
        self._sent += size
        self._unsent = self._unsent[size:]

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except LEFT:
            assert self._may_end, 'it was reset'
            data = b''
        found = {*TOKEN.findall(self._buffer + data)}
        assert found <= self.tokens, f'{found - self.tokens} is of others'
        self._buffer += data
        return bool(data)

    def read(self) -> None:
        """The answers of what is sent wholly."""
        while self.asked and self.asked[0][2] <= self._sent and not self.is_over:
            request, token, _ = self.asked.popleft()
            self._read_one(request, token)

    def _read_one(self, request: Ask | Break, token: bytes) -> None:
        try:
            answer = self._final(request)
        except AssertionError as error:
            # a handler that fails after the head, or a reset that overtook the answer
            assert not request.keeps, (request, error)
            assert request.path == 'raw/delete' or isinstance(request, Break) or self._may_end
            self.is_over = True
            return
        request.check(answer, token)
        assert not (request.keeps and is_last(answer)) or self.is_half_closed, (request, answer)
        if is_last(answer):
            self.is_over = True
            has_ended = not isinstance(self.socket.fileno(), int) or self._ends()
            assert has_ended, f'more came after {request}: {self._buffer!r}'

    def _ends(self) -> bool:
        """Nothing more comes; over TLS the end may come later."""
        self.socket.settimeout(0.001 if hasattr(self.socket, 'context') else PATIENCE)
        try:
            while self._more():
                pass
        except TimeoutError:
            assert hasattr(self.socket, 'context')
        return not self._buffer

    def _final(self, request: Ask | Break):
        while True:
            answer = self.answer(request.method != 'HEAD')
            if answer.status.startswith('HTTP/1.1 1'):
                continue
            is_until_the_end = is_last(answer) and not {'Content-Length', 'Transfer-Encoding'} & {*answer.headers}
            return answer._replace(body=self.rest()) if is_until_the_end and request.method != 'HEAD' else answer

    def leave(self, how: str) -> None:
        if how == 'half' and not self.is_over and not hasattr(self.socket, 'context'):
            self.push(100)
            self.is_half_closed = True
            try:
                self.half_close()
            except OSError:
                assert self._may_end
            self.read()
        if how == 'reset':
            self.reset()
        self.socket.close()


class World:
    """A server, and what is done to it."""

    def __init__(self, start) -> None:
        self._start = start
        self._context = None

    def open(self) -> None:
        self._context = self._start()
        self.server = self._context.__enter__()
        self.canary = Wire(self.server)
        self.canary.socket.settimeout(PATIENCE)
        self.run([Step(number, Ask(path), 100, 'read') for number, path in enumerate(PATHS) if path in SIMPLE])
        for kind in (Ask('raw/delete'), Ask('none/read'), Break(0)):
            self.run([Step(0, kind, 100, 'read')])
        self.start = self.counts()
        self.memory = memory(self.server)

    def close(self) -> None:
        if self._context:
            self.canary.socket.close()
            self.server.process.kill() if PATIENCE < 30 else None
            self._context.__exit__(None, None, None)
        self._context = None

    def try_out(self, steps) -> None:
        """A server that has failed is not used again."""
        if not self._context:
            self.open()
        try:
            self.run(steps)
            self.settle()
        except BaseException:
            self.server.process.kill()
            self.close()
            raise

    def run(self, steps) -> None:
        clients: dict[int, Client] = {}
        try:
            for step in steps:
                self._do(clients, step)
                self.check_canary()
            for client in clients.values():
                client.push(100)
            for client in clients.values():
                client.read()
        finally:
            for client in clients.values():
                client.socket.close()
        self.check_canary(is_new=True)

    def _do(self, clients, step) -> None:
        if step.connection not in clients:
            clients[step.connection] = Client(self.server)
        client = clients[step.connection]
        if step.request:
            client.put(step.request)
        client.push(step.portion)
        if step.then == 'read':
            client.read()
        elif step.then:
            clients.pop(step.connection).leave(step.then)

    def check_canary(self, is_new: bool = False) -> None:
        """Somebody else is answered, and with what is theirs."""
        wire = self.canary
        if is_new or not hasattr(wire.socket, 'context'):
            wire = Wire(self.server)
            wire.socket.settimeout(PATIENCE)
        token = b'token-%d-' % next(NUMBERS)
        request = Ask('echo/read')
        wire.send(request.data(token))
        try:
            request.check(wire.answer(), token)
        except TimeoutError:
            raise AssertionError('the canary is not answered: the worker is deaf') from None
        if wire is not self.canary:
            wire.socket.close()

    def counts(self):
        return self.server.post('/api/v0/count/read')[1]

    def settle(self) -> None:
        """All that was there for connections is gone."""
        wait_for(lambda: not self.grown(), 'nothing to be left', PATIENCE) if self.grown() else None

    def grown(self):
        now = self.counts()
        return {name: (self.start.get(name, 0), number) for name, number in now.items()
                if number > self.start.get(name, 0) + (GROWTH if name == 'objects' else 0) and not any(
                    part in name for part in REMEMBERED)}


def make(kind, product, folder):
    place = {'cwd': product.parent, 'env': clean_environment(**({'PYTHONPATH': CODE} if CODE else {}))}
    start = partial(production, product) if kind == 'plain' else partial(https, product, folder)
    return World(partial(start, **place))


@pytest.mark.parametrize('kind', ['plain', 'tls'])
@pytest.mark.timeout(0)
def test_any_connections(kind, tmp_path):
    product = write_tree(tmp_path, {f'shop/api/v0/{name}.py': text for name, text in FILES.items()}) / 'shop'
    world = make(kind, product, tmp_path)
    tried = count(1)

    @PROFILE
    @given(STEPS)
    def try_all(steps):
        number = next(tried)
        try:
            world.try_out(steps)
        except BaseException as error:
            print(f'{kind}: example {number}: {" ".join(str(error).split()) or repr(error)}')
            raise

    try:
        world.open()
        try_all()
        assert memory(world.server) - world.memory < BYTES
    finally:
        world.close()
