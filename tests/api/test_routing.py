import os

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
    targets, passed_over = scan('api/v0/echo.py', 'api/v0/shop/items.py', 'api/v0/a/b/c/d.py', 'api/v1/echo.py', 'api/v10/echo.py')
    assert targets == [
        ('v0', 'a/b/c/d', 'shop.api.v0.a.b.c.d'), ('v0', 'echo', 'shop.api.v0.echo'), ('v0', 'shop/items', 'shop.api.v0.shop.items'),
        ('v1', 'echo', 'shop.api.v1.echo'), ('v10', 'echo', 'shop.api.v10.echo')]
    assert not passed_over


def test_package_holds_actions(scan):
    targets, _ = scan('__init__.py', 'api/__init__.py', 'api/v0/__init__.py', 'api/v0/shop/__init__.py', 'api/v0/shop/items.py')
    assert targets == [('v0', 'shop', 'shop.api.v0.shop'), ('v0', 'shop/items', 'shop.api.v0.shop.items')]


def test_outside_of_versions(scan):
    targets, passed_over = scan('api/background.py', 'api/test.py', 'api/lib/x.py', 'lib/y.py', 'api/v1beta/z.py', 'api/V2/z.py', 'api/v2/ok.py')
    assert names_only(targets) == ['ok']
    assert set(passed_over) == {'v1beta', 'V2'}


def names_only(targets):
    return [name for _, name, _ in targets]


def test_passed_over(scan):
    bad = ['my-handler.py', '2x.py', 'class.py', 'пример.py', '_private.py', '_folder/x.py', 'bad-folder/x.py', 'a.b.py']
    targets, passed_over = scan('api/v0/good.py', *(f'api/v0/{name}' for name in bad))
    assert names_only(targets) == ['good']
    assert {path: reason.split(' ', 2)[2] for path, reason in passed_over.items()} == {
        'v0/my-handler.py': 'is not an ASCII identifier', 'v0/2x.py': 'is not an ASCII identifier', 'v0/пример.py': 'is not an ASCII identifier',
        'v0/a.b.py': 'is not an ASCII identifier', 'v0/bad-folder': 'is not an ASCII identifier',
        'v0/class.py': 'is a Python keyword', 'v0/_private.py': 'starts with _', 'v0/_folder': 'starts with _'}


def test_editor_litter_is_nothing(scan):
    litter = ['.echo.py.swp', 'echo.py~', '#echo.py#', '.#echo.py', '4913', 'echo.py___jb_tmp___', '.goutputstream-X', 'echo.py.orig', '._echo.py', '__pycache__/echo.py']
    targets, passed_over = scan('api/v0/echo.py', *(f'api/v0/{name}' for name in litter))
    assert names_only(targets) == ['echo']
    assert not passed_over


def test_same_name_twice(scan):
    targets, passed_over = scan('api/v0/a.py', 'api/v0/a/x.py', 'api/v0/b.py', 'api/v0/b/__init__.py', 'api/v0/b/x.py')
    assert names_only(targets) == ['a', 'b', 'b/x']
    assert passed_over == {'v0/a': 'a.py beside it hides it: make it a/__init__.py', 'v0/b.py': 'the package b/ beside it hides it'}


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
