"""The fixture `api`, in real runs of pytest beside real products."""
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.running import DEADLINE, clean_environment, wait_for, write_tree

ECHO = 'def read(request):\n    return {**request, "server": "shop"}\n'
KEEP = '''
import os
from pathlib import Path

FILE = Path(os.environ['APIPHANT_DATA'], 'kept')

def create(request):
    FILE.write_text(request.text)
    return {'pid': os.getpid()}

def read(request):
    return {'kept': FILE.read_text() if FILE.exists() else None, 'pid': os.getpid()}
'''
FAILING = 'def read(request):\n    print("about to divide")\n    return {"x": 1 / 0}\n'
COOKIES = '''
from apiphant.server import raw_environ, raw_response

@raw_environ
@raw_response
def read(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/json'), ('Set-Cookie', 'seen=1')])
    return [b'{"cookie": "%s", "trace": "%s"}' % (
        environ.get('HTTP_COOKIE', '').encode(), environ.get('HTTP_X_TRACE', '').encode())]
'''
SHOP = {
    'shop/api/v0/echo.py': ECHO, 'shop/api/v0/keep.py': KEEP, 'shop/api/v0/failing.py': FAILING,
    'shop/api/v0/cookies.py': COOKIES, 'shop/api/v1/echo.py': 'def read(request):\n    return {"version": 1}\n',
}


def run(folder, *words, files=None, **environment):
    """pytest in a folder, the result as text."""
    write_tree(folder, files or {})
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *words], cwd=folder, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment_of(**environment), timeout=5 * DEADLINE)
    return done.returncode, done.stdout


def environment_of(**more):
    return {name: value for name, value in clean_environment(**more).items() if not name.startswith('PYTEST_')}


def passes(folder, test, *words, name='shop/test_shop.py', files=SHOP, **environment):
    status, text = run(folder, *words, files={**files, name: test}, **environment)
    assert status == 0, text
    return text


def test_calls(tmp_path):
    passes(tmp_path, '''
import pytest

def test_replies(api):
    reply = api('echo', 'read', {'hello': {'deep': 'wörld'}})
    assert (reply.status, reply.hello.deep, reply.server) == (200, 'wörld', 'shop')
    assert reply.json == {'hello': {'deep': 'wörld'}, 'server': 'shop'}
    assert reply.headers['content-type'] == 'application/json'
    assert api('echo', 'read').json == {'server': 'shop'}
    assert api('echo', 'read', {'a': 1}, b=2).json == {'a': 1, 'b': 2, 'server': 'shop'}
    assert api('echo', 'read', {'target': 1, 'self': 2}, action=3).json == {
        'target': 1, 'self': 2, 'action': 3, 'server': 'shop'}
    assert api('echo', 'read', [1]).status == 400
    assert api('echo', 'read', 'text').error == 'Request content should be JSON Object'
    assert str(api('nowhere', 'read')) == '404 {"error":"404 Not Found"}'
    with pytest.raises(AttributeError, match="the reply has no 'x': 200"):
        api('echo', 'read').x
    with pytest.raises(TypeError, match='list is none: a'):
        api('echo', 'read', [1], a=1)

def test_sessions(api):
    mine = api.with_(token='mine').with_(city='Berlin')
    assert mine('echo', 'read', {'city': 'Bonn'}).json == {'token': 'mine', 'city': 'Bonn', 'server': 'shop'}
    assert api('echo', 'read').json == {'server': 'shop'}
    assert api.use('v1')('echo', 'read').version == 1
    traced = api.with_headers(X_Trace='7')
    assert traced('cookies', 'read').json == {'cookie': '', 'trace': '7'}
    assert api('cookies', 'read').json == {'cookie': 'seen=1', 'trace': ''}

def test_cookies_end_with_the_test(api):
    assert api('cookies', 'read').cookie == ''
''')


STATE = '''
def test_a(api):
    assert api('keep', 'read').kept is None
    api('keep', 'create', text='a')

def test_b(api):
    assert api('keep', 'read').kept == '{}'
'''


def test_data_of_each_file(tmp_path):
    text = passes(tmp_path, STATE.replace("'{}'", "'a'"), files={
        **SHOP, 'shop/test_other.py': STATE.replace("'{}'", "'a'")})
    assert '4 passed' in text


def test_data_of_each_test(tmp_path):
    passes(tmp_path, STATE.replace("'{}'", 'None'), '-o', 'apiphant_scope=function')


