"""Bytes in, messages and refusals out: each rule in one piece, byte by byte, and in random pieces."""
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiphant.http.message import Refusal
from apiphant.http.parser import CHUNK_OVERHEAD, Parser
from apiphant.http.rules import FIELDS, HEADERS, REQUEST_LINE

MAX_BODY = 1000
LINE = b'POST /a HTTP/1.1\r\n'
HOST = b'Host: x\r\n'
CHUNKED = LINE + HOST + b'Transfer-Encoding: chunked\r\n\r\n'
RANDOM_PIECES = settings(deadline=None, derandomize=True, database=None, max_examples=15)


class Owner:
    """Gathers what the parser tells; takes bodies up to a limit."""

    def __init__(self, is_kept=True):
        self.begin, self.ends, self.is_kept = [], [], is_kept

    def begun(self, message):
        message.limit, message.is_kept = MAX_BODY, self.is_kept
        self.begin.append(message)

    def ended(self, message):
        self.ends.append(message)


def parse(*pieces, **options):
    """What came of the pieces, and the parser."""
    owner = Owner(**options)
    parser = Parser(owner)
    for piece in pieces:
        parser.feed(piece)
    return owner, parser


def outcome(*pieces):
    """Of each request: the status of its refusal, or what it is."""
    return [
        message.refusal.status if message.refusal else (message.method, message.path, b''.join(message.body))
        for message in parse(*pieces)[0].ends]


