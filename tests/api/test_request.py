import copy
import pickle

import msgspec
import pytest

from apiphant.api.request import Request, convert


def test_attributes_at_every_depth():
    request = Request({'user': {'name': 'x', 'tags': [{'id': 1}, [{'id': 2}]]}})
    assert request.user.name == request['user']['name'] == 'x'
    assert request.user.tags[0].id == 1
    assert request.user.tags[1][0].id == 2
    assert [tag.id for tag in request.user.tags[1]] == [2]


def test_assignment_and_deletion():
    request = Request(user={'name': 'x'})
    request.user.name = 'y'
    request.user.address = {'city': 'z'}
    assert request.user.address.city == 'z'
    del request.user.name
    assert request == {'user': {'address': {'city': 'z'}}}


@pytest.mark.parametrize('put', [
    lambda request, value: request.update(a=value),
    lambda request, value: request.update({'a': value}),
    lambda request, value: request.update([('a', value)]),
    lambda request, value: request.setdefault('a', value),
    lambda request, value: request.__setitem__('a', value),
    lambda request, value: request.__ior__({'a': value}),
])
def test_what_is_put_in(put):
    request = Request()
    put(request, {'b': [{'c': 1}]})
    assert request.a.b[0].c == 1


def test_union_keeps_kind():
    assert (Request(a=1) | {'b': {'c': 1}}).b.c == 1
    with pytest.raises(TypeError):
        Request() | 1


def test_copy_keeps_kind():
    request = Request(user={'name': 'x'})
    other = request.copy()
    other.server = 'y'
    assert type(other) is Request
    assert other.user is request.user
    assert 'server' not in request


def test_missing_attribute_named():
    with pytest.raises(AttributeError, match="'nam'") as caught:
        Request(name='x').nam
    assert caught.value.name == 'nam'
    with pytest.raises(AttributeError, match="'nam'"):
        del Request().nam
    assert getattr(Request(), 'nam', 7) == 7


def test_method_names_as_keys():
    request = Request(items=[1], copy=2)
    assert request['items'] == [1]
    assert list(request.items()) == [('items', [1]), ('copy', 2)]
    assert request.copy()['copy'] == 2


def test_client_cannot_answer_for_python():
    hostile = Request({'__deepcopy__': 1, '__class__': 2, '__reduce_ex__': 3, '__len__': 4})
    assert copy.deepcopy(hostile) == hostile
    assert pickle.loads(pickle.dumps(hostile)) == hostile
    assert copy.copy(hostile) == hostile
    assert len(hostile) == 4
    assert msgspec.json.decode(msgspec.json.encode(hostile)) == hostile


def test_any_depth_converts():
    value = deep = {}
    for _ in range(100_000):
        deep['a'] = [{}]
        deep = deep['a'][0]
    assert convert(value).a[0].a[0] is not None


def test_given_containers_unchanged():
    given = {'a': [{'b': 1}]}
    Request(given).a[0].b = 2
    assert given == {'a': [{'b': 1}]}
    assert type(given['a'][0]) is dict


def test_setdefault_keeps_what_is_there():
    request = Request(a=1)
    assert request.setdefault('a', 2) == request.a == 1
    assert request.setdefault('b', {'c': 1}).c == 1
    assert request.setdefault('n') is None


def test_union_in_place():
    request = before = Request(a=1)
    request |= {'b': {'c': 1}}
    assert request is before
    assert request.b.c == 1


def test_union_with_what_knows_how():
    class Other:
        def __ror__(self, other):
            return 'united'
    assert Request() | Other() == 'united'


def test_dir_has_keys():
    names = dir(Request({'name': 1, 2: 3}))
    assert 'name' in names
    assert 'setdefault' in names


@pytest.mark.parametrize('ask', [lambda request: request.nam, lambda request: delattr(request, 'nam')])
def test_missing_attribute_knows_whose(ask):
    """Python suggests names by these: "Did you mean: 'name'?"."""
    request = Request(name='x')
    with pytest.raises(AttributeError) as caught:
        ask(request)
    assert (caught.value.name, caught.value.obj) == ('nam', request)


def test_underscores_on_one_side():
    request = Request({'__a': 1, 'a__': 2, '__a__': 3})
    assert getattr(request, '__a') == 1  # as a plain attribute it would be renamed in a class
    assert request.a__ == 2
    with pytest.raises(AttributeError):
        request.__a__
