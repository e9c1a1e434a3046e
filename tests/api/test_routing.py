import os
import sys

import pytest

from apiphant.api import actions, product, routing
from tests.kit.running import write_tree

READ = 'def read(request): return {}\n'


def names(found):
    return [(target.version, target.name, target.module) for target in found]


@pytest.fixture
def scan(tmp_path):
    def scan(*files):
        write_tree(tmp_path, {f'shop/{name}': READ for name in files})
        (tmp_path / 'shop' / 'api').mkdir(parents=True, exist_ok=True)
        targets, passed_over = routing.scan(product.find(tmp_path / 'shop'))
        return names(targets), {str(item.path.relative_to(tmp_path / 'shop/api')): item.reason for item in passed_over}
    return scan


def test_depth_and_versions(scan):
    targets, passed_over = scan(
        'api/v0/echo.py', 'api/v0/shop/items.py', 'api/v0/a/b/c/d.py', 'api/v1/echo.py', 'api/v10/echo.py')
    assert targets == [
        ('v0', 'a/b/c/d', 'shop.api.v0.a.b.c.d'), ('v0', 'echo', 'shop.api.v0.echo'),
        ('v0', 'shop/items', 'shop.api.v0.shop.items'),
        ('v1', 'echo', 'shop.api.v1.echo'), ('v10', 'echo', 'shop.api.v10.echo')]
    assert not passed_over


def test_package_holds_actions(scan):
    targets, _ = scan(
        '__init__.py', 'api/__init__.py', 'api/v0/__init__.py', 'api/v0/shop/__init__.py', 'api/v0/shop/items.py')
    assert targets == [('v0', 'shop', 'shop.api.v0.shop'), ('v0', 'shop/items', 'shop.api.v0.shop.items')]


def test_outside_of_versions(scan):
    targets, passed_over = scan(
        'api/background.py', 'api/test.py', 'api/lib/x.py', 'lib/y.py', 'api/v1beta/z.py', 'api/V2/z.py',
        'api/v2/ok.py')
    assert names_only(targets) == ['ok']
    assert set(passed_over) == {'v1beta', 'V2'}


def names_only(targets):
    return [name for _, name, _ in targets]


def test_passed_over(scan):
    bad = [
        'my-handler.py', '2x.py', 'class.py', 'пример.py', '_private.py', '_folder/x.py', 'bad-folder/x.py', 'a.b.py']
    targets, passed_over = scan('api/v0/good.py', *(f'api/v0/{name}' for name in bad))
    assert names_only(targets) == ['good']
    assert {path: reason.split(' ', 2)[2] for path, reason in passed_over.items()} == {
        'v0/my-handler.py': 'is not an ASCII identifier', 'v0/2x.py': 'is not an ASCII identifier',
        'v0/пример.py': 'is not an ASCII identifier',
        'v0/a.b.py': 'is not an ASCII identifier', 'v0/bad-folder': 'is not an ASCII identifier',
        'v0/class.py': 'is a Python keyword', 'v0/_private.py': 'starts with _', 'v0/_folder': 'starts with _'}


def test_editor_litter_is_nothing(scan):
    litter = [
        '.echo.py.swp', 'echo.py~', '#echo.py#', '.#echo.py', '4913', 'echo.py___jb_tmp___', '.goutputstream-X',
        'echo.py.orig', '._echo.py', '__pycache__/echo.py']
    targets, passed_over = scan('api/v0/echo.py', *(f'api/v0/{name}' for name in litter))
    assert names_only(targets) == ['echo']
    assert not passed_over


def test_same_name_twice(scan):
    targets, passed_over = scan('api/v0/a.py', 'api/v0/a/x.py', 'api/v0/b.py', 'api/v0/b/__init__.py', 'api/v0/b/x.py')
    assert names_only(targets) == ['a', 'b', 'b/x']
    assert passed_over == {
        'v0/a': 'a.py beside it hides it: make it a/__init__.py', 'v0/b.py': 'the package b/ beside it hides it'}


def test_link_in_circles(scan, tmp_path):
    scan('api/v0/deep/a.py')
    os.symlink(tmp_path / 'shop/api/v0', tmp_path / 'shop/api/v0/deep/loop')
    targets, passed_over = scan()
    assert names_only(targets) == ['deep/a']
    assert list(passed_over) == ['v0/deep/loop']


def test_actions_of_module():
    module = type(os)('m')
    exec('def read(request): pass\ncreate = read\nupdate = 3\ndef other(request): pass', vars(module))
    assert set(actions.actions_of(module)) == {'read', 'create'}


def test_async_action_refused():
    module = type(os)('m')
    exec('async def read(request): pass', vars(module))
    with pytest.raises(TypeError, match=r'm\.read is an async function'):
        actions.actions_of(module)


def test_packages_at_depth(scan):
    assert scan('api/v0/a/b/__init__.py') == ([('v0', 'a/b', 'shop.api.v0.a.b')], {})


def test_link_to_its_own_folder(scan, tmp_path):
    scan('api/v0/deep/a.py')
    os.symlink(tmp_path / 'shop/api/v0/deep', tmp_path / 'shop/api/v0/deep/loop')
    targets, passed_over = scan()
    assert names_only(targets) == ['deep/a']
    assert passed_over == {'v0/deep/loop': 'a link to a folder that it is in'}


def test_files_and_folders_named_as_the_other(scan):
    targets, passed_over = scan('api/v0/good.py', 'api/v0/folder.py/x.py', 'api/v1', 'api/V2')
    assert names_only(targets) == ['good']
    assert set(passed_over) == {'v0/folder.py'}


def test_gone_folder(tmp_path):
    assert routing.scan(product.Product('shop', tmp_path / 'shop')) == ([], [])


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Imports the product `trade` of the given files; it is forgotten afterwards."""
    monkeypatch.setattr(sys, 'path', sys.path.copy())

    def load(**files):
        write_tree(tmp_path, {f'trade/api/v0/{name}.py': text for name, text in files.items()})
        return routing.load_product(product.find(tmp_path / 'trade'))
    yield load
    for name in [name for name in sys.modules if name.partition('.')[0] == 'trade']:
        del sys.modules[name]


def test_routes_of_a_product(imported):
    routes = imported(echo=READ, none='', item=READ + 'def create(request): return {"a": 1}\n')
    assert set(routes) == {'/api/v0/echo/read', '/api/v0/item/read', '/api/v0/item/create'}
    assert routes['/api/v0/item/create'].handler({}) == {'a': 1}


def test_broken_targets_are_named(imported):
    with pytest.raises(
            product.BrokenProduct, match='cannot import trade.api.v0.a, trade.api.v0.c, trade.api.v0.d') as caught:
        imported(a='1/0', b=READ, c='async def read(request): pass', d='raise SystemExit')
    assert [type(error) for error in caught.value.errors.values()] == [ZeroDivisionError, TypeError, SystemExit]


def test_paths_of_targets(tmp_path):
    write_tree(tmp_path, {f'shop/api/v0/{name}': READ for name in ('a.py', 'b/__init__.py', 'b/c.py')})
    targets, _ = routing.scan(product.find(tmp_path / 'shop'))
    assert [str(target.path.relative_to(tmp_path / 'shop/api/v0')) for target in targets] == [
        'a.py', 'b/__init__.py', 'b/c.py']