def cut(data, places):
    """The data in pieces that end at the places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def each_way(data):
    """The outcome, which is the same however the data comes."""
    whole = outcome(data)
    assert outcome(*(data[n:n + 1] for n in range(len(data)))) == whole

    @RANDOM_PIECES
    @given(st.lists(st.integers(0, 2**20), max_size=8))
    def in_pieces(places):
        assert outcome(*cut(data, places)) == whole
    in_pieces()
    return whole


def with_headers(*lines, line=LINE, body=b''):
    return line + b''.join(header + b'\r\n' for header in lines) + b'\r\n' + body


def post(*lines, body=b''):
    return with_headers(b'Host: x', *lines, body=body)


def get(target, version=b'1.1', method=b'GET'):
    return b'%b %b HTTP/%b\r\nHost: x\r\n\r\n' % (method, target, version)


def long_target(size):
    """A request whose line has so many bytes."""
    return get(b'/' + b'a' * (size - len('GET / HTTP/1.1')))


def large_headers(size):
    """Their names and values together."""
    return post(b'A: ' + b'a' * (size - len('Hostx') - len('A')))


OK = ('POST', '/a', b'')
TAKEN = {
    'no body': (post(), OK),
    'body': (post(b'Content-Length: 3', body=b'abc'), ('POST', '/a', b'abc')),
    'empty body': (post(b'Content-Length: 0'), OK),
    'body as large as it may be': (post(b'Content-Length: 1000', body=b'b' * 1000), ('POST', '/a', b'b' * 1000)),
    '15 digits': (post(b'Content-Length: 000000000000003', body=b'abc'), ('POST', '/a', b'abc')),
    'chunked': (CHUNKED + b'3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n', ('POST', '/a', b'abcde')),
    'Chunked': (post(b'transfer-encoding:\tChunked ', body=b'0\r\n\r\n'), OK),
    'chunk as large as it may be': (CHUNKED + b'3e8\r\n%b\r\n0\r\n\r\n' % (b'b' * 1000), ('POST', '/a', b'b' * 1000)),
    'extension': (CHUNKED + b'3;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n', ('POST', '/a', b'abc')),
    'trailers': (CHUNKED + b'1\r\na\r\n0\r\nA: b\r\nHost: y\r\n\r\n', ('POST', '/a', b'a')),
    'chunks of a byte': (CHUNKED + b'1\r\na\r\n' * 1000 + b'0\r\n\r\n', ('POST', '/a', b'a' * 1000)),
    'longest line': (long_target(REQUEST_LINE), ('GET', '/' + 'a' * (REQUEST_LINE - 14), b'')),
    'most fields': (post(*[b'A: b'] * (FIELDS - 1)), OK),
    'largest headers': (large_headers(HEADERS), OK),
    'tab in a value': (post(b'A: a\tb'), OK),
    'not ASCII in a value': (post(b'A: \xe9'), OK),
    'empty value': (post(b'A:'), OK),
    'query': (get(b'/a?b=/c#d'), ('GET', '/a', b'')),
    'percent': (get(b'/a%2Fb%00'), ('GET', '/a%2Fb%00', b'')),
    'absolute': (get(b'http://h:80/a?b'), ('GET', '/a', b'')),
    'absolute HTTPS': (get(b'HTTPS://h/a'), ('GET', '/a', b'')),
    'absolute without a path': (get(b'http://h'), ('GET', '/', b'')),
    'absolute with a query alone': (get(b'http://h?a=/b'), ('GET', '/', b'')),
    'star': (get(b'*', method=b'OPTIONS'), ('OPTIONS', '*', b'')),
    'HTTP/1.0': (b'GET /a HTTP/1.0\r\n\r\n', ('GET', '/a', b'')),
    'empty lines before': (b'\r\n\r\n' + post(), OK),
    'Connection: close': (post(b'Connection: close'), OK),
    'more than was asked for': (post(b'Connection: close') + b'\r\n', OK),
}
REFUSED = {
    'line too long': (long_target(REQUEST_LINE + 1), 414),
    'line without an end': (b'GET /' + b'a' * 50_000, 414),
    'too many fields': (post(*[b'A: b'] * FIELDS), 431),
    'headers too large': (large_headers(HEADERS + 1), 431),
    'headers too large in many': (post(*[b'A: ' + b'a' * 1000] * 40), 431),
    'header without an end': (LINE + HOST + b'A: ' + b'a' * 50_000, 431),
    'name without an end': (LINE + HOST + b'a' * 50_000, 431),
    'body too large': (post(b'Content-Length: 1001'), 413),
    'body far too large': (post(b'Content-Length: 999999999999999'), 413),
    'chunks too large': (CHUNKED + b'1f4\r\n%b\r\n' % (b'b' * 500) * 2 + b'1\r\nb\r\n', 413),
    'chunk too large': (CHUNKED + b'3e9\r\n%b\r\n0\r\n\r\n' % (b'b' * 1001), 413),
    'other expectation': (post(b'Expect: 200-ok'), 417),
    'other expectation too': (post(b'Expect: 100-continue', b'Expect: more'), 417),
    'HTTP/2.0': (get(b'/', b'2.0'), 505),
    **{name: (data, 400) for name, data in {
        'HTTP/1.2': get(b'/', b'1.2'), 'HTTP/3.0': get(b'/', b'3.0'), 'HTTP/1.11': get(b'/', b'1.11'),
        'HTTP/2': get(b'/', b'2'), 'HTTP/0.9': get(b'/', b'0.9'),
        'no version': b'GET /\r\n\r\n', 'small http': b'GET / http/1.1\r\nHost: x\r\n\r\n',
        'space after the version': b'GET / HTTP/1.1 \r\nHost: x\r\n\r\n',
        '16 digits': post(b'Content-Length: 0000000000000003', body=b'abc'),
        '30 digits': post(b'Content-Length: ' + b'9' * 30),
        **{
            f'length {length}': post(b'Content-Length:' + length, body=b'abc')
            for length in (b'', b'+3', b'-3', b'0x3', b'3,3', b'3 3', b'1_0', b'3;', b'\xb2', b'a')},
        'two lengths': post(b'Content-Length: 3', b'content-length: 3', body=b'abc'),
        'two other lengths': post(b'Content-Length: 3', b'Content-Length: 4', body=b'abcd'),
        'length and chunked': post(b'Content-Length: 5', b'Transfer-Encoding: chunked', body=b'0\r\n\r\n'),
        'chunked and length': post(b'Transfer-Encoding: chunked', b'Content-Length: 5', body=b'0\r\n\r\n'),
        **{f'encoding {encoding}': post(b'Transfer-Encoding:' + encoding, body=b'0\r\n\r\n') for encoding in (
            b'', b'gzip', b'identity', b'gzip, chunked', b'chunked, gzip', b'chunked, chunked', b'xchunked',
            b'chunkedx', b'chunked;q=1', b'"chunked"', b',chunked', b'chunked,',
            b'\x0bchunked', b'chunked\x00', b'chunked\xa0')},
        'two encodings': post(b'Transfer-Encoding: identity', b'Transfer-Encoding: chunked', body=b'0\r\n\r\n'),
        'chunked twice': post(b'Transfer-Encoding: chunked', b'Transfer-Encoding: chunked', body=b'0\r\n\r\n'),
        'chunked on 1.0': b'POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
        'encoding with a space': post(b'Transfer-Encoding : chunked', body=b'0\r\n\r\n'),
        **{f'host {host}': with_headers(b'Host:' + host) for host in (
            b'', b' ', b'a,b', b'a@b', b'a/b', b'a b', b'a:b', b'a:80:80', b'a?b', b'a#b', b'[::1', b'::1', b'a\\b',
            b'a"b', b'\xe9', b'http://a')},
        'no host': with_headers(b'A: b'), 'two hosts': with_headers(b'Host: x', b'Host: x'),
        'two hosts apart': with_headers(b'Host: x', b'A: b', b'host: y'),
        'two hosts on 1.0': b'GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n',
        'fold': post(b'A: b', b' c'), 'fold by tab': post(b'A: b', b'\tc'),
        'fold of the first': with_headers(b' Host: x'), 'fold of a host': with_headers(b'Host:', b' x'),
        'space before the colon': post(b'A : b'), 'tab before the colon': post(b'A\t: b'),
        'host with a space': with_headers(b'Host : x'),
        'empty name': post(b': b'), 'no colon': post(b'ab'),
        **{f'control {byte:02x} in a value': post(b'A: a%cb' % byte) for byte in (0, 1, 8, 11, 12, 13, 27, 31, 127)},
        **{
            f'byte {byte:02x} in a name': post(b'A%cb: c' % byte)
            for byte in (*b'\x00\x01\t "(),/;<=>?@[\\]{}\x7f\xe9',)},
        **{f'byte {byte:02x} in the target': get(b'/a%cb' % byte) for byte in (*b'\x00\x01\t \x0b\x7f\x80\xff',)},
        'LF after the line': b'GET / HTTP/1.1\nHost: x\r\n\r\n',
        'LF after a header': b'GET / HTTP/1.1\r\nHost: x\n\r\n', 'LF at the end': b'GET / HTTP/1.1\r\nHost: x\r\n\n',
        'CR alone': b'GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n',
        'LF after a chunk size': CHUNKED + b'3\nabc\r\n0\r\n\r\n', 'LF after a chunk': CHUNKED + b'3\r\nabc\n0\r\n\r\n',
        'LF at the end of chunks': CHUNKED + b'0\r\n\n',
        **{
            f'chunk size {size}': CHUNKED + size + b'\r\nabc\r\n0\r\n\r\n'
            for size in (b'', b'x', b'-3', b'+3', b'0x3', b'3 ', b' 3', b'3_', b'3,', b'f' * 17)},
        'chunk too long': CHUNKED + b'3\r\nabcd\r\n0\r\n\r\n', 'chunk too short': CHUNKED + b'3\r\nab\r\n0\r\n\r\n',
        'control in an extension': CHUNKED + b'3;\x01\r\nabc\r\n0\r\n\r\n',
        'fold in a trailer': CHUNKED + b'0\r\nA: b\r\n c\r\n\r\n',
        'length in a trailer': CHUNKED + b'0\r\nContent-Length: 3\r\n\r\n',
        'star': get(b'*'), 'star and more': get(b'*/', method=b'OPTIONS'), 'authority': get(b'h:80'),
        'CONNECT': get(b'h:80', method=b'CONNECT'), 'relative': get(b'a'),
        **{
            f'absolute with {host}': get(b'http://' + host + b'/a')
            for host in (b'', b'a@h', b'h:a', b'h:80:80', b'a,b', b'[::1')},
        **{
            f'{line} before a good one': line + b'\r\nHost: x\r\n\r\nGET /a HTTP/1.0\r\nHost: x\r\n\r\n'
            for line in (b'GET /a RTSP/1.0', b'GET /a ICE/1.0', b'GET  /a HTTP/1.0')},
        **{
            f'{line} with a good one in it': line + b'\r\nA: GET /a HTTP/1.0\r\nHost: x\r\n\r\n'
            for line in (b'GET /a RTSP/1.0', b'GET  /a HTTP/1.0')},
        'other scheme': get(b'ftp://h/'), 'absolute without a host': get(b'http:/a'),
        'small method': get(b'/', method=b'post'), 'unknown method': get(b'/', method=b'FOO'),
        'no method': b' / HTTP/1.1\r\nHost: x\r\n\r\n',
        'ICE': b'SOURCE / ICE/1.0\r\nHost: x\r\n\r\n', 'RTSP': b'OPTIONS / RTSP/1.0\r\nHost: x\r\n\r\n',
        'RTSP 1.1': b'GET / RTSP/1.1\r\nHost: x\r\n\r\n',
        'HTTP/2 preface': b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'TLS': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        'SMTP': b'EHLO x\r\n',
        'PROXY': b'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n' + post(), 'PROXY 2': b'\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c',
    }.items()},
}


@pytest.mark.parametrize('name', TAKEN)
def test_is_taken(name):
    data, expected = TAKEN[name]
    assert each_way(data) == [expected]


@pytest.mark.parametrize('name', REFUSED)
def test_is_refused(name):
    data, status = REFUSED[name]
    assert each_way(data) == [status]


@pytest.mark.parametrize('name', TAKEN)
def test_ends_once(name):
    """A request that is taken begins once, is whole, and is not refused for what it is."""
    owner, parser = parse(TAKEN[name][0])
    assert owner.begin == owner.ends
    assert owner.ends[0].is_complete
    assert not (parser.is_in_head or parser.is_in_body)
    assert parser.is_over is not owner.ends[0].keep_alive


@pytest.mark.parametrize('name', REFUSED)
def test_nothing_after_a_refusal(name):
    """What follows is dropped, even a request that is a good one."""
    data, status = REFUSED[name]
    owner, parser = parse(data, post(), post())
    assert [message.refusal and message.refusal.status for message in owner.ends] == [status]
    assert parser.is_over
    assert not owner.ends[0].keep_alive


@pytest.mark.parametrize('host', [
    b'a', b'a.b:80', b'a:', b'[::1]', b'[::1]:80', b'127.0.0.1:8000', b'a_b', b'a=b', b'\ta ', b'%41', b'a-b.c.'])
def test_good_hosts(host):
    assert outcome(with_headers(b'Host:' + host)) == [OK]


@pytest.mark.parametrize('size', [2 * CHUNK_OVERHEAD + 1000, 40_000, 100_000])
@pytest.mark.parametrize('form', [
    b'3;a=%b\r\nabc\r\n0\r\n\r\n', b'3\r\nabc\r\n0\r\nA: %b\r\n\r\n', b'3\r\nabc\r\n0;a=%b\r\n\r\n'])
def test_chunk_overhead(size, form):
    """Extensions and trailers over the limit are refused, in pieces of any size. It is not kept to the byte."""
    data = form % (b'a' * size)
    for step in (1, 100, 1460, 4096, 65536):
        assert outcome(CHUNKED, *(data[n:n + step] for n in range(0, len(data), step))) == [400], step


@pytest.mark.parametrize('step', [1, 5, 1000, 65536])
def test_overhead_is_of_all_chunks(step):
    data = b'1;%b\r\na\r\n' % (b'a' * 200) * 100 + b'0\r\n\r\n'
    assert outcome(CHUNKED, *(data[n:n + step] for n in range(0, len(data), step))) == [400]


@pytest.mark.parametrize('form', [b'3;a=%b\r\nabc\r\n0\r\n\r\n', b'3\r\nabc\r\n0\r\nA: %b\r\n\r\n'])
def test_overhead_within_the_limit(form):
    assert each_way(CHUNKED + form % (b'a' * (CHUNK_OVERHEAD - 200))) == [('POST', '/a', b'abc')]


@pytest.mark.parametrize('step', [1, 7, 1000, 6000])
def test_small_chunks_in_any_pieces(step):
    """The bytes that frame many small chunks are no extensions."""
    data = b'1\r\na\r\n' * 1000 + b'0\r\n\r\n'
    assert outcome(CHUNKED, *(data[n:n + step] for n in range(0, len(data), step))) == [('POST', '/a', b'a' * 1000)]


def test_trailers_are_dropped():
    assert parse(CHUNKED + b'0\r\nEvil: b\r\n\r\n')[0].ends[0].headers == [
        (b'Host', b'x'), (b'Transfer-Encoding', b'chunked')]


def test_pipelined():
    assert each_way(
        post(b'Content-Length: 1', body=b'a') + get(b'/b') + CHUNKED + b'1\r\nc\r\n0\r\n\r\n' + get(b'/d')) == [
        ('POST', '/a', b'a'), ('GET', '/b', b''), ('POST', '/a', b'c'), ('GET', '/d', b'')]


def test_pipelined_then_refused():
    assert each_way(get(b'/b') + with_headers() + get(b'/c')) == [('GET', '/b', b''), 400]


def test_limits_are_of_one_request():
    """Many small requests in one piece are not one large head."""
    assert outcome(*cut(get(b'/b') * 3000, range(0, 200_000, 65_000))) == [('GET', '/b', b'')] * 3000
    assert outcome(*cut(post(b'A: ' + b'a' * 20_000) * 4, [65_536])) == [OK] * 4


def test_head_begins_after_a_large_body():
    """What one piece holds of the request before counts for nothing in the next one's head."""
    owner = Owner()
    parser = Parser(owner)
    owner.begun = lambda message: setattr(message, 'limit', 2**20)
    parser.feed(post(b'Content-Length: 60000', body=b'a' * 60_000) + LINE)
    parser.feed(HOST + b'\r\n')
    assert [message.refusal for message in owner.ends] == [None, None]


