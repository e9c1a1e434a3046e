"""Random mutations of good requests, through the parser and the core: no error of ours, and one answer each."""
import json
import logging
import math
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiphant.api.actions import Action
from apiphant.api.answer import MAX_BODY, reply
from apiphant.http.parser import Parser

pytestmark = pytest.mark.once

ROUTES = {'/api/v0/echo/read': Action(lambda request: request)}
LINE = b'POST /api/v0/echo/read HTTP/1.1\r\nHost: x\r\n'
GOOD = [
    LINE + b'Content-Length: 13\r\n\r\n{"a":[1,"b"]}',
    LINE + b'Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n{"a":\r\n2\r\n1}\r\n0\r\nA: b\r\n\r\n',
    LINE + b'Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}',
    LINE + b'Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    LINE + b'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nConnection: close\r\n\r\n',
    b'CONNECT /api/v0/echo/read HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n',
    b'GET http://h/a?b=c HTTP/1.1\r\nHost: [::1]:80\r\nA: \xe9\r\n\r\n',
    b'OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n',
    b'HEAD /api/v0/echo/read HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
]
WORDS = [b'\r\n', b'\n', b'\r', b' ', b'\t', b':', b',', b';', b'\x00', b'\xff', b'0', b'f' * 20, b'-1', b'HTTP/2.0',
         b'HTTP/1.0', b'*', b'%00', b'/' * 9000, b'A: b\r\n' * 101,
         b'Host: y\r\n', b'Content-Length: 2\r\n', b'Content-Length: 99999999\r\n', b'Transfer-Encoding: chunked\r\n',
         b'Expect: x\r\n', b'{', b'[' * 2000, b'NaN', b'\\ud800', *GOOD]
PROFILE = settings(
    derandomize=True, database=None, deadline=None, max_examples=1000, suppress_health_check=list(HealthCheck))
EXPECTED = {200, 400, 404, 413, 414, 417, 431, 501, 505}


class Owner:
    """Answers as a connection does: a message once, and nothing after the last."""

    def __init__(self):
        self.begin, self.ends, self.answers = [], [], []

    def begun(self, message):
        assert all(message is not other for other in self.begin)
        message.action = ROUTES.get(message.path)
        message.is_kept = message.action is not None
        message.limit = MAX_BODY
        self.begin.append(message)

    def ended(self, message):
        assert all(message is not other for other in self.ends), 'one request ended twice'
        assert not self.ends or self.ends[-1].keep_alive, 'a request after the last'
        assert bool(message.refusal) is not message.is_complete
        self.ends.append(message)
        if message.refusal:
            status, body = message.refusal.status, None
        else:
            body = b''.join(message.body)
            status, _ = reply(message.action, message.method, message.path, body)
        self.answers.append((status, message.method, message.target, body))


def answers(pieces):
    owner = Owner()
    parser = Parser(owner)
    for piece in pieces:
        parser.feed(piece)
    assert len(owner.begin) - len(owner.ends) <= 1, 'a request without an answer'
    return owner.answers


def without_reasons(found):
    """Of two faults in one request, either may be seen first."""
    return [(status, *rest, body) if body is not None else 'refused' for status, *rest, body in found]


@st.composite
def mutated(draw):
    """One to three good requests in a row, with up to six changes."""
    data = bytearray(b''.join(draw(st.lists(st.sampled_from(GOOD), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.sampled_from((0, 0, 1, 1, 2, 5, 40)))
        data[start:end] = draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=3)))
    return bytes(data)


@pytest.fixture(autouse=True)
def quiet(caplog):
    """A traceback that is logged is a failure too."""
    caplog.set_level(logging.ERROR)
    yield
    assert not caplog.records


@PROFILE
@given(mutated(), st.lists(st.integers(0, 2**20), max_size=6))
def test_any_bytes(data, places):
    found = answers([data])
    assert {status for status, *_ in found} <= EXPECTED
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert without_reasons(answers(pieces)) == without_reasons(found)


@settings(PROFILE, max_examples=300)
@given(st.lists(st.sampled_from(GOOD[:2]), min_size=1, max_size=5))
def test_as_many_answers(requests):
    """None is lost and none comes twice."""
    assert [status for status, *_ in answers([b''.join(requests)])] == [200] * len(requests)


@settings(PROFILE, max_examples=300)
@given(st.binary(max_size=300))
def test_any_body(body):
    found = answers([LINE + b'Content-Length: %d\r\n\r\n' % len(body) + body])
    assert [status for status, *_ in found] in ([200], [400])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5)


def is_sayable(value):
    """Whether JSON has a way to say it that any reader understands."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not any('\ud800' <= character <= '\udfff' for character in json.loads(json.dumps(value)))
    if isinstance(value, dict):
        return all(map(is_sayable, [*value, *value.values()]))
    return not isinstance(value, list) or all(map(is_sayable, value))


@settings(PROFILE, max_examples=400)
@given(
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5))
def test_any_json(value):
    """What json.dumps says comes back as it was; NaN, infinities and halves of pairs are refused."""
    body = json.dumps({'a': value}).encode()
    found = answers([LINE + b'Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n' % (len(body), body)])
    assert [status for status, *_ in found] == [200 if is_sayable(value) else 400]
    if is_sayable(value):
        assert json.loads(reply(ROUTES['/api/v0/echo/read'], 'POST', '/api/v0/echo/read', body)[1]) == {
            'a': json.loads(body)['a']}
