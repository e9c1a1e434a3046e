"""Routes as they are looked up while typing."""
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiphant.api.actions import ACTIONS
from apiphant.dev.line.route_index import Routes
from tests.kit.cpu import cpu_time

MANY = 10_000
TARGETS = [f'shop{number % 7}/part{number % 50}/item{number}' for number in range(MANY)]
LARGE = Routes(f'/api/v0/{target}/{action}' for target in TARGETS for action in ACTIONS)
NAMES = st.text('ab_é', min_size=1, max_size=3)
SOME_TARGETS = st.sets(st.lists(NAMES, min_size=1, max_size=4).map('/'.join), max_size=30)
PREFIXES = st.text('ab_é/', max_size=6)


def routes_to(targets: set[str]) -> Routes:
    return Routes(f'/api/v0/{target}/read' for target in targets)


def naive_segments(prefix: str, targets: list[str]) -> list[str]:
    rests = [target[len(prefix):].partition('/') for target in sorted(targets) if target.startswith(prefix)]
    return list(dict.fromkeys(prefix + name + slash for name, slash, _ in rests))


@given(SOME_TARGETS, PREFIXES, st.integers(0, 5))
def test_as_naive(targets: set[str], prefix: str, most: int) -> None:
    routes = routes_to(targets)
    assert list(routes.targets('v0', 'read')) == sorted(targets)
    assert routes.starting(prefix, 'v0', 'read', most) == [
        target for target in sorted(targets) if target.startswith(prefix)][:most]
    assert routes.segments(prefix, 'v0', 'read') == naive_segments(prefix, [*targets])


@pytest.mark.parametrize('prefix', [
    '', 's', 'shop', 'shop3', 'shop3/', 'shop3/part1', 'shop3/part17/', 'shop0/part0/item70', TARGETS[77],
    f'{TARGETS[77]}/', 't', 'shop9'])
def test_large_as_naive(prefix: str) -> None:
    assert LARGE.segments(prefix, 'v0', 'read') == naive_segments(prefix, TARGETS)
    expected = islice((target for target in sorted(TARGETS) if target.startswith(prefix)), 31)
    assert LARGE.starting(prefix, 'v0', 'delete', 31) == list(expected)


def test_large_at_once() -> None:
    """In a small part of what it takes to go through all of them; the first look-up makes the index."""
    prefixes = ['', 'shop', 'shop3/', 'shop3/part17/', 'x']

    def look_up() -> None:
        for prefix in prefixes:
            LARGE.segments(prefix, 'v0', 'read')
            LARGE.starting(prefix, 'v0', 'read', 31)
            LARGE.has('v0', f'{prefix}part0/item0', 'read')
    assert 20 * cpu_time(look_up) < cpu_time(lambda: [naive_segments(prefix, TARGETS) for prefix in prefixes])


def test_segments_beside_target() -> None:
    """A target that is a folder as well, and names that sort before the slash."""
    routes = routes_to({'shop', 'shop-x', 'shop/a', 'shop/b/c', 'shop0'})
    assert routes.segments('', 'v0', 'read') == ['shop', 'shop-x', 'shop/', 'shop0']
    assert routes.segments('shop/', 'v0', 'read') == ['shop/a', 'shop/b/']


@pytest.mark.parametrize(('version', 'target', 'action', 'is_there'), [
    ('v0', 'shop3/part3/item3', 'read', True), ('v0', 'shop3/part3', 'item3', False),
    ('v0', 'shop3/part3/item3/', 'read', False),
    ('v1', 'shop3/part3/item3', 'read', False), ('', '', '', False)])
def test_has(version: str, target: str, action: str, is_there: bool) -> None:
    assert LARGE.has(version, target, action) is is_there


def test_around() -> None:
    routes = routes_to({'a', 'b', 'c', 'd', 'e'})
    assert routes.around('c', 'v0', 'read', 2) == ['b', 'c']
    assert routes.around('0', 'v0', 'read', 2) == ['a', 'b']
    assert routes.around('z', 'v0', 'read', 4) == ['d', 'e']
    assert routes.around('c', 'v1', 'read', 4) == ()


def test_versions_in_order() -> None:
    paths = [f'/api/{version}/echo/read' for version in ('v10', 'v2', 'v0', 'v1')]
    routes = Routes(paths)
    assert routes.versions == ['v0', 'v1', 'v2', 'v10']
    assert routes.paths == sorted(paths)


def test_actions_in_the_order_of_crud() -> None:
    paths = [f'/api/v0/echo/{action}' for action in ('create', 'read', 'update', 'delete')]
    assert Routes(sorted(paths)).paths == paths


def test_actions() -> None:
    routes = Routes(['/api/v0/echo/read', '/api/v0/echo/create', '/api/v1/echo/delete'])
    assert list(routes.actions('v0', 'echo')) == ['create', 'read']
    assert list(routes.actions('v1', 'echo')) == ['delete']
    assert list(routes.actions('v2', 'echo')) == list(routes.actions('v0', 'no')) == []


def test_empty() -> None:
    routes = Routes([])
    assert (routes.paths, routes.versions, list(routes.targets('v0', 'read'))) == ([], [], [])
    assert routes.starting('', 'v0', 'read', 9) == routes.segments('', 'v0', 'read') == []
    assert not routes.has('v0', 'echo', 'read')


def test_looking_up_keeps_nothing() -> None:
    """What is not there is not there afterwards."""
    routes = Routes([])
    routes.targets('v9', 'read')
    routes.actions('v9', 'echo')
    assert routes.versions == []
