"""The call: what a handler may know of who calls, and say of its answer, beside the JSON.

It is made for handlers that take it, for `around`, and for who asks for it with `current_call()`; others pay nothing.
What a server knows of a call is its Host and, of that, the Caller: nothing of it is looked at before somebody asks.
"""
from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cached_property
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import uuid4

from .headers import AnswerHeaders, Headers, Pairs, cookie_line, cookies_of

IDENTITY = re.compile(r'[A-Za-z0-9._~+/=:@-]{1,128}')
REQUEST_ID = 'x-request-id'
NONE = 'there is no call here: current_call() is for code that a call runs; a greenlet that a handler starts has none'
Function = TypeVar('Function', bound=Callable[..., Any])


class Caller(Protocol):
    """Who calls, as the server knows it. `source` is the request, as the server has it: another one for each call."""

    @property
    def source(self) -> object: ...

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def client(self) -> str:
        """The address that is believed."""

    @property
    def is_https(self) -> bool: ...

    @property
    def is_trusted(self) -> bool:
        """Whether the peer is a proxy that is believed."""

    def headers(self) -> Pairs: ...


class Host(Protocol):
    """What runs a call: a connection, or what a WSGI server gave."""

    @property
    def explains(self) -> bool:
        """Whether callers are told where their JSON broke."""

    def give_way(self) -> None:
        """To whatever else is to be done."""

    def caller(self) -> Caller: ...


class Nobody:
    """For a call that no server runs."""

    explains = False

    def give_way(self) -> None:
        """Nobody waits."""

    def caller(self) -> Caller:
        raise LookupError('this call came by no server')


NOBODY = Nobody()


class Call:
    """One call. Attributes of your own may be put on it, `call.user`, for whatever runs in the same call."""

    request: Any = None  # what the handler gets as its first argument
    is_over = False
    _status = 200
    _cookies: tuple[str, ...] = ()

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    if TYPE_CHECKING:  # attributes of one's own
        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    # Of the request

    @property
    def source(self) -> object:
        return self._caller.source

    @property
    def method(self) -> str:
        return self._caller.method

    @property
    def path(self) -> str:
        return self._caller.path

    @property
    def version(self) -> str:
        return self.path.split('/')[2]

    @property
    def target(self) -> str:
        """'shop/items'"""
        return '/'.join(self.path.split('/')[3:-1])

    @property
    def action(self) -> str:
        return self.path.rpartition('/')[2]

    @property
    def client(self) -> str:
        """The client's address, behind proxies that are trusted; '' on a unix socket."""
        return self._caller.client

    @cached_property
    def headers(self) -> Mapping[str, str]:
        return Headers(self._caller.headers())

    @cached_property
    def cookies(self) -> Mapping[str, str]:
        return cookies_of(self.headers.get('cookie', ''))

    @cached_property
    def id(self) -> str:
        """X-Request-Id of a trusted proxy, or one of our own."""
        given = self.headers.get(REQUEST_ID, '') if self._caller.is_trusted else ''
        return given if IDENTITY.fullmatch(given) else uuid4().hex

    # Of the answer

    @property
    def status(self) -> int:
        return self._status

    @status.setter
    def status(self, status: int) -> None:
        if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
            raise ValueError(f'{status!r} is no status of an answer: it should be a number from 200 to 599')
        self._status = int(status)

    @cached_property
    def answer_headers(self) -> AnswerHeaders:
        return AnswerHeaders()

    def set_cookie(
        self, name: str, value: str, *, max_age: int | None = None, http_only: bool = True,
        secure: bool | None = None, same_site: str = 'Lax', path: str = '/',
    ) -> None:
        """Have the browser keep it, for `max_age` seconds or until it is closed; `max_age=0` removes it.

        It is sent back by HTTPS only if it came by that; `secure` says otherwise. Raises ValueError.
        """
        is_secure = self._caller.is_https if secure is None else secure
        line = cookie_line(
            name, value, max_age=max_age, http_only=http_only, secure=is_secure, same_site=same_site, path=path)
        self._cookies = (*self._cookies, line)

    # For the server

    def given_headers(self) -> list[tuple[str, str]]:
        """Those of the answer that were given."""
        given = self.__dict__.get('answer_headers')
        pairs = given.pairs if given else []
        return [*pairs, *(('Set-Cookie', line) for line in self._cookies)] if self._cookies else pairs

    def forget_answer(self) -> None:
        """Nothing that was given is sent: the call failed."""
        self.__dict__.pop('answer_headers', None)
        self._cookies = ()


def with_given(headers: list[tuple[str, str]], call: Call | None, for_browser: Pairs = ()) -> list[tuple[str, str]]:
    """The headers of an answer with those that were given for it, which win, and what its browser has to be told."""
    given = call.given_headers() if call is not None else []
    if not given and not for_browser:
        return headers
    names = {name.lower() for name, _ in given}
    told = () if 'access-control-allow-origin' in names else for_browser
    return [*(pair for pair in headers if pair[0].lower() not in names), *given, *told]


# The current one

_current: ContextVar[Call] = ContextVar('call')
_hosted: set[CodeType] = set()


def runs_calls(function: Function) -> Function:
    """Mark a function that runs calls of a host that it has under the name `host`."""
    _hosted.add(function.__code__)
    return function


def enter(call: Call) -> Any:
    """It is the current one until `leave`."""
    return _current.set(call)


def leave(token: Any) -> None:
    _current.reset(token)


def current_call() -> Call:
    """The call that this code runs for. Raises LookupError outside of one."""
    known = _current.get(None)
    found = _found_on(sys._getframe(1))
    if found is not None and (known is None or known.source is not found.source):
        _current.set(found)
        return found
    if known is None:
        raise LookupError(NONE)
    return known


def _found_on(frame: FrameType | None) -> Call | None:
    """A call object for what runs on this stack."""
    while frame is not None:
        if frame.f_code in _hosted:
            names = frame.f_locals
            return _made(names['host'], names.get('request'))
        frame = frame.f_back
    return None


def _made(host: Host, request: Any) -> Call | None:
    if host is NOBODY:
        return None
    call = Call(host.caller())
    call.request = request
    return call
