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

from ..validation import ApiError, BadRequest, status_line
from .actions import Action
from .origin import say_refused
from .request import Request, adopt

log = logging.getLogger(__name__)

NOT_AN_OBJECT = 'Request content should be JSON Object'
INTERNAL_ERROR = {'error': status_line(500)}
WITHOUT_BODY = (204, 205, 304)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

MAX_BODY = 1024 * 1024  # bytes, as nginx has it
LARGE = 64 * 1024  # bytes of a body that may have very many parts


def go_on() -> None:
    """Nobody waits."""


def parse(body: bytes, give_way: Callable[[], None] = go_on) -> Request:
    """The request in a body: strict RFC 8259, exact integers of up to 4300 digits. Raises BadRequest.

    `give_way()` lets others have their turn in between.
    """
    return _parse(body, give_way) if len(body) < LARGE or not gc.isenabled() else _parse_at_once(body, give_way)


def _parse(body: bytes, give_way: Callable[[], None]) -> Request:
    try:
        content = _decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(NOT_AN_OBJECT) from None
    if type(content) is not dict:
        raise BadRequest(NOT_AN_OBJECT)
    return adopt(content, give_way)


def _parse_at_once(body: bytes, give_way: Callable[[], None]) -> Request:
    """Without looks for garbage, but for others: they take longer the more there is, and would find none."""
    def let_others() -> None:
        gc.enable()
        give_way()
        gc.disable()

    gc.disable()
    try:
        return _parse(body, let_others)
    finally:
        gc.enable()


def answer(
    action: Action | None, method: str, path: str, body: bytes, why_foreign: str = '',
    give_way: Callable[[], None] = go_on,
) -> tuple[int, Any]:
    """The status and the object of a call of what was found at its path: 403 with a `why_foreign`. Raises nothing."""
    try:
        if action is None:
            raise ApiError(404)
        if method != 'POST':
            raise ApiError(501)
        if why_foreign:
            say_refused(path, why_foreign)
            raise ApiError(403)
        content = action.handler(parse(body, give_way))
        return 200, content if isinstance(content, dict) else _content(action, content)
    except ApiError as error:
        return error.status, {'error': error.error}
    except BaseException:
        log.exception('%s %s failed:', method, path)
        return 500, INTERNAL_ERROR


def reply(
    action: Action | None, method: str, path: str, body: bytes, why_foreign: str = '',
    give_way: Callable[[], None] = go_on,
) -> tuple[int, bytes]:
    """The status and the body to send. Raises nothing."""
    status, content = answer(action, method, path, body, why_foreign, give_way)
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
    if status == 205:
        return [('Content-Length', '0')]
    if status in WITHOUT_BODY:
        return []
    headers = [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))]
    return [*headers, ('Allow', 'POST')] if status == 501 else headers


def _content(action: Action, content: Any) -> dict[str, Any]:
    """What a handler returned, if that can be an answer. Raises TypeError."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        name = f'{action.handler.__module__}.{action.handler.__qualname__}'
        raise TypeError(f'{name} returned {type(content).__name__}, not a dict or None')
    return content
