"""What an answer may hold, how it is said in JSON, and the place of what it may not."""
from __future__ import annotations

import dataclasses
import json
import math
from collections import OrderedDict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiphant.api.encoding import NotJson, encode_json
from tests.kit.running import dev, production, write_tree

FAILED = {'error': '500 Internal Server Error'}
NAN, INFINITY = float('nan'), float('inf')
WHEN = datetime(2026, 11, 27, 16, 4, 2, tzinfo=UTC)


class Text(str):
    """As of templates and ORMs."""
    __slots__ = ()


class Number(float):
    """As numpy has it."""


class Count(int):
    pass


class Colour(Enum):
    RED = 'red'
    PAIR = (1, 2)
    ODD = object()


class Level(IntEnum):
    LOW = 1


class Rights(Flag):
    READ = 1


@dataclasses.dataclass
class Money:
    amount: Any
    currency: str = 'EUR'


class Item(msgspec.Struct):
    price: Any
    more: Any = None


class Unknown:
    pass


class Shy(dict):
    def items(self):
        raise ValueError('secret')

    def __iter__(self):
        raise ValueError('secret')


Point = namedtuple('Point', 'x y')

SAID = [
    (WHEN, '2026-11-27T16:04:02Z'), (WHEN.replace(tzinfo=None), '2026-11-27T16:04:02'),
    (date(2026, 1, 2), '2026-01-02'),
    (time(1, 2), '01:02:00'), (timedelta(seconds=5), 'PT5S'), (Decimal('1.10'), '1.10'),
    (UUID(int=1), '00000000-0000-0000-0000-000000000001'), (Colour.RED, 'red'), (Colour.PAIR, [1, 2]), (Level.LOW, 1),
    (Rights.READ, 1), (Money(Decimal(3)), {'amount': '3', 'currency': 'EUR'}),
    (Item(1.5), {'price': 1.5, 'more': None}),
    (Point(1, 2), [1, 2]), (OrderedDict(a=1), {'a': 1}), ({3}, [3]), ((1,), [1]), (b'ab', 'YWI='),
    (Text('a'), 'a'), (Number(1.5), 1.5), (Count(3), 3), (MappingProxyType({'a': 1}), {'a': 1}), (deque([1]), [1]),
    ({1: 'a', 1.5: 'b', Colour.RED: 'c'}, {'1': 'a', '1.5': 'b', 'red': 'c'}), (2**70, 2**70), (None, None),
]


@pytest.mark.parametrize(('value', 'said'), SAID, ids=str)
def test_said(value: Any, said: Any) -> None:
    assert json.loads(encode_json({'value': value})) == {'value': said}


CIRCLE: dict[str, Any] = {}
CIRCLE['again'] = CIRCLE
DEEP: Any = 1
for _ in range(100_000):  # more than any Python follows
    DEEP = [DEEP]
NOT_SAID = [
    ({'items': [0, 1, 2, {'price': NAN}]}, 'items.3.price is NaN'),
    ({'a': None, 'b': (1, INFINITY)}, 'b.1 is Infinity'), ({'a': -INFINITY}, 'a is -Infinity'),
    ({'a': Money(NAN)}, 'a.amount is NaN'), ({'a': [Item(1, more={'b': NAN})]}, 'a.0.more.b is NaN'),
    ({'a': {NAN}}, 'a.0 is NaN'), ({'a': Number('nan')}, 'a is NaN'), ({'big': 2**70, 'a': NAN}, 'a is NaN'),
    ({'a': deque([NAN])}, 'a.0 is NaN'), ({'a': MappingProxyType({'b': NAN})}, 'a.b is NaN'),
    ({'items': [{'price': 1}, {'price': Unknown()}]}, 'items.1.price is of type tests.api.test_encoding.Unknown'),
    ({'a': 1j}, 'a is of type complex'), ({'a': Path('/x')}, 'a is of type pathlib.'),
    ({'a': (i for i in 'ab')}, 'a is of type generator'), ({'a': Unknown}, 'a is of type type'),
    ({'a': Money(Unknown())}, 'a.amount is of type tests.api.test_encoding.Unknown'),
    ({'a': Colour.ODD}, 'a is of type tests.api.test_encoding.Colour'),
    ({'a': ValueError('secret')}, 'a is of type ValueError'),
    ({'a': {None: 1}}, 'a has the key None'), ({(1, 2): 1}, 'it has the key (1, 2)'),
    ({'a': {'k\ud800': 1}}, 'a has the key'), ({'a': ['\ud800']}, 'a.0 is text with a lone surrogate'),
    ({'a': 10**5000}, 'a is an integer of more than'), (CIRCLE, 'again refers to itself, or is nested too deep'),
    ({'a': [1, {'b': DEEP}]}, 'is nested too deep'),
    ({'a': Shy(b=Unknown())}, 'a cannot be looked at: ValueError'),
    ({'a\x1b[2J': Unknown()}, r'a\x1b[2J is of type'),
]