def test_bytes_after_the_last():
    """A client that says close and sends more has its answer, and no other."""
    assert each_way(post(b'Connection: close') + get(b'/b')) == [OK]
    assert each_way(post(b'Connection: close', b'Content-Length: 1', body=b'a') + b'garbage') == [('POST', '/a', b'a')]
    assert each_way(b'GET /a HTTP/1.0\r\n\r\n' + get(b'/b')) == [('GET', '/a', b'')]


def test_upgrade_is_not_taken():
    """Nothing is changed to: a body still belongs to the request, as Java's HttpClient and `curl --http2` send it."""
    upgrade = (b'Connection: Upgrade, HTTP2-Settings', b'Upgrade: h2c', b'HTTP2-Settings: AAMAAABk')
    assert each_way(with_headers(b'Host: x', *upgrade, line=b'GET /a HTTP/1.1\r\n')) == [('GET', '/a', b'')]
    assert each_way(post(*upgrade, b'Content-Length: 3', body=b'abc')) == [('POST', '/a', b'abc')]
    chunked = post(*upgrade, b'Transfer-Encoding: chunked', body=b'3\r\nabc\r\n0\r\n\r\n')
    assert each_way(chunked) == [('POST', '/a', b'abc')]


@pytest.mark.parametrize(('version', 'headers', 'keep'), [
    (b'1.1', b'', True), (b'1.1', b'Connection: close\r\n', False), (b'1.1', b'Connection: a, Close\r\n', False),
    (b'1.1', b'Connection: keep-alive\r\n', True),
    (b'1.0', b'', False), (b'1.0', b'Connection: keep-alive\r\n', True), (b'1.0', b'Connection: close\r\n', False),
    *((version, line, False) for version in (b'1.0', b'1.1') for line in (
        b'Connection: keep-alive, close\r\n', b'Connection: close, keep-alive\r\n',
        b'Connection: close\r\nConnection: keep-alive\r\n', b'Connection: keep-alive\r\nConnection:\tCLOSE \r\n',
        b'Connection: keep-alive,,close,\r\n'))])
