"""What a request is before anything is known of it, and when its client waits to be told to send a body."""
import pytest

from apiphant.http.message import Message, Refusal

WAITING = {'expects_continue': True, 'is_kept': True, 'length': 0, 'is_complete': False, 'refusal': None}


def message(**values):
    made = Message()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_nothing_known():
    made = Message()
    assert (made.method, made.target, made.path, made.version) == ('', '', '', '1.1')
    assert (made.length, made.limit, made.sent, made.headers, made.body) == (0, 0, 0, [], [])
    assert made.is_kept
    assert made.keep_alive
    assert not (made.is_chunked or made.is_complete or made.expects_continue or made.offers_upgrade)
    assert made.action is made.refusal is None


def test_headers_of_a_head():
    """Where no parser has read it."""
    made = Message.__new__(Message)
    made.head = b'POST / HTTP/1.1\r\nA: b\r\nc:\td:e\r\nF:\r\n\r\n'
    assert made.headers == [(b'A', b'b'), (b'c', b'd:e'), (b'F', b'')]


def test_apart():
    one, other = Message(), Message()
    one.headers.append((b'a', b'b'))
    one.body.append(b'c')
    assert (other.headers, other.body) == ([], [])


def test_awaits_continue():
    assert message(**WAITING).awaits_continue


@pytest.mark.parametrize('change', [
    {'expects_continue': False}, {'is_kept': False}, {'length': 1}, {'is_complete': True},
    {'refusal': Refusal(413, 'too large')}])
def test_awaits_nothing(change):
    assert not message(**{**WAITING, **change}).awaits_continue


def test_refusal():
    refusal = Refusal(413, 'too large')
    assert (refusal.status, str(refusal)) == (413, 'too large')