@pytest.mark.parametrize(('content', 'said'), NOT_SAID, ids=[said for _, said in NOT_SAID])
def test_place(content: Any, said: str) -> None:
    with pytest.raises(NotJson) as caught:
        encode_json(content)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert 'secret' not in str(caught.value)
    assert len(str(caught.value)) < 400


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.builds(Item, inner, inner), max_leaves=20)


def has_odd_number(value: Any) -> bool:
    if isinstance(value, Item):
        return has_odd_number(value.price) or has_odd_number(value.more)
    if isinstance(value, dict):
        return any(map(has_odd_number, value.values()))
    if isinstance(value, list):
        return any(map(has_odd_number, value))
    return isinstance(value, float) and not math.isfinite(value)


@given(st.dictionaries(st.text(), VALUES))
def test_no_other_number_gets_out(content: Any) -> None:
    """Exactly those that have one are refused."""
    try:
        encode_json(content)
        is_refused = False
    except NotJson:
        is_refused = True
    assert is_refused is has_odd_number(content)


SHOP = '''
from apiphant.server import raw_environ
from apiphant.validation import ApiError

def read(request):
    return {'items': [0, 1, 2, {'price': float('nan')}]}

@raw_environ
def create(environ):
    return {'items': [{'price': object()}]}

def update(request):
    raise ApiError(409, {'why': float('inf')})

'''


@pytest.mark.parametrize('serve', [dev, production], ids=['dev', 'production'])
def test_served(tmp_path: Path, serve: Any) -> None:
    """A 500 that says nothing, and a line that names route, place and handler."""
    write_tree(tmp_path, {'shop/api/v0/x.py': SHOP})
    said = {
        'read': r'The answer of /api/v0/x/read cannot be JSON: items\.3\.price is NaN',
        'create': r'The answer of /api/v0/x/create cannot be JSON: items\.0\.price is of type object',
        'update': r'The answer of /api/v0/x/update cannot be JSON: error\.why is Infinity',
    }
    with serve(tmp_path / 'shop') as server:
        for action, line in said.items():
            assert server.post(f'/api/v0/x/{action}', {}) == (500, FAILED)
            server.wait_for_line(line)


BELOW = '''
class Handler:
    @property
    def __signature__(self):
        raise ValueError

    def __call__(self):
        return {}

read = Handler()
'''


@pytest.mark.parametrize('serve', [dev, production], ids=['dev', 'production'])
def test_wrong_call_that_nobody_saw(tmp_path: Path, serve: Any) -> None:
    """The traceback has no line of the product's: the handler is named."""
    write_tree(tmp_path, {'shop/api/v0/x.py': BELOW})
    with serve(tmp_path / 'shop') as server:
        assert server.post('/api/v0/x/read', {}) == (500, FAILED)
        server.wait_for_line(r'POST /api/v0/x/read failed in Handler at .*shop/api/v0/x\.py:7:')
