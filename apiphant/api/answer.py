"""The pure core: action, method, path and body in; status and object out.

One call is one unit of work, supervised in `answer`: whatever a handler raises, SystemExit and GreenletExit included,
is logged there and becomes a 500 that says nothing of it.
"""
from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from ..tracebacks import is_from_outside
from ..validation import ApiError, BadRequest, status_line
from .actions import Action
from .bad_json import explained
from .call import NOBODY, Call, Host, runs_calls
from .encoding import NotJson, encode_json, encode_lax
from .origin import PROGRAM, Page, say_refused
from .request import Request, adopt
from .run import answer_of, run
from .signature import shown

log = logging.getLogger(__name__)

NOT_AN_OBJECT = 'Request content should be JSON Object'
INTERNAL_ERROR = {'error': status_line(500)}
WITHOUT_BODY = (204, 205, 304)

_decode = msgspec.json.Decoder().decode

MAX_BODY = 1024 * 1024  # bytes, as nginx has it
LARGE = 64 * 1024  # bytes of a body that may have very many parts


class NotAnObject(BadRequest):
    """The body is no JSON object. In dev, the answer also says where it broke."""

    def __init__(self, body: bytes, host: Host) -> None:
        super().__init__(NOT_AN_OBJECT)
        self.explain = explained(body) if host.explains else ''


def error_content(error: ApiError) -> dict[str, Any]:
    """The object that answers with an error."""
    if isinstance(error, NotAnObject) and error.explain:
        return {'error': error.error, 'explain': error.explain}
    return {'error': error.error}


def parse(body: bytes, host: Host = NOBODY) -> Request:
    """The request in a body: strict RFC 8259, exact integers of up to 4300 digits. Raises BadRequest.

    The host gives way to others in between.
    """
    if len(body) < LARGE or not gc.isenabled():
        return _parse(body, host, host.give_way)
    return _parse_at_once(body, host)


def _parse(body: bytes, host: Host, give_way: Callable[[], None]) -> Request:
    try:
        content = _decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAnObject(body, host) from None
    if type(content) is not dict:
        raise NotAnObject(body, host)
    return adopt(content, give_way)


def _parse_at_once(body: bytes, host: Host) -> Request:
    """Without looks for garbage, but for others: they take longer the more there is, and would find none."""
    def let_others() -> None:
        gc.enable()
        host.give_way()
        gc.disable()

    gc.disable()
    try:
        return _parse(body, host, let_others)
    finally:
        gc.enable()


@runs_calls
def answer(
    action: Action | None, method: str, path: str, body: bytes, page: Page = PROGRAM, host: Host = NOBODY,
    call: Call | None = None,
) -> tuple[int, Any]:
    """The status and the object of a call of what was found at its path: 403 for a page that may not. Raises nothing.

    An action that needs a call has to get one.
    """
    try:
        if action is None:
            raise ApiError(404)
        if method != 'POST':
            if page.is_preflight:
                return 204, None
            raise ApiError(501)
        if page.why_foreign:
            say_refused(method, path, page.why_foreign)
            raise ApiError(403)
        request = parse(body, host)
        if call is not None:
            content = run(action, call, request)
            return call.status, content
        content = action.handler(request)
        return 200, content if isinstance(content, dict) else answer_of(action.handler, content)
    except ApiError as error:
        return error.status, error_content(error)
    except BaseException as error:
        say_failed(method, path, action, error)
        return failed(call)


def say_failed(method: str, path: str, action: Action | None, error: BaseException) -> None:
    """With its traceback; where that has no line of the product's, the handler is named."""
    where = '' if action is None or is_from_outside(error) else f' in {shown(action.handler)}'
    log.error('%s %s failed%s:', method, path, where, exc_info=error)


def failed(call: Call | None) -> tuple[int, Any]:
    """The answer of a call that did not end as it should: of what the handler began to say, nothing is sent."""
    if call is not None:
        call.forget_answer()
    return 500, INTERNAL_ERROR


def reply(
    action: Action | None, method: str, path: str, body: bytes, page: Page = PROGRAM, host: Host = NOBODY,
    call: Call | None = None,
) -> tuple[int, bytes]:
    """The status and the body to send. Raises nothing."""
    status, content = answer(action, method, path, body, page, host, call)
    if status == 200:
        try:
            encoded = encode_lax(content)
            if b'null' not in encoded:
                return 200, encoded
        except Exception:  # `encode` says why
            pass
    return encode(path, status, content, call)


def encode(path: str, status: int, content: Any, call: Call | None = None) -> tuple[int, bytes]:
    """The status and the body to send: 500 for content that JSON has no way to say. Raises nothing."""
    if status in WITHOUT_BODY:
        return status, b''
    try:
        return status, encode_json(content)
    except NotJson as error:
        log.error('The answer of %s cannot be JSON: %s', path, error)
        status, content = failed(call)
        return status, encode_json(content)


def headers_of(status: int, body: bytes) -> list[tuple[str, str]]:
    if status == 205:
        return [('Content-Length', '0')]
    if status in WITHOUT_BODY:
        return []
    headers = [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))]
    return [*headers, ('Allow', 'POST')] if status == 501 else headers
