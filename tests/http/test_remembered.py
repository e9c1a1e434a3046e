"""Heads that need no parser: whatever is said of one is what the parser says, the first time and every time after."""
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apiphant.api.actions import Action
from apiphant.api.application import Application
from apiphant.http import remembered
from apiphant.http.parser import Parser
from apiphant.http.remembered import Remembered
from tests.http import test_fuzz, test_parser

MAX_BODY = test_parser.MAX_BODY
ROUTES = {'/a': Action(lambda request: request), '/raw': Action(lambda environ: {}, raw_environ=True, max_body=100)}
PROFILE = settings(
    derandomize=True, database=None, deadline=None, max_examples=3000, suppress_health_check=list(HealthCheck))
SAID = (
    'method', 'target', 'path', 'version', 'action', 'keep_alive', 'origin', 'host', 'headers', 'is_complete',
    'is_chunked', 'expects_continue', 'offers_upgrade', 'refusal')


class Owner:
    def __init__(self):
        self.ends = []

    def begun(self, message):
        message.action = ROUTES.get(message.path)
        message.limit = (message.action and message.action.max_body) or MAX_BODY
        message.is_kept = message.action is not None

    def ended(self, message):
        self.ends.append(message)


def parsed(data):
    """The first request in it; None if none is whole."""
    owner = Owner()
    Parser(owner).feed(data)
    return owner.ends[0] if owner.ends else None


def said(message):
    return {**{name: getattr(message, name) for name in SAID}, 'body': b''.join(message.body)}


def check(known, data):
    """That what is known of it is the truth. Returns whether something is."""
    message = known.take(data, 0)
    if message is None:
        return False
    truth = parsed(data)
    assert truth is not None
    assert said(message) == said(truth)
    assert parsed(data[:message.end]) is not None, 'it ends later'
    assert parsed(data[:message.end - 1]) is None, 'it ends before'
    return True


def fresh(routes=ROUTES):
    return Remembered(Application(routes), MAX_BODY)


GOOD = b'POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n{ }'
CASES = {**test_parser.TAKEN, **test_parser.REFUSED}


@pytest.mark.parametrize('name', CASES)
def test_conformance(name):
    """Each case thrice in a row, and after others that look like it."""
    data = CASES[name][0]
    known = fresh()
    for _ in range(3):
        check(known, data)
    for line in data.split(b'\r\n'):
        for alike in (GOOD, GOOD.replace(b'Content-Type: a/b', line), line + b'\r\n' + GOOD.partition(b'\r\n')[2]):
            for _ in range(2):
                check(known, alike)
    check(known, data)


@pytest.mark.parametrize('name', test_parser.REFUSED)
def test_refused_is_never_known(name):
    assert fresh().take(test_parser.REFUSED[name][0], 0) is None


@pytest.mark.parametrize('data', [
    GOOD, GOOD * 2, GOOD.replace(b'1.1', b'1.0'), GOOD.replace(b'Content-Length: 3', b'Connection: close'),
    GOOD.replace(b'POST /a', b'GET /none?a=b'), GOOD.replace(b'/a', b'/raw'),
    GOOD.replace(b'Host: x', b'host:\tx:80 '), GOOD.replace(b'Content-Type: a/b', b'Origin: HTTP://x'),
    GOOD.replace(b'a/b', b'\xe9\t'), GOOD.replace(b'POST', b'HEAD')])
