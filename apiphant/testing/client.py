"""Calls of a served product, and their replies."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import requests

from ..api.request import Request, convert
from ..expected import line

TIMEOUT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call was answered with: `reply.status`, `reply.json`, and the keys of its object: `reply.user.name`.

    `json` is the JSON value, None where the answer is none. A key that is called like an attribute of this class is
    read as `reply.json.status`.
    """
    status: int
    json: Any
    text: str
    headers: requests.structures.CaseInsensitiveDict[str]

    def __getattr__(self, name: str) -> Any:
        if isinstance(self.json, Request) and name in self.json:
            return self.json[name]
        raise AttributeError(f'the reply has no {name!r}: {self}', name=name, obj=self)

    def __str__(self) -> str:
        return f'{self.status} {self.text}'


@dataclass(frozen=True)
class Api:
    """Calls actions: `api('echo', 'read', {'hello': 'world'})`, or `api('echo', 'read', hello='world')`.

    Each call is printed with its answer. Cookies are kept.
    """
    url: str
    session: requests.Session
    version: str = 'v0'
    fields: Request = field(default_factory=Request)
    headers: Request = field(default_factory=Request)

    def __call__(self, target: str, action: str, request: Any = None, /, **fields: Any) -> Reply:
        """`request` is a JSON object, to which the fields are added; any other JSON value is sent as it is."""
        url = f'{self.url}/api/{self.version}/{target}/{action}'
        sent = self._with_fields(request, fields)
        response = self.session.post(url, json=sent, headers=self.headers, timeout=TIMEOUT)
        reply = Reply(response.status_code, _json(response), response.text, response.headers)
        print(f'POST {url} {line(sent)} --> {reply}')
        return reply

    def _with_fields(self, request: Any, fields: dict[str, Any]) -> Any:
        if request is None or isinstance(request, dict):
            return {**self.fields, **(request or {}), **fields}
        if fields:
            raise TypeError(f'fields are of an object, and {type(request).__name__} is none: {", ".join(fields)}')
        return request

    def with_(self, **fields: Any) -> Self:
        """The same API with fields that are sent in each call: `api.with_(token=token)`."""
        return replace(self, fields=Request({**self.fields, **fields}))

    def with_headers(self, **headers: str) -> Self:
        """The same with headers in each call: `api.with_headers(Authorization='Bearer ...', X_Trace='1')`."""
        named = {name.replace('_', '-'): value for name, value in headers.items()}
        return replace(self, headers=Request({**self.headers, **named}))

    def use(self, version: str) -> Self:
        """The same of another version: `api.use('v1')`."""
        return replace(self, version=version)


def connect(port: int) -> Api:
    """To a server on this machine, by way of no proxy."""
    session = requests.Session()
    session.trust_env = False
    return Api(f'http://127.0.0.1:{port}', session)


def _json(response: requests.Response) -> Any:
    """With attributes at any depth; None for what is no JSON."""
    try:
        content = response.json()
    except requests.JSONDecodeError:
        return None
    return convert(content) if isinstance(content, (dict, list)) else content
