"""The pure core: routes, method, path and body in, status and object out. And the WSGI callable around it.

Nothing here knows of sockets. One call is one unit of work, supervised in `answer` or `answer_raw`: whatever a
handler raises, SystemExit and GreenletExit included, is logged there and becomes a 500 that says nothing of it.
"""
from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

import msgspec

from .options import MAX_BODY
from .request import Request, convert
from .routing import Action, Routes
from .validation import ApiError, BadRequest, status_line

NOT_AN_OBJECT = 'Request content should be JSON Object'
INTERNAL_ERROR = {'error': status_line(500)}
WITHOUT_BODY = (204, 205, 304)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Handler = TypeVar('Handler', bound=Callable[..., Any])

log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@overload
def raw_environ(handler: Handler, /) -> Handler: ...
@overload
def raw_environ(*, max_body: int | None = None) -> Callable[[Handler], Handler]: ...
def raw_environ(handler: Handler | None = None, /, *, max_body: int | None = None) -> Handler | Callable[[Handler], Handler]:
    """The handler gets the WSGI environ in place of the request, for any method.

    `@raw_environ(max_body=200 * 1024 * 1024)` lets it read larger bodies than the server takes else, in bytes.
    """
    def decorate(handler: Handler) -> Handler:
        handler.is_raw_environ = True  # type: ignore[attr-defined]
        handler.max_body = max_body  # type: ignore[attr-defined]
        return handler
    return decorate(handler) if handler else decorate


def raw_response(handler: Handler) -> Handler:
    """The handler gets `start_response` as a second argument and returns a WSGI iterable, for any method."""
    handler.is_raw_response = True  # type: ignore[attr-defined]
    return handler


class ClientLeft(Exception):
    """The client is gone, or as good as: it sends nothing that it owes, or takes nothing. Nobody is left to be answered."""


def parse(body: bytes) -> Request:
    """The request in a body: strict RFC 8259, exact integers. Raises BadRequest."""
    try:
        content = _decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(NOT_AN_OBJECT) from None
    if type(content) is not dict:
        raise BadRequest(NOT_AN_OBJECT)
    request: Request = convert(content)
    return request


def answer(routes: Routes, method: str, path: str, body: bytes) -> tuple[int, Any]:
    """The status and the object that a call is answered with. Raises nothing."""
    try:
        action = routes.get(path)
        if action is None:
            raise ApiError(404)
        if method != 'POST':
            raise ApiError(501)
        content = action.handler(parse(body))
        return 200, content if isinstance(content, dict) else _content(action, content)
    except ApiError as error:
        return error.status, {'error': error.error}
    except BaseException:
        log.exception('%s %s failed:', method, path)
        return 500, INTERNAL_ERROR


def reply(routes: Routes, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """The status and the body to send. Raises nothing."""
    status, content = answer(routes, method, path, body)
    return encode(path, status, content)


def encode(path: str, status: int, content: Any) -> tuple[int, bytes]:
    """The status and the body to send: 500 for content that JSON has no way to say. Raises nothing."""
    if status in WITHOUT_BODY:
        return status, b''
    try:
        return status, _encode(content)
    except Exception:
        log.exception('The answer of %s cannot be JSON:', path)
        return 500, _encode(INTERNAL_ERROR)


def headers_of(status: int, body: bytes) -> list[tuple[str, str]]:
    headers = [] if status in WITHOUT_BODY else [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))]
    return [*headers, ('Allow', 'POST')] if status == 501 else headers


def _content(action: Action, content: Any) -> dict[str, Any]:
    """What a handler returned, if that can be an answer. Raises TypeError."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise TypeError(f'{action.handler.__module__}.{action.handler.__qualname__} returned {type(content).__name__}, not a dict or None')
    return content


class Application:
    """The WSGI callable of a product. Assigning `routes` swaps all of them at once."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get('SCRIPT_NAME', '') + environ.get('PATH_INFO', '')
        action = self.routes.get(path)
        if action is not None and action.is_raw:
            return answer_raw(action, path, environ, start_response)
        return _send(path, environ, start_response, *self._answer(path, environ))

    def _answer(self, path: str, environ: Environ) -> tuple[int, Any]:
        method = environ['REQUEST_METHOD']
        try:
            body = _read(environ) if method == 'POST' and path in self.routes else b''
        except ApiError as error:
            return error.status, {'error': error.error}
        return answer(self.routes, method, path, body)


def answer_raw(action: Action, path: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The WSGI answer of an action with raw_environ or raw_response or both. Raises ClientLeft."""
    try:
        subject = environ if action.raw_environ else parse(_read(environ))
        if action.raw_response:
            return action.handler(subject, start_response)  # type: ignore[no-any-return]
        status, content = 200, _content(action, action.handler(subject))
    except ApiError as error:
        status, content = error.status, {'error': error.error}
    except ClientLeft:
        raise
    except BaseException:
        log.exception('%s %s failed:', environ['REQUEST_METHOD'], path)
        return _send(path, environ, start_response, 500, INTERNAL_ERROR, sys.exc_info())
    return _send(path, environ, start_response, status, content, sys.exc_info())


def _send(path: str, environ: Environ, start_response: StartResponse, status: int, content: Any, *exc_info: Any) -> list[bytes]:
    status, body = encode(path, status, content)
    start_response(status_line(status), headers_of(status, body), *exc_info)
    return [] if environ['REQUEST_METHOD'] == 'HEAD' else [body]


def _read(environ: Environ) -> bytes:
    """The body, by Content-Length, or to its end where the server says that there is one (chunked). Raises ApiError 400 or 413."""
    given = environ.get('CONTENT_LENGTH') or ''
    if given and not (given.isascii() and given.isdecimal()):
        raise BadRequest()
    length = int(given) if given else MAX_BODY + 1 if _is_chunked(environ) else 0
    if given and length > MAX_BODY:
        raise ApiError(413)
    body: bytes = environ['wsgi.input'].read(length) if length else b''
    if given and len(body) < length:
        raise BadRequest()
    if len(body) > MAX_BODY:
        raise ApiError(413)
    return body


def _is_chunked(environ: Environ) -> bool:
    return bool(environ.get('wsgi.input_terminated')) or 'chunked' in environ.get('HTTP_TRANSFER_ENCODING', '').lower()
