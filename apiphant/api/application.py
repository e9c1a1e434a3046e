"""The WSGI callable of a product, and raw handlers, which speak WSGI.

A raw call is one unit of work, supervised in `answer_raw` as others are in `answer`.
"""
from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from ..validation import ApiError, BadRequest, status_line
from .actions import Action, Routes
from .answer import MAX_BODY, answer, encode, error_content, failed, headers_of, parse, say_failed
from .call import NOBODY, Call, Host, runs_calls, with_given
from .environ import Environ, EnvironHost, StartResponse, path_of
from .headers import Pairs
from .origin import PROGRAM, Origins, Page
from .public import METHODS, Public
from .run import answer_of, run


class ClientLeft(Exception):
    """The client is gone, or as good as: it sends nothing that it owes, or takes nothing. Nobody is to be answered."""


class Application:
    """The WSGI callable of a product. Assigning `routes` swaps all of them at once. `origins`: which pages may call.

    `explains`: whether callers are told where their JSON broke. `public`: the files that are served beside the API.
    """

    def __init__(
        self, routes: Routes, origins: Origins | None = None, public: Public | None = None, *, explains: bool = False,
    ) -> None:
        self.routes = routes
        self.public = public
        self.explains = explains
        self.origins = origins or Origins()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = path_of(environ)
        action = self.routes.get(path)
        host = EnvironHost(environ)
        if action is None:
            action = self.file(host.method, path.encode('latin-1', 'replace'), host)
        if action is not None and action.is_raw:
            return answer_raw(action, path, environ, start_response, host)
        call = Call(host) if action is not None and action.needs_call else None
        page = self._page(environ, host) if 'HTTP_ORIGIN' in environ else PROGRAM
        status, content = _answer(action, path, environ, page, host, call)
        return _send(path, environ, start_response, status, content, call, page.headers)

    def _page(self, environ: Environ, host: EnvironHost) -> Page:
        return self.origins.page(environ['HTTP_ORIGIN'], environ.get('HTTP_HOST', ''), host)

    def file(self, method: str, path: bytes, host: Host) -> Action | None:
        """The raw action that sends the file at a path, without its escapes, where no other action is."""
        return self.public.action(path, host) if self.public and method in METHODS else None


def _answer(
    action: Action | None, path: str, environ: Environ, page: Page, host: EnvironHost, call: Call | None,
) -> tuple[int, Any]:
    method = environ['REQUEST_METHOD']
    try:
        body = _read(environ) if method == 'POST' and action is not None else b''
    except ApiError as error:
        return error.status, error_content(error)
    return answer(action, method, path, body, page, host, call)


@runs_calls
def answer_raw(
    action: Action, path: str, environ: Environ, start_response: StartResponse, host: Host = NOBODY,
) -> Iterable[bytes]:
    """The WSGI answer of an action with raw_environ or raw_response or both. Raises ClientLeft."""
    call = Call(host.caller()) if action.needs_call else None
    try:
        request = environ if action.raw_environ else parse(_read(environ), host)
        content = _call(action, request, start_response, call)
        if action.raw_response and not (call is not None and isinstance(content, dict)):
            return content  # type: ignore[no-any-return]
        status = call.status if call is not None else 200
    except ApiError as error:
        status, content = error.status, error_content(error)
    except ClientLeft:
        raise
    except BaseException as error:
        say_failed(environ['REQUEST_METHOD'], path, action, error)
        status, content = failed(call)
    return _send(path, environ, start_response, status, content, call, (), sys.exc_info())


def _call(action: Action, request: Any, start_response: StartResponse, call: Call | None) -> Any:
    """What the handler returns, or an `around` that it is under."""
    if call is None:
        content = action.handler(request, start_response) if action.raw_response else action.handler(request)
        return content if action.raw_response else answer_of(action.handler, content)
    if not action.raw_response:
        return run(action, call, request)

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        return start_response(status, with_given(headers, call), *exc_info)
    return run(action, call, request, start)


def _send(
    path: str, environ: Environ, start_response: StartResponse, status: int, content: Any, call: Call | None,
    for_browser: Pairs = (), *exc_info: Any,
) -> list[bytes]:
    status, body = encode(path, status, content, call)
    start_response(status_line(status), with_given(headers_of(status, body), call, for_browser), *exc_info)
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
