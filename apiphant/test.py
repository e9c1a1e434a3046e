"""A client for tests of an API: call, print, compare.

    from apiphant.test import test
    test('echo', 'read', {"hello": "world"}, 200, {"hello": "world", "server": "myproduct"})
"""
from __future__ import annotations

import json
from difflib import unified_diff
from typing import Any

import requests

from .api.request import Request
from .expected import filled, is_as_expected, line, lines

TIMEOUT = 60.0  # seconds
NO_SERVER = 'no server at {0.host}:{0.port}; start one in another terminal: apiphant dev PRODUCT {0.host}:{0.port}'
LONG = 60  # characters of one line, from which on a diff reads better

config = Request(host='127.0.0.1', port=8888, version='v0')


class Json(Request):
    """The JSON object of an answer: `response.json.user.name`, and `response.json()` as requests has it."""

    def __call__(self) -> Any:
        return self


class Response(requests.Response):
    """A response whose `json` has attributes, where it is an object."""
    json: Json  # type: ignore[assignment]  # where it is none, this is the method of requests


def test(
        target: str, action: str, request_json: Any, status_code: int, response_json: Any, method: str = 'POST',
) -> Response:
    """Call an action of the server that `config` names, print the call and its answer, and compare.

    `request_json` is any JSON value, None for no body. The comparison is exact: 1 is neither 1.0 nor true. In the
    expected answer `...` stands for any value, and as a key for any further keys: `{"id": int, ...: ...}`; a type
    stands for any value of it, a compiled pattern for a text that it matches as a whole.
    Returns the response, its `json` with attributes. Raises AssertionError that shows both sides, and
    requests.ConnectionError where no server listens.
    """
    url = f'http://{config.host}:{config.port}/api/{config.version}/{target}/{action}'
    response = _call(method, url, request_json)
    sent = '' if request_json is None else f' {line(request_json)}'
    status, text = response.status_code, response.text
    print(f'{method} {url}{sent} --> {status} {text}')
    actual = _content(response)
    if status != status_code:
        raise AssertionError(f'status {status}, expected {status_code}; answer: {text}')
    if not is_as_expected(actual, response_json):
        raise AssertionError(_difference(actual, filled(actual, response_json)))
    return _with_attributes(response, actual)


test.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it wherever it is imported


def _call(method: str, url: str, request_json: Any) -> requests.Response:
    data = None if request_json is None else json.dumps(request_json).encode()
    headers = {'Content-Type': 'application/json'} if data else None
    try:
        return requests.request(method, url, data=data, headers=headers, timeout=TIMEOUT)
    except requests.ConnectionError as error:
        if _is_refused(error):
            raise requests.ConnectionError(NO_SERVER.format(config)) from None
        raise


def _is_refused(error: BaseException | None) -> bool:
    """Whether that is behind an error of requests, which wraps it several times."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__context__
    return error is not None


def _with_attributes(response: requests.Response, content: Any) -> Response:
    ours = Response()
    vars(ours).update(vars(response))
    if isinstance(content, dict):
        ours.json = Json(content)
    return ours


def _content(response: requests.Response) -> Any:
    try:
        return response.json()
    except requests.JSONDecodeError:
        return response.text


def _difference(actual: Any, expected: Any) -> str:
    sides = f'answer {line(actual)}, expected {line(expected)}'
    if len(sides) <= 2 * LONG:
        return sides
    difference = unified_diff(lines(expected), lines(actual), 'expected', 'answer', lineterm='')
    return 'the answer is not as expected:\n' + '\n'.join(difference)
