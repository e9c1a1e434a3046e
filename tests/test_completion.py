"""What may come next on a line."""
import pytest

from apiphant.dev.command import WORDS, interpret
from apiphant.dev.completion import complete, targets_of

ROUTES = [
    '/api/v0/echo/create', '/api/v0/echo/read', '/api/v0/read/read', '/api/v0/shop/items/read', '/api/v0/shop/items/update', '/api/v0/shop/stock/read',
    '/api/v1/echo/read', '/api/v1/events/read', '/api/v10/late/read']


@pytest.mark.parametrize(('text', 'words'), [
    ('', ['create', 'delete', 'help', 'quit', 'read', 'routes', 'update', 'use']),
    ('   ', ['create', 'delete', 'help', 'quit', 'read', 'routes', 'update', 'use']),
    ('r', ['read', 'routes']),
    ('  re', ['read']),
    ('read', ['read']),
    ('READ', []),
    ('x', []),
    ('read ', ['echo', 'read', 'shop/items', 'shop/stock']),
    ('read   ', ['echo', 'read', 'shop/items', 'shop/stock']),
    ('read e', ['echo']),
    ('read   e', ['echo']),
    ('read shop/', ['shop/items', 'shop/stock']),
    ('read items', []),
    ('create ', ['echo']),
    ('update ', ['shop/items']),
    ('delete ', []),
    ('read echo ', []),
    ('read echo h', []),
    ('use ', ['v0', 'v1', 'v10']),
    ('use v1', ['v1', 'v10']),
    ('use v1 ', []),
    ('help ', []),
    ('bogus ', []),
])
def test_words_that_follow(text: str, words: list[str]) -> None:
    assert complete(text, 'v0', ROUTES) == words


def test_other_version() -> None:
    assert complete('read e', 'v1', ROUTES) == ['echo', 'events']
    assert complete('read ', 'v10', ROUTES) == ['late']


def test_nothing_without_routes() -> None:
    assert complete('read ', 'v0', []) == []
    assert complete('use ', 'v0', []) == []
    assert complete('r', 'v0', []) == ['read', 'routes']


def test_targets_that_exist() -> None:
    assert targets_of('update', 'v0', ROUTES) == ['shop/items']
    assert targets_of('read', 'v2', ROUTES) == []


def test_offers_are_understood() -> None:
    """What is offered at the start of a line is a word that the console knows."""
    assert {*complete('', 'v0', ROUTES)} <= {*WORDS}
    for action in ('create', 'read', 'update'):
        for target in complete(f'{action} ', 'v0', ROUTES):
            assert interpret(f'{action} {target}', 'v0', ROUTES).path in ROUTES