def test_is_known(data):
    """What is plain needs no parser, from the first time on."""
    known = fresh()
    assert [check(known, data) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize('line', [
    b'Connection: close', b'Proxy-Connection: close', b'Connection: x, close', b'Upgrade: h2c', b'Expect: 100-continue',
    b'Content-Length: 4', b'Transfer-Encoding: chunked', b'Origin: null', b'Host: y', b'Trailer: x', b'Te: trailers'])
def test_line_with_a_meaning(line):
    known = fresh()
    for _ in range(3):
        check(known, GOOD.replace(b'Content-Type: a/b', line))


LINES = st.sampled_from([
    b'Host: x', b'host:x', b'Host: x, y', b'Host: a@b', b'HOST:\t[::1]:80 ', b'Content-Length: 3', b'Content-Length:3',
    b'content-length: 0', b'Content-Length: 03', b'Content-Length: 3, 3', b'Content-Length: +3',
    b'Content-Length: 2000', b'Content-Length: 200', b'Transfer-Encoding: chunked', b'Transfer-Encoding: x',
    b'Connection: close', b'Connection: Keep-Alive', b'connection: close, x', b'Connection: upgrade',
    b'Connection:', b'Proxy-Connection: close', b'Keep-Alive: 5', b'Upgrade: h2c', b'Expect: 100-continue',
    b'Expect: x', b'Origin: http://x', b'origin:null', b'Origin:', b'Accept: */*', b'X-Request-Id: 1', b'A: \xe9',
    b'A:', b'A : b', b' A: b', b'A', b'A: b\rC: d', b'A: b\nC: d', b'A: \x00', b'A: \x7f', b': b', b'A\x80: b',
    b'A: b ', b'A_B: c', b'', b'Te: trailers', b'Trailer: X', b'HTTP2-Settings: x', b'Content-Length : 3'])
REQUESTS = st.builds(
    lambda method, target, version: b' '.join((method, target, version)),
    st.sampled_from([
        b'POST', b'GET', b'HEAD', b'OPTIONS', b'PUT', b'PATCH', b'DELETE', b'CONNECT', b'TRACE', b'SOURCE', b'post',
        b'PRI', b'POST ']),
    st.sampled_from([
        b'/a', b'/raw', b'/none', b'/a?b=c', b'/a#b', b'/', b'*', b'http://x/a', b'//a', b'/a%20b', b'/\xe9', b'/a b',
        b'a', b'/a"<>', b'/a|b', b'']),
    st.sampled_from([
        b'HTTP/1.1', b'HTTP/1.1', b'HTTP/1.0', b'HTTP/1.2', b'HTTP/2.0', b'RTSP/1.0', b'ICE/1.0', b'http/1.1',
        b'HTTP/1.1 ', b'HTTP/1']))
HEADS = st.builds(
    lambda request, lines, body: b'\r\n'.join((request, *lines, b'', b'')) + body, REQUESTS,
    st.lists(LINES, max_size=6), st.binary(max_size=8))



def plain(method, target, lines, length):
    return b'%b %b HTTP/1.1\r\n%b\r\nContent-Length: %d\r\n\r\n%b' % (
        method, target, b'\r\n'.join(lines), length, b'a' * length)


PLAIN = st.builds(
    plain,
    st.sampled_from([b'POST', b'GET', b'HEAD', b'OPTIONS', b'PUT']),
    st.sampled_from([b'/a', b'/raw', b'/none', b'/a?b=c']),
    st.lists(
        st.sampled_from([
            b'Accept: */*', b'X-Request-Id: 1', b'A: \xe9', b'A:', b'A: b ', b'Connection: close',
            b'Origin: null']), max_size=4).map(lambda lines: [b'Host: x', *lines]), st.integers(0, 120))


@PROFILE
@given(st.lists(HEADS | PLAIN | test_fuzz.mutated(), min_size=1, max_size=4))
@example([b'GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n'])
def test_says_what_the_parser_says(requests):
    """Whatever was seen before."""
    known = fresh()
    for data in requests * 3:
        check(known, data)


def test_most_plain_heads_are_known():
    """The differential test compares something."""
    found = []

    @settings(PROFILE, max_examples=300)
    @given(PLAIN)
    def counting(data):
        found.append(check(fresh(), data))
    counting()
    assert sum(found) > 150


def test_swap_of_routes():
    """What was known of actions is forgotten."""
    application = Application(ROUTES)
    known = Remembered(application, MAX_BODY)
    for _ in range(3):
        assert known.take(GOOD, 0).action is ROUTES['/a']
    application.routes = {}
    assert known.take(GOOD, 0).action is None
    application.routes = {'/a': ROUTES['/raw']}
    assert known.take(GOOD, 0).action is ROUTES['/raw']


def test_bounds():
    """However many heads and lines come, and how long they are."""
    known = fresh()
    for number in range(5000):
        data = GOOD.replace(b'a/b', b'%d' % number).replace(b'/a', b'/a?%d' % number)
        for _ in range(2):
            assert check(known, data) if number % 500 == 0 else known.take(data, 0)
        assert known.take(GOOD.replace(b'a/b', b'a' * (remembered.LONGEST + number)), 0) is None
    held = [known._heads, known._seen, known._requests, known._effects]
    assert [len(kept) for kept in held] <= [remembered.HEADS, remembered.SEEN, remembered.HEADS, remembered.LINES]
    assert all(len(line) <= remembered.LONGEST_LINE for line in (*known._requests, *known._effects))
    assert all(len(head) <= remembered.LONGEST for head in known._heads)


def test_own_headers():
    """No message has another's list."""
    known = fresh()
    for _ in range(3):
        known.take(GOOD, 0).headers.append((b'a', b'b'))
    assert len(known.take(GOOD, 0).headers) == 3
