"""One run of a task at a time on all machines: a lock in redis that is renewed while the task runs.

A lock that is not renewed for `TTL` seconds is gone: so long does a machine that died keep its tasks from the others.
When renewing fails, the run goes on and the log says once that it may overlap. The lock is taken again as soon as that
works. What renews is a real thread with a loop and connections of its own, so that a task that never waits keeps its
lock, too.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import gevent
from redis import Redis
from redis.exceptions import RedisError

from ...threads import start_thread
from ...words import reason

TTL = 5.0  # seconds
RENEWAL = 1.0  # seconds
MILLISECONDS = int(TTL * 1000)
EXTEND = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2]) or 0"
RELEASE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0"

log = logging.getLogger(__name__)


class Lock:
    """A key that holds a token of ours; others have other tokens. All methods raise RedisError."""

    def __init__(self, client: Redis, key: str, token: str) -> None:
        self.key = key
        self.token = token
        self._client = client
        self._extend = client.register_script(EXTEND)
        self._release = client.register_script(RELEASE)

    def acquire(self) -> bool:
        """Returns whether it was free."""
        return bool(self._client.set(self.key, self.token, nx=True, px=MILLISECONDS))

    def extend(self) -> bool:
        """Returns whether it was still ours."""
        return bool(self._extend(keys=[self.key], args=[self.token, MILLISECONDS]))

    def release(self) -> None:
        self._release(keys=[self.key], args=[self.token])


class Locks:
    """The locks of one runner; `connect` makes a client."""

    def __init__(self, connect: Callable[[], Redis], prefix: str) -> None:
        self._client = connect()
        self._prefix = prefix
        self._renewer = Renewer(connect())

    @contextmanager
    def hold(self, task: str) -> Iterator[bool]:
        """False where another run holds it. Raises RedisError where that cannot be known."""
        lock = Lock(self._client, f'{self._prefix}:lock:{task}', uuid4().hex)
        if not lock.acquire():
            yield False
            return
        with self._renewer.keep(lock, task):
            yield True


class HeldLock:
    """A lock as the thread that renews it sees it, with that thread's own connections."""

    def __init__(self, lock: Lock, client: Redis, task: str) -> None:
        self.task = task
        self.lock = Lock(client, lock.key, lock.token)
        self.is_held = True
        self.is_over = False


class Renewer:
    """Renews the locks that are held."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._held: set[HeldLock] = set()
        start_thread(self._run)

    @contextmanager
    def keep(self, lock: Lock, task: str) -> Iterator[None]:
        """Renew the lock inside the block, and release it at the end."""
        held = HeldLock(lock, self._client, task)
        self._held.add(held)
        try:
            yield
        finally:
            self._held.discard(held)
            held.is_over = True
            _release(lock)

    def _run(self) -> None:
        while True:
            gevent.sleep(RENEWAL)
            gevent.joinall([gevent.spawn(_renew, held) for held in tuple(self._held)])


def _renew(held: HeldLock) -> None:
    was_held, why = held.is_held, 'it was lost'
    try:
        held.is_held = held.lock.extend() or (not was_held and held.lock.acquire())
    except (RedisError, OSError) as error:
        held.is_held, why = False, reason(error)
    if held.is_over:
        _release(held.lock)  # it may have been taken again in the same moment
    else:
        _tell_change(held, was_held, why)


def _tell_change(held: HeldLock, was_held: bool, why: str) -> None:
    if was_held and not held.is_held:
        told = 'Task %s: its lock cannot be renewed, %s; this run goes on and may overlap with the next'
        log.warning(told, held.task, why)
    elif held.is_held and not was_held:
        log.info('Task %s: its lock is held again', held.task)


def _release(lock: Lock) -> None:
    try:
        lock.release()
    except (RedisError, OSError):
        pass  # it was said when it was lost; it ends by itself
