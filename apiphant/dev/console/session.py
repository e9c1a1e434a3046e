"""A product that is served, and what lines can do with it, wherever they come from."""
from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from ... import address
from ...address import Address
from ...api.product import Product
from ..control import agent
from ..escapes import Out
from ..line.calls import suggestion
from ..line.command import interpret
from ..line.context import BadLine, Context
from ..line.effect import Ask, Call, Do, Effect, Keep, Save, Send, Unsend, Use
from ..line.sticky import Sticky
from ..source.fields import Description, describe
from .reply import CallError, Reply
from .supervise import Lender, Supervisor
from .watch import Watcher

SETTLE = 0.05  # seconds that log lines of a call have to come before its answer is shown
DEFAULT_VERSION = 'v0'


class Session:
    """A product being served, and what lines can do with it."""

    def __init__(self, product: Product, place: Address, supervisor: Supervisor) -> None:
        self.product = product
        self.address = place
        self.supervisor = supervisor
        self._version = ''
        self._call: Call | None = None  # the last one
        self._status = 0
        self._answer: Callable[[], Any] = lambda: None
        self._names: dict[str, Any] = {}
        self._sticky = Sticky()
        self._described: dict[Path, tuple[float, Mapping[str, Description]]] = {}

    @property
    def version(self) -> str:
        """What `use` said; else v0, or the first that there is."""
        if self._version:
            return self._version
        versions = self.supervisor.routes.versions
        return versions[0] if versions and DEFAULT_VERSION not in versions else DEFAULT_VERSION

    @property
    def context(self) -> Context:
        """What lines refer to at the moment."""
        routes, url = self.supervisor.routes, self.address.reachable.url
        return Context(self.version, routes, url, self._call, self._status, self._answer, self.describe,
                       self._names, self._sticky)

    def interpret(self, line: str) -> Effect:
        """The effect of a line, already had where it is only the session's. Raises BadLine."""
        if line.strip():
            self.supervisor.settled.wait()
        effect = interpret(line, self.context)
        match effect:
            case Use(version):
                self._version = version
            case Keep(name, value):
                self._names[name] = value
            case Send():
                self._sticky = self._sticky.with_(effect)
            case Unsend(names):
                self._sticky = self._sticky.without(names)
            case Do('restart'):
                self.supervisor.restart('as you asked')
        return effect

    def call(self, call: Call, *, is_kept: bool = True) -> Reply:
        """The answer, kept as the last one. Raises CallError."""
        self._check_app()
        from . import client  # noqa: PLC0415  # http.client takes 30 ms, for which the prompt need not wait
        body = json.dumps({**self._sticky.fields, **call.request}).encode()
        reply: Reply = client.post(self.address, call.path, body, agent(os.getpid()), self._sticky.headers)
        if is_kept:
            self._call, self._status, self._answer = call, reply.status, cache(partial(_content, reply.body))
        return reply

    def _check_app(self) -> None:
        if self.supervisor.is_waiting:
            raise CallError('no answer: the app process does not start; it is tried again when a file is saved')

    def suggestion(self, call: Call, reply: Reply) -> str:
        """What was perhaps meant by a call that nothing answers to."""
        routes = self.supervisor.routes
        if reply.status != 404 or routes.has(call.version, call.target, call.action):
            return ''
        return suggestion(call, routes)

    def ask(self, question: Ask) -> str:
        """What the app says to it. Raises CallError, also where it could not do what was asked."""
        self._check_app()
        answer, is_failed = self.supervisor.ask(question.what, **question.details)
        if is_failed:
            self.settle()
            raise CallError(answer)
        return answer

    def save(self, what: Save) -> str:
        """Keep a call and its answer in the product's tests; what was done, in words. Raises BadLine."""
        from ..source.literals import CannotRecord  # noqa: PLC0415  # these take 20 ms
        from ..source.record import record  # noqa: PLC0415
        from ..source.tested import Answered  # noqa: PLC0415
        path, call = self.product.api / 'test.py', what.call
        answered = Answered(call.target, call.action, call.request, what.status, what.answer, call.version)
        try:
            is_replaced = record(path, answered)
        except (CannotRecord, OSError) as error:
            raise BadLine(f'not saved: {error}') from None
        place = path.relative_to(self.product.path.parent)
        return f'Replaced in {place}' if is_replaced else f'Added to {place}{self._for_another_place()}'

    def _for_another_place(self) -> str:
        """Said where a test would not call this app unless its file says so."""
        place = self.address.reachable
        if str(place) == address.DEFAULT:
            return ''
        return f'; it is for {address.DEFAULT}, unless config.update(...) there names {place}'

    def describe(self, version: str, target: str) -> Mapping[str, Description]:
        """What the actions of a target take, by its source as it is now."""
        base = self.product.api / version / target
        for path in (base / '__init__.py', Path(f'{base}.py')):
            try:
                changed = path.stat().st_mtime
                if path not in self._described or self._described[path][0] != changed:
                    self._described[path] = changed, describe(path.read_text('utf-8', 'replace'))
                return self._described[path][1]
            except (OSError, ValueError):
                continue
        return {}

    def settle(self) -> None:
        """Let log lines of what was just answered come first."""
        self.supervisor.settle(SETTLE)


def _content(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@contextmanager
def started(product: Product, listener: socket.socket, out: Out, poll: float | None,
            lender: Lender | None = None) -> Iterator[Session]:
    """A session with its app and its watcher running; `out` gets what they have to say, `lender` has the terminal."""
    supervisor = Supervisor(product, listener, out.write, out.say, lender)
    try:
        Watcher(product.path, supervisor.look, lambda: supervisor.files, out.say, poll=poll).start()
        yield Session(product, address.of(listener), supervisor)
    finally:
        supervisor.stop()
