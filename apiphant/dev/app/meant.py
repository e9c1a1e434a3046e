"""What a caller perhaps meant who called something that is not there."""
from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nsmallest

LONGEST = 200  # characters of a path that is looked at
LIKELY = 100  # routes that are compared letter by letter
NEAR = 0.8


def meant(routes: Iterable[str], method: str, path: str, status: int) -> str:
    """The route, or the method; '' where nothing is near."""
    if status == 501:
        return 'POST'
    if status != 404 or len(path) > LONGEST or path.count('/') < 2:
        return ''
    likely = _likely(routes, path)
    ends = [route for route in likely if route.endswith(_end(path))]
    begins = [route for route in likely if route.startswith(path.rstrip('/') + '/')]
    near = get_close_matches(path, likely, 1, NEAR)
    return next(iter([*near, *ends, *begins]), '')


def _end(path: str) -> str:
    """Target and action, below any other folder."""
    return '/' + path.strip('/').removeprefix('api/').partition('/')[2]


def _likely(routes: Iterable[str], path: str) -> list[str]:
    """Those that have most parts of the path, and are about as long; to compare takes too long for all of them."""
    parts = set(path.lower().split('/')) - {'', 'api'}

    def distance(route: str) -> tuple[int, int]:
        return -len(parts.intersection(route.split('/'))), abs(len(route) - len(path))
    return nsmallest(LIKELY, routes, key=distance)