def test_data_of_all(tmp_path):
    other = "def test_c(api):\n    assert api('keep', 'read').kept == 'a'\n"
    files = {
        **SHOP, 'tests/test_z.py': other, 'pytest.ini': '[pytest]\napiphant_scope = session\napiphant_product = shop\n'}
    passes(tmp_path, STATE.replace("'{}'", "'a'"), files=files, name='tests/test_a.py')


@pytest.mark.parametrize(('name', 'words'), [
    ('shop/api/test_shop.py', []),
    ('shop/tests/deep/test_shop.py', []),
    ('tests/test_shop.py', []),
    ('test_shop.py', []),
    ('elsewhere/test_shop.py', ['--apiphant-product=shop']),
])
def test_finds_the_product(tmp_path, name, words):
    test = "def test(api):\n    assert api('echo', 'read').server == 'shop'\n"
    write_tree(tmp_path, {'pytest.ini': '[pytest]\n', 'folder/api/readme.txt': ''})
    passes(tmp_path, test, *words, name=name)


TWO = {**SHOP, 'other/api/v0/echo.py': ECHO}


@pytest.mark.parametrize(('files', 'said'), [
    (TWO, ('which product? Say it with --apiphant-product FOLDER, or in a configuration file: '
           'apiphant_product = FOLDER; there are other, shop')),
    ({}, 'none was found around the tests'),
])
def test_which_product(tmp_path, files, said):
    status, text = run(tmp_path, files={
        **files, 'pytest.ini': '[pytest]\n', 'tests/test_shop.py': 'def test(api): pass\n'})
    assert status
    assert said in text.replace('\n', ' ')


def test_failure_shows_calls_and_log(tmp_path):
    test = '''
def test_before(api):
    api('echo', 'read', hello='before')

def test_it(api):
    assert api('failing', 'read', n=1).status == 200
'''
    status, text = run(tmp_path, files={**SHOP, 'shop/test_shop.py': test})
    assert status == 1
    assert re.search(
        r'POST http://127.0.0.1:\d+/api/v0/failing/read {"n": 1} --> 500 {"error":"500 Internal Server Error"}', text)
    assert '- log of the product -' in text
    assert 'about to divide' in text
    assert 'ZeroDivisionError' in text
    assert 'before' not in text.replace('test_before', '')


@pytest.mark.parametrize(('file', 'said'), [
    ({'shop/api/v0/bad.py': 'import nowhere\n'}, "No module named 'nowhere'"),
    ({'shop/api/v0/bad.py': 'def read(:\n'}, 'SyntaxError'),
])
def test_broken_product(tmp_path, file, said):
    status, text = run(tmp_path, files={**SHOP, **file, 'shop/test_shop.py': 'def test(api): pass\n'})
    assert status == 1
    assert 'the product does not serve' in text
    assert said in text
    assert 'apiphant/testing' not in text


def test_options_of_the_environment_are_not_taken(tmp_path):
    test = "def test(api):\n    assert api('echo', 'read').server == 'shop'\n"
    passes(
        tmp_path, test, APIPHANT_WORKERS='3', APIPHANT_CERTFILE='/nowhere', APIPHANT_FD='99',
        HTTP_PROXY='http://127.0.0.1:9')


def test_ends_with_pytest(tmp_path):
    """Also where pytest is killed."""
    test = '''
import os, pathlib, time
def test(api):
    pathlib.Path('pid').write_text(str(api('keep', 'read').pid))
    pathlib.Path('pid').rename('there')
    time.sleep(600)
'''
    write_tree(tmp_path, {**SHOP, 'shop/test_shop.py': test})
    running = subprocess.Popen(
        [sys.executable, '-m', 'pytest', '-q'], cwd=tmp_path, stdout=subprocess.DEVNULL, env=environment_of())
    there = Path(tmp_path, 'there')
    wait_for(there.exists)
    worker = int(there.read_text())
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    wait_for(lambda: not Path(f'/proc/{worker}').exists(), 'the server leaves')


def test_import_is_light():
    loaded = subprocess.run(
        [sys.executable, '-c', 'import sys, apiphant.testing.plugin; print(*sys.modules)'], capture_output=True,
        text=True,
        check=True, env=environment_of()).stdout.split()
    assert not {'gevent', 'gunicorn', 'requests', 'apiphant.server.master'} & set(loaded)
