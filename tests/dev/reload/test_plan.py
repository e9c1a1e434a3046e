"""What a change concerns, without files: letters for modules, numbers for their generations."""
from dataclasses import dataclass, field

import pytest

from apiphant.dev.reload.plan import choose, dirty, readers, stale

IMPORTS = {'a': {'tax'}, 'b': {'mid'}, 'mid': {'tax'}, 'c': set(), 'tax': set()}


@dataclass
class Attempt:
    reads: dict = field(default_factory=dict)


@pytest.mark.parametrize(('changed', 'expected'), [
    ('', ''), ('c', 'c'), ('a', 'a'), ({'mid'}, {'mid', 'b'}), ({'tax'}, {'tax', 'mid', 'a', 'b'}), ({'new'}, {'new'})])
def test_dirty(changed, expected):
    assert dirty(set(changed), set(), IMPORTS) == set(expected)


def test_fresh_is_not_imported_twice():
    """It was imported by something else since it appeared; whoever went without it has to look again."""
    assert dirty({'tax'}, {'tax'}, IMPORTS) == {'mid', 'a', 'b'}
    assert dirty({'tax', 'mid'}, {'mid'}, IMPORTS) == {'tax', 'mid', 'a', 'b'}


def test_files_that_were_read():
    attempts = {'a': Attempt({'/x.json': 'old', '/gone': 'old'}), 'b': Attempt({'/x.json': 'new', '/not/there': ''})}
    digests = {'/x.json': 'new', '/gone': ''}
    assert stale(attempts, digests) == {'/x.json', '/gone'}
    assert readers({'/x.json'}, attempts) == {'a', 'b'}
    assert readers({'/gone'}, attempts) == {'a'}


def live(*names):
    return dict.fromkeys(names, 1)


def staged(*names):
    return dict.fromkeys(names, 2)


@pytest.mark.parametrize(('new', 'broken', 'expected'), [
    (staged('tax', 'mid', 'a', 'b'), '', {'tax': 2, 'mid': 2, 'a': 2, 'b': 2, 'c': 1}),
    (staged('tax', 'a'), ['mid', 'b'], {'tax': 2, 'a': 2, 'mid': 1, 'b': 1, 'c': 1}),  # the rest commits
    ({}, ['tax', 'mid', 'a', 'b'], live('tax', 'mid', 'a', 'b', 'c')),
])
def test_choose(new, broken, expected):
    before = live('tax', 'mid', 'a', 'b', 'c')
    assert choose(before, {'c': 1, **new}, {'tax', 'mid', 'a', 'b'}, set(broken), IMPORTS) == expected


def test_broken_that_never_was_good():
    assert choose(live('c'), live('c'), {'a'}, {'a'}, IMPORTS) == live('c')
    assert choose(live('a'), {}, {'a', 'new'}, {'a', 'new'}, {'a': {'new'}}) == live('a')


def test_deleted_is_gone_unless_broken_ones_need_it():
    assert choose(live('tax', 'c'), live('c'), {'tax'}, set(), IMPORTS) == live('c')
    assert choose(live('tax', 'a', 'c'), live('c'), {'tax', 'a'}, {'a'}, IMPORTS) == live('tax', 'a', 'c')
