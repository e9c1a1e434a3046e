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

TIMEOUT = 60.0  # seconds
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

    `request_json` is any JSON value, None for no body. The comparison is exact: 1 is neither 1.0 nor true.
    Returns the response, its `json` with attributes. Raises AssertionError that shows both sides.
    """
    url = f'http://{config.host}:{config.port}/api/{config.version}/{target}/{action}'
    data = None if request_json is None else json.dumps(request_json).encode()
    headers = {'Content-Type': 'application/json'} if data else None
    response = requests.request(method, url, data=data, headers=headers, timeout=TIMEOUT)
    sent = '' if data is None else f' {_line(request_json)}'
    status, text = response.status_code, response.text
    print(f'{method} {url}{sent} --> {status} {text}')
    actual = _content(response)
    assert status == status_code, f'status {status}, expected {status_code}; answer: {text}'
    assert _line(actual) == _line(response_json), _difference(actual, response_json)
    return _with_attributes(response, actual)


test.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it wherever it is imported


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


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _difference(actual: Any, expected: Any) -> str:
    sides = f'answer {_line(actual)}, expected {_line(expected)}'
    if len(sides) <= 2 * LONG:
        return sides
    difference = unified_diff(_lines(expected), _lines(actual), 'expected', 'answer', lineterm='')
    return 'the answer is not as expected:\n' + '\n'.join(difference)


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True).splitlines()
