"""How often `on_error` is called, on all machines together: as `Throttle` decides, with the counts in redis."""
from __future__ import annotations

from redis import Redis
from redis.exceptions import RedisError

from ..on_error import QUIET, Throttle

FORGOTTEN = 3600  # seconds after which errors that were not told count no more


class SharedThrottle(Throttle):
    """While redis is away, each runner counts for itself."""

    def __init__(self, client: Redis, prefix: str) -> None:
        super().__init__()
        self._client = client
        self._prefix = prefix

    def count(self, key: str, now: float) -> int:
        """How many errors like this one are to be told now, itself with them; 0 while that has to wait."""
        try:
            return self._count(key)
        except (RedisError, OSError):
            return super().count(key, now)

    def _count(self, error: str) -> int:
        told, untold = f'{self._prefix}:told:{error}', f'{self._prefix}:untold:{error}'
        with self._client.pipeline() as pipe:
            pipe.incr(untold)
            pipe.expire(untold, FORGOTTEN)
            pipe.set(told, 1, nx=True, ex=int(QUIET))
            if not pipe.execute()[-1]:
                return 0
        return self._take(untold)

    def _take(self, untold: str) -> int:
        with self._client.pipeline() as pipe:
            pipe.get(untold)
            pipe.delete(untold)
            return int(pipe.execute()[0] or 1)
