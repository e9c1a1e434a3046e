"""The WSGI callable of a product, and raw handlers, which speak WSGI.

A raw call is one unit of work, supervised in `answer_raw` as others are in `answer`.
"""
from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..validation import ApiError, BadRequest, status_line
from .actions import Action, Routes
from .answer import INTERNAL_ERROR, MAX_BODY, _content, answer, encode, go_on, headers_of, parse
from .origin import foreign

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

log = logging.getLogger(__name__)


class ClientLeft(Exception):
    """The client is gone, or as good as: it sends nothing that it owes, or takes nothing. Nobody is to be answered."""


class Application:
    """The WSGI callable of a product. Assigning `routes` swaps all of them at once."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get('SCRIPT_NAME', '') + environ.get('PATH_INFO', '')
        action = self.routes.get(path)
        if action is not None and action.is_raw:
            return answer_raw(action, path, environ, start_response)
        return _send(path, environ, start_response, *_answer(action, path, environ))


def _answer(action: Action | None, path: str, environ: Environ) -> tuple[int, Any]:
    method = environ['REQUEST_METHOD']
    try:
        body = _read(environ) if method == 'POST' and action is not None else b''
    except ApiError as error:
        return error.status, {'error': error.error}
    return answer(action, method, path, body, _why_foreign(environ))


def _why_foreign(environ: Environ) -> str:
    """'' for a call of a page of our own, or of no page."""
    if 'HTTP_ORIGIN' not in environ:
        return ''
    return foreign(environ['HTTP_ORIGIN'], environ.get('HTTP_HOST', ''), environ.get('wsgi.url_scheme') == 'https')


def answer_raw(
    action: Action, path: str, environ: Environ, start_response: StartResponse, give_way: Callable[[], None] = go_on,
) -> Iterable[bytes]:
    """The WSGI answer of an action with raw_environ or raw_response or both. Raises ClientLeft."""
    try:
        subject = environ if action.raw_environ else parse(_read(environ), give_way)
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


def _send(
    path: str, environ: Environ, start_response: StartResponse, status: int, content: Any, *exc_info: Any,
) -> list[bytes]:
    status, body = encode(path, status, content)
    start_response(status_line(status), headers_of(status, body), *exc_info)
    return [] if environ['REQUEST_METHOD'] == 'HEAD' else [body]


def _read(environ: Environ) -> bytes:
    """The body, by Content-Length, or to its end where the server says that it has one. Raises ApiError 400 or 413."""
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
