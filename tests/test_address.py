import gc
import os
import socket
import warnings
from contextlib import suppress

import pytest

from apiphant import address
from apiphant.address import Address, AddressError, listen, of, parse


@pytest.mark.parametrize(('text', 'expected', 'url'), [
    ('127.0.0.1:8888', Address('127.0.0.1', 8888), 'http://127.0.0.1:8888'),
    ('localhost:0', Address('localhost', 0), 'http://localhost:0'),
    ('[::1]:80', Address('::1', 80), 'http://[::1]:80'),
    ('9000', Address('127.0.0.1', 9000), 'http://127.0.0.1:9000'),
    ('0.0.0.0:65535', Address('0.0.0.0', 65535), 'http://0.0.0.0:65535'),
    ('XX:80', Address('XX', 80), 'http://XX:80'),
    ('unix:s', Address('', 0, 's'), 'unix:s'),
    ('unix:/tmp/x y.sock', Address(path='/tmp/x y.sock'), 'unix:/tmp/x y.sock'),
])
def test_forms(text, expected, url):
    assert parse(text) == expected
    assert expected.url == url


@pytest.mark.parametrize('text', [
    '', 'host', ':80', 'host:', '1:2:3', '::1:80', '[::1]', 'host:65536', 'host:-1', 'host:8x', 'unix:', 'http://x:80',
    'a b:80', '[x:80', '١٢:٣'])
def test_no_address(text):
    with pytest.raises(AddressError, match='HOST:PORT'):
        parse(text)


def test_default_is_one():
    assert str(parse(address.DEFAULT)) == '127.0.0.1:8888'


@pytest.mark.parametrize('text', ['127.0.0.1:0', '[::1]:0'])
def test_free_port_without_delay(text):
    with listen(parse(text)) as listener:
        place = of(listener)
        assert place.port > 0
        with socket.create_connection((place.host, place.port)) as client, listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client


def test_port_in_use():
    with (
        listen(parse('127.0.0.1:0')) as listener,
        pytest.raises(AddressError, match='cannot listen on .*: address already in use'),
    ):
        listen(of(listener))


def test_reachable():
    assert parse('0.0.0.0:1').reachable == parse('127.0.0.1:1')
    assert parse('[::]:1').reachable == parse('[::1]:1')


def test_stale_unix_socket(tmp_path):
    place = Address(path=str(tmp_path / 's'))
    listen(place).close()
    assert os.path.exists(place.path)
    with listen(place) as listener:
        assert of(listener) == place
        with pytest.raises(AddressError, match='another server listens'):
            listen(place)


def test_unix_path_of_a_file(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(AddressError, match='not a socket'):
        listen(Address(path=str(tmp_path / 'file')))
    assert (tmp_path / 'file').exists()
    with pytest.raises(AddressError, match='no such file'):
        listen(Address(path=str(tmp_path / 'no/folder')))


def test_same_port_at_once():
    """While a connection that the server before ended is not forgotten yet."""
    with listen(parse('127.0.0.1:0')) as listener, socket.create_connection(listener.getsockname()) as client:
        place = of(listener)
        listener.accept()[0].close()
        assert client.recv(1) == b''
    listen(place).close()


@pytest.mark.parametrize('place', [Address('192.0.2.1', 1), Address(path='/no/such/folder/s')], ids=str)
def test_failing_leaves_no_socket(place):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with suppress(AddressError):
            listen(place)
        gc.collect()
    assert not caught
