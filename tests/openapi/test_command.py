"""`apiphant openapi`, and its documents beside what the products do."""
import json
import re

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.kit.running import production, run_cli, write_tree

ITEM = '''
from apiphant.server import raw_environ, raw_response
from apiphant.validation import Invalid, field


def create(request):
    """Add an item.

    Its price is in cents.
    """
    name = field(request, 'name', is_required=True, valid_type=str, min_length=1, max_length=10)
    price = field(request, 'price', default_value=0, valid_type=int, min_value=0, max_value=1000)
    state = field(request, 'state', one_of=['new', 'old'])
    tags = field(request, 'tags.*', valid_type=(str,), pattern='[a-z]+')
    owner = field(request, 'owner.id', valid_type=int)
    return {'name': name, 'price': price + 1, 'state': state, 'tags': len(tags), 'owner': owner}


@raw_environ
def read(environ):
    return {}


@raw_response
def update(request, start_response):
    start_response('204 No Content', [])
    return []


delete = lambda request: {'id': field(request, 'id', is_required=True, valid_type=int)}
'''
TEST = '''
from apiphant.test import test
test('item', 'create', {"name": "tea"}, 200, {"name": "tea", "price": 1, "state": None, "tags": 0, "owner": None})
test('item', 'create', {}, 400, {"error": {"field": "name", "state": "missing"}})
test('item', 'create', {"name": "x"}, 200, {"name": str, ...: ...})
test('item', 'delete', {"id": 1}, 404, {"error": "404 Not Found"})
test('item', 'create', name(), 200, {})
'''
SHOP = {'shop/__init__.py': "__version__ = '1.2'\n", 'shop/api/v0/item.py': ITEM, 'shop/api/test.py': TEST}


@pytest.fixture
def shop(tmp_path):
    return write_tree(tmp_path, SHOP) / 'shop'


def document_of(product):
    done = run_cli('openapi', str(product))
    assert (done.returncode, done.stderr) == (0, '')
    return json.loads(done.stdout)


def test_document(shop):
    document = document_of(shop)
    OpenAPIV31SpecValidator(document).validate()
    assert document['info'] == {'title': 'shop', 'version': '1.2'}
    assert list(document['paths']) == [f'/api/v0/item/{action}' for action in ('create', 'read', 'update', 'delete')]
    create = document['paths']['/api/v0/item/create']['post']
    assert (create['operationId'], create['summary'], create['description'], create['tags']) == (
        'v0_item_create', 'Add an item.', 'Its price is in cents.', ['item'])
    content = create['requestBody']['content']['application/json']
    assert content['schema']['required'] == ['name']
    assert content['schema']['properties']['price'] == {
        'type': ['integer', 'null'], 'minimum': 0, 'maximum': 1000, 'default': 0}
    assert content['examples'] == {'1 200 OK': {'value': {'name': 'tea'}}, '2 400 Bad Request': {'value': {}}}
    assert list(create['responses']) == ['200', '400', '500']
    assert create['responses']['400']['content']['application/json']['examples'] == {
        '1': {'value': {'error': {'field': 'name', 'state': 'missing'}}}}
    assert list(document['paths']['/api/v0/item/delete']['post']['responses']) == ['200', '400', '404', '500']
    assert document['paths']['/api/v0/item/read']['post']['requestBody'] == {'content': {'*/*': {}}}


def test_check(shop, tmp_path):
    kept = tmp_path / 'openapi.json'
    kept.write_text(run_cli('openapi', str(shop)).stdout)
    done = run_cli('openapi', str(shop), '--check', str(kept))
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    write_tree(tmp_path, {'shop/api/v0/item.py': ITEM.replace('max_length=10', 'max_length=11')})
    done = run_cli('openapi', str(shop), '--check', str(kept))
    assert done.returncode == 1
    assert re.search(r'\n- +"maxLength": 10\n\+ +"maxLength": 11\n', done.stderr)
    told = f'{kept} is not what the product is: write it anew with apiphant openapi PRODUCT > {kept}'
    assert done.stderr.splitlines()[-1] == f'apiphant: {told}'
    done = run_cli('openapi', str(shop), '--check', str(tmp_path / 'none'))
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.startswith(f'apiphant: cannot read {tmp_path}/none: ')


def test_broken_product(shop, tmp_path):
    write_tree(tmp_path, {'shop/api/v0/bad.py': 'import nowhere\n'})
    done = run_cli('openapi', str(shop))
    assert (done.returncode, done.stdout) == (1, '')
    assert 'shop/api/v0/bad.py", line 1' in done.stderr
    assert done.stderr.splitlines()[-1] == 'apiphant: cannot import shop.api.v0.bad'


def test_unreadable_tests_have_no_examples(shop, tmp_path):
    write_tree(tmp_path, {'shop/api/test.py': 'test(', 'shop/api/test_2.py': TEST})
    (shop / 'api/test_3.py').write_bytes(b'\xff')
    create = document_of(shop)['paths']['/api/v0/item/create']['post']
    assert len(create['requestBody']['content']['application/json']['examples']) == 2


@pytest.mark.once
@pytest.mark.parametrize('is_template', [True, False])
def test_generated_calls(is_template, shop, tmp_path):
    """No 5xx, and each answer is as the document says."""
    if is_template:
        shop = tmp_path / 'made'
        assert run_cli('new', str(shop)).returncode == 0
    schema = schemathesis.openapi.from_dict(document_of(shop))
    with production(shop) as server:
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.body and 'application/json' in {body.media_type for body in operation.body}:
                call_all(operation, f'http://127.0.0.1:{server.port}')


def call_all(operation, url):
    @given(operation.as_strategy())
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def call(case):
        response = case.call(base_url=url)
        case.validate_response(response, checks=(not_a_server_error, response_schema_conformance))
    call()