def test_keep_alive(version, headers, keep):
    owner, parser = parse(b'GET / HTTP/%b\r\nHost: x\r\n%b\r\n' % (version, headers))
    assert (owner.ends[0].keep_alive, parser.is_over) == (keep, not keep)


@pytest.mark.parametrize('host', [b'h', b'H:8080', b'[::1]:80'])
def test_host_of_an_absolute_target(host):
    """It counts, and not what Host says."""
    owner, _ = parse(get(b'http://%b/a' % host))
    assert owner.ends[0].host == host


def test_expect():
    _, parser = parse(post(b'Expect: 100-Continue', b'Content-Length: 3'))
    assert parser.awaits_continue
    parser.is_continued()
    assert not parser.awaits_continue


@pytest.mark.parametrize('data', [
    post(b'Expect: 100-continue', b'Content-Length: 3', body=b'a'),
    post(b'Expect: 100-continue', b'Content-Length: 3', body=b'abc'),
    post(b'Expect: 100-continue', b'Content-Length: 0'), post(b'Expect: 100-continue', b'Content-Length: 1001'),
    post(b'Expect: 100-continue'),
    b'POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
    post(b'Expect: 100-continue', b'Content-Length: a'), post(b'Content-Length: 3')])
def test_expects_nothing(data):
    assert not parse(data)[1].awaits_continue


