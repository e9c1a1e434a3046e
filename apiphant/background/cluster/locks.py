"""One run of a task at a time on all machines: a lock in redis that is renewed while the task runs.

A lock that is not renewed for `TTL` seconds is gone: so long does a machine that died keep its tasks from the others. When
renewing fails, the run goes on and the log says once that it may overlap; the lock is taken again as soon as that works.
What renews is a real thread with a loop and connections of its own: a task that never waits keeps its lock, too.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
from redis import Redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from ...threads import start_thread
from ...words import reason

TTL = 5.0  # seconds
RENEWAL = 1.0  # seconds

log = logging.getLogger(__name__)


class Locks:
    """Of one runner; `connect` makes a client."""

    def __init__(self, connect: Callable[[], Redis], prefix: str) -> None:
        self._client = connect()
        self._prefix = prefix
        self._keeper = Keeper(connect())

    @contextmanager
    def hold(self, task: str) -> Iterator[bool]:
        """False where another run holds it. Raises RedisError where that cannot be known."""
        lock = _lock(self._client, f'{self._prefix}:lock:{task}')
        if not lock.acquire():
            yield False
            return
        with self._keeper.keep(lock, task):
            yield True


class Held:
    """A lock as both threads see it: the one that holds it and the one that renews it, each with its own connections."""

    def __init__(self, lock: Lock, client: Redis, task: str) -> None:
        self.task = task
        self.lock = _lock(client, str(lock.name))
        self.lock.local = lock.local  # the token
        self.is_held = True
        self.is_over = False


class Keeper:
    """Renews the locks that are held."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._held: set[Held] = set()
        start_thread(self._run)

    @contextmanager
    def keep(self, lock: Lock, task: str) -> Iterator[None]:
        """And release it."""
        held = Held(lock, self._client, task)
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


def _lock(client: Redis, key: str) -> Lock:
    return Lock(client, key, timeout=TTL, blocking=False, thread_local=False)


def _renew(held: Held) -> None:
    was_held, why = held.is_held, ''
    try:
        held.is_held = held.lock.extend(int(TTL), replace_ttl=True) if was_held else _take_again(held.lock)
    except (RedisError, OSError) as error:
        held.is_held, why = False, 'it was lost' if isinstance(error, LockError) else reason(error)
    if held.is_over:
        _release(held.lock)  # it may have been taken again in the same moment
    elif was_held and not held.is_held:
        log.warning('Task %s: its lock cannot be renewed, %s; this run goes on and may overlap with the next', held.task, why)
    elif held.is_held and not was_held:
        log.info('Task %s: its lock is held again', held.task)


def _take_again(lock: Lock) -> bool:
    try:
        return lock.extend(int(TTL), replace_ttl=True)
    except LockError:
        return bool(lock.acquire())


def _release(lock: Lock) -> None:
    try:
        lock.release()
    except (RedisError, OSError):
        pass  # it was said when it was lost; it ends by itself
