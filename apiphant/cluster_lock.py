"""One run of a task at a time on all machines: a lock in redis that is renewed while the task runs.

A lock that is not renewed for `TTL` seconds is gone: so long does a machine that died keep its tasks from the others. When
renewing fails, the run goes on and the log says once that it may overlap; the lock is taken again as soon as that works.
"""
from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
from redis import Redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from .cluster_watch import reason

TTL = 5.0  # seconds
RENEWAL = 1.0  # seconds

log = logging.getLogger(__name__)


@contextmanager
def hold(client: Redis, key: str, task: str) -> Iterator[bool]:
    """False where another run holds it. Raises RedisError where that cannot be known."""
    lock = Lock(client, key, timeout=TTL, blocking=False, thread_local=False)
    if not lock.acquire():
        yield False
        return
    renewing = gevent.spawn(_renew, lock, task)
    try:
        yield True
    finally:
        renewing.kill()
        _release(lock)


def _renew(lock: Lock, task: str) -> None:
    is_held = True
    while True:
        gevent.sleep(RENEWAL)
        was_held, why = is_held, ''
        try:
            is_held = lock.extend(TTL, replace_ttl=True) if was_held else lock.acquire()
        except (RedisError, OSError) as error:
            is_held, why = False, 'it was lost' if isinstance(error, LockError) else reason(error)
        if was_held and not is_held:
            log.warning('Task %s: its lock cannot be renewed, %s; this run goes on and may overlap with the next', task, why)
        elif is_held and not was_held:
            log.info('Task %s: its lock is held again.', task)


def _release(lock: Lock) -> None:
    try:
        lock.release()
    except (RedisError, OSError):
        pass  # it was said when it was lost; it ends by itself