def test_no_continue_for_a_body_that_is_dropped():
    assert not parse(post(b'Expect: 100-continue', b'Content-Length: 3'), is_kept=False)[1].awaits_continue


def test_body_that_is_dropped():
    """It counts, and is not kept."""
    owner, _ = parse(post(b'Content-Length: 900'), b'a' * 900, is_kept=False)
    assert (owner.ends[0].length, owner.ends[0].body, owner.ends[0].is_complete) == (900, [], True)
    assert [
        message.refusal.status for message in parse(CHUNKED, b'3e9\r\n', b'a' * 1001, is_kept=False)[0].ends] == [413]


def test_refused_from_outside():
    """As for a time limit: once, and then nothing is taken."""
    owner, parser = parse(b'GET / HT')
    parser.refuse(Refusal(408, 'slow'))
    parser.feed(b'TP/1.1\r\nHost: x\r\n\r\n')
    assert [message.refusal.status for message in owner.ends] == [408]


def test_dropped():
    """It takes nothing more, and holds nobody."""
    owner, parser = parse(b'GET / HT')
    parser.drop()
    parser.feed(b'TP/1.1\r\nHost: x\r\n\r\n')
    assert owner.ends == []


@pytest.mark.parametrize('more', [
    b'', b'Content-Length: 3\r\n', b'Transfer-Encoding: chunked\r\n',
    b'Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n'])
