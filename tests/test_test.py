"""The test client, against the sample product."""
import re
import socket

import pytest
import requests

from apiphant.test import config, test
from tests.kit.running import SAMPLE, production, write_tree


@pytest.fixture(scope='module', autouse=True)
def sample():
    before = config.copy()
    with production(SAMPLE) as running:
        config.update(port=running.port)
        yield running
    config.update(before)


def test_prints_and_returns(capsys, sample):
    response = test('echo', 'read', {"hello": {"deep": "wörld"}}, 200, {
        "hello": {"deep": "wörld"}, "server": "myproduct"})
    assert capsys.readouterr().out == (
        f'POST http://127.0.0.1:{sample.port}/api/v0/echo/read {{"hello": {{"deep": "wörld"}}}} --> '
        '200 {"hello":{"deep":"wörld"},"server":"myproduct"}\n')
    assert response.status_code == 200
    assert response.json.hello.deep == response.json()['hello']['deep'] == 'wörld'


def test_method_and_no_body(capsys, sample):
    test('self', 'create', None, 501, {"error": "501 Not Implemented"}, method='GET')
    assert capsys.readouterr().out.startswith(f'GET http://127.0.0.1:{sample.port}/api/v0/self/create --> 501 ')


def test_wrong_status():
    with pytest.raises(AssertionError, match=r'status 200, expected 404; answer: \{"server":"myproduct"\}'):
        test('echo', 'read', {}, 404, {"server": "myproduct"})


def test_wrong_answer():
    with pytest.raises(
            AssertionError,
            match='answer {"a": 1, "server": "myproduct"}, expected {"a": true, "server": "myproduct"}'):
        test('echo', 'read', {"a": 1}, 200, {"a": True, "server": "myproduct"})


def test_long_answers_as_diff():
    long = {f'key{number}': 'value' * 5 for number in range(9)}
    with pytest.raises(AssertionError) as caught:
        test('echo', 'read', {**long, 'x': 1}, 200, {**long, 'x': 2, 'server': 'myproduct'})
    assert '-  "x": 2' in str(caught.value)
    assert '+  "x": 1' in str(caught.value)


def test_room_in_what_is_expected():
    test('echo', 'read', {'id': 7, 'at': '2026-01-01'}, 200, {
        'id': int, 'at': re.compile(r'\d+-\d+-\d+'), 'server': ...})
    test('echo', 'read', {'id': 7, 'x': 1}, 200, {'id': 7, ...: ...})
    with pytest.raises(
            AssertionError,
            match='^answer {"id": "7", "server": "myproduct"}, expected {"id": "<int>", "server": "myproduct"}$'):
        test('echo', 'read', {'id': '7'}, 200, {'id': int, 'server': ...})


def test_no_server():
    before = config.copy()
    with socket.socket() as bound:  # and does not listen
        bound.bind(('127.0.0.1', 0))
        port = bound.getsockname()[1]
        config.update(port=port)
        with pytest.raises(requests.ConnectionError) as caught:
            test('echo', 'read', {}, 200, {})
    config.update(before)
    assert str(caught.value) == (
        f'no server at 127.0.0.1:{port}; start one in another terminal: apiphant dev PRODUCT 127.0.0.1:{port}')
    assert caught.value.__suppress_context__


def test_is_not_collected():
    assert test.__test__ is False
    assert (config.host, config.version) == ('127.0.0.1', 'v0')


def test_is_a_response_of_requests(sample):
    response = test('echo', 'read', {}, 200, {'server': 'myproduct'})
    assert isinstance(response, requests.Response)
    assert (response.ok, response.text) == (True, '{"server":"myproduct"}')
    assert response.headers['Content-Type'] == 'application/json'
    assert response.request.method == 'POST'
    assert response.url == f'http://127.0.0.1:{sample.port}/api/v0/echo/read'
    assert type(response.json()) is type(response.json)


RAW = '''
from apiphant.server import raw_response

@raw_response
def read(request, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [request.text.encode()]
'''


def test_answers_that_are_no_objects(tmp_path):
    before = config.copy()
    with production(write_tree(tmp_path / 'shop', {'api/v0/raw.py': RAW})) as running:
        config.update(port=running.port)
        assert test('raw', 'read', {'text': '[1, {"a": 2}]'}, 200, [1, {'a': 2}]).json() == [1, {'a': 2}]
        response = test('raw', 'read', {'text': 'hello'}, 200, 'hello')
        with pytest.raises(requests.JSONDecodeError):
            response.json()
    config.update(before)