def test_connect(more):
    """It has no body and is the last, wherever a piece ends."""
    data = b'CONNECT /a HTTP/1.1\r\nHost: x\r\n%b\r\n' % more
    assert each_way(data) == [('CONNECT', '/a', b'')]
    assert each_way(data + get(b'/b')) == [('CONNECT', '/a', b'')]


@pytest.mark.parametrize(('trailer', 'keep'), [
    (b'Connection: close', False), (b'connection: x, close', False), (b'Proxy-Connection: close', False),
    (b'A: b', True)])
def test_trailer_ends_the_connection(trailer, keep):
    data = post(b'Transfer-Encoding: chunked', body=b'1\r\na\r\n0\r\n%b\r\n\r\n' % trailer)
    owner, parser = parse(data)
    assert (owner.ends[0].keep_alive, parser.is_over) == (keep, not keep)
    assert each_way(data + get(b'/b')) == [('POST', '/a', b'a'), ('GET', '/b', b'')][:1 + keep]


def test_garbage_after_a_request():
    """It is refused, and the request before is not."""
    assert each_way(post(b'Content-Length: 1', body=b'a') + b'\0\0\r\n\r\n') == [('POST', '/a', b'a'), 400]


@pytest.mark.parametrize('method', ['POST', 'HEAD'])
def test_method_of_what_is_refused(method):
    """It is known as soon as it has come: an answer to HEAD has no body."""
    for rest in (b'A : b\r\n\r\n', b'\r\n', b'A: ' + b'a' * 50_000):
        assert parse(f'{method} /a HTTP/1.1\r\n'.encode() + rest)[0].ends[0].method == method


def test_upgrade_that_is_not_offered():
    """Without Connection: Upgrade it means nothing, and the connection goes on."""
    one = with_headers(b'Host: x', b'Upgrade: h2c', line=b'GET /a HTTP/1.1\r\n')
    assert each_way(one + one) == [('GET', '/a', b'')] * 2
    assert parse(one)[0].ends[0].keep_alive


def test_upgrade_ends_the_connection():
    one = with_headers(b'Host: x', b'Connection: Upgrade', b'Upgrade: h2c', line=b'GET /a HTTP/1.1\r\n')
    owner, parser = parse(one + one)
    assert [(message.path, message.keep_alive) for message in owner.ends] == [('/a', False)]
    assert parser.is_over


def test_at_rest():
    """A parser that nothing is fed to is in the middle of nothing."""
    for parser in (Parser(Owner()), parse(with_headers(b'Host: x', line=b'GET /a HTTP/1.1\r\n'))[1]):
        assert not (parser.is_in_head or parser.is_in_body or parser.is_over or parser.awaits_continue)


def test_origins():
    """All of them: none may hide another."""
    message = parse(post(b'Origin: http://a', b'origin: HTTP://b', b'Content-Length: 0'))[0].ends[0]
    assert message.origin == b'http://a,http://b'


def test_refusals_say_why():
    for line in (long_target(REQUEST_LINE + 1), b'GET /' + b'a' * 50_000):
        assert str(parse(line)[0].ends[0].refusal) == 'the request line is too long'
