"""Bad input: one clear line, exit 1 or 2, never a traceback of ours."""
import os
import socket

import pytest

from apiphant import __version__
from tests.kit.running import SAMPLE, run_cli, write_tree

USAGE = [
    ([], 'arguments are required: PRODUCT'),
    (['x', '1.2.3.4:99999'], "bad address '1.2.3.4:99999'"),
    (['x', 'nonsense'], "bad address 'nonsense'"),
    (['x', '--bogus'], 'unrecognized arguments: --bogus'),
    (['dev'], 'arguments are required: PRODUCT'),
    (['dev', 'x', '--bogus'], 'unrecognized arguments: --bogus'),
    (['dev', 'x', '-c'], 'expected one argument'),
    (['dev', 'x', '-c', 'y', '--no-console'], 'not allowed with'),
    (['check'], 'arguments are required: PRODUCT'),
    (['new'], 'arguments are required: PRODUCT'),
    (['new', 'x', 'y'], 'unrecognized arguments: y'),
]
FAILING = [
    ('nothing', 'no such product: nothing is not a folder'),
    ('file', 'no such product: file is a file, not a folder'),
    ('noapi', 'noapi is no product: it has no folder "api"'),
    ('not-a-name', "'not-a-name' cannot be a product"),
    ('json', "a product cannot be called 'json'"),
]


@pytest.fixture
def folder(tmp_path):
    write_tree(tmp_path, {
        'file': '', 'noapi/x.py': '', 'not-a-name/api/v0/x.py': '', 'json/api/v0/x.py': '',
        'broken/api/v0/x.py': 'import not_there', 'broken/api/v0/y.py': 'def read(:',
        'good/api/v0/x.py': 'def read(request): pass'})
    return tmp_path


@pytest.mark.parametrize(('words', 'text'), USAGE)
def test_usage_errors(words, text):
    done = run_cli(*words)
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1)
    assert text in done.stderr
    assert '--help' in done.stderr

BACKGROUND = 'import sys; from apiphant.cli import background; sys.exit(background())'


@pytest.mark.parametrize('command', [[], ['dev'], ['check'], ['background']])
@pytest.mark.parametrize(('product', 'text'), FAILING)
def test_no_product(folder, command, product, text):
    is_background = command == ['background']
    done = run_program(['-c', BACKGROUND, product], folder) if is_background else run_cli(*command, product, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (1, '', done.stderr)
    assert done.stderr.startswith(f'apiphant: {text}')
    assert done.stderr.count('\n') == 1


def run_program(words, folder):
    import subprocess
    import sys
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=folder, timeout=20, check=False)


@pytest.mark.parametrize('command', [[], ['check']])
def test_broken_product(folder, command):
    place = [] if command else ['127.0.0.1:0']
    done = run_cli(*command, 'broken', *place, cwd=folder)
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'not_there'" in done.stderr
    assert 'SyntaxError: ' in done.stderr
    assert f'{folder}/broken/api/v0/y.py' in done.stderr
    assert '/apiphant/' not in done.stderr.replace(str(folder), '')
    assert 'importlib' not in done.stderr


def test_dev_starts_broken_product(folder):
    done = run_cli('dev', 'broken', '127.0.0.1:0', '-c', 'read x', cwd=folder)
    assert (done.returncode, done.stdout) == (1, '{"error":"503 Service Unavailable"}\n')
    assert 'Broken: api/v0/x.py; its calls are answered with 503' in done.stderr
    assert 'Broken: api/v0/y.py; its calls are answered with 503' in done.stderr
    assert "No module named 'not_there'" in done.stderr


@pytest.mark.parametrize('command', [[], ['dev']])
def test_port_in_use(folder, command):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        place = f'127.0.0.1:{taken.getsockname()[1]}'
        done = run_cli(*command, 'good', place, cwd=folder)
    assert (done.returncode, done.stderr) == (1, f'apiphant: cannot listen on {place}: address already in use\n')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may listen on any port')
def test_privileged_port(folder):
    assert 'no permission' in run_cli('good', '127.0.0.1:81', cwd=folder).stderr


def test_unknown_host(folder):
    done = run_cli('good', 'nohost.invalid:1', cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith('apiphant: cannot listen on nohost.invalid:1: ')


def test_check_prints_routes(tmp_path):
    write_tree(tmp_path, {
        'shop/api/v0/a/b.py': 'from apiphant.server import raw_environ\n'
                              'def create(request): pass\n@raw_environ\ndef read(environ): pass\n',
        'shop/api/v0/my-handler.py': '', 'shop/api/v0/nothing.py': ''})
    done = run_cli('check', 'shop', cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.splitlines() == [
        '/api/v0/a/b/create', '/api/v0/a/b/read  (raw_environ)',
        'passed over: shop/api/v0/my-handler.py: its name is not an ASCII identifier',
        'no actions: shop/api/v0/nothing.py defines none of create, read, update, delete']


def test_product_called_like_a_command(tmp_path):
    write_tree(tmp_path, {'dev/api/v0/x.py': 'def read(request): pass'})
    assert run_cli('check', './dev', cwd=tmp_path).stdout == '/api/v0/x/read\n'


def test_from_inside_the_product(folder):
    assert run_cli('check', '.', cwd=folder / 'good').stdout == '/api/v0/x/read\n'
    assert run_cli('check', '..', cwd=folder / 'good/api').stdout == '/api/v0/x/read\n'


def test_neighbours_do_not_matter(tmp_path):
    """Files beside the product must not take the place of what apiphant itself imports before it is known."""
    write_tree(tmp_path, {
        'shop/api/v0/x.py': 'def read(request): pass', 'json.py': '1/0', 'logging.py': '1/0', 'socket.py': '1/0',
        'email.py': '1/0'})
    done = run_program(['-P', '-m', 'apiphant.cli', 'dev', 'shop', '127.0.0.1:0', '-c', 'read x'], tmp_path)
    assert (done.returncode, done.stdout) == (0, '{}\n'), done.stderr


def test_neighbours_do_not_matter_to_check(tmp_path):
    handler = 'import apiphant.server, apiphant.validation\ndef read(request): pass'
    write_tree(tmp_path, {
        'shop/api/v0/x.py': handler, **dict.fromkeys(('http.py', 'msgspec.py', 'ipaddress.py', 'socket.py'), '1/0')})
    done = run_program(['-P', '-m', 'apiphant.cli', 'check', 'shop'], tmp_path)
    assert (done.returncode, done.stdout) == (0, '/api/v0/x/read\n'), done.stderr


def test_help_and_version():
    assert run_cli('--version').stdout == f'apiphant {__version__}\n'
    for words in (['--help'], ['dev', '--help'], ['check', '--help'], ['new', '--help']):
        done = run_cli(*words)
        assert done.returncode == 0
        assert 'PRODUCT' in done.stdout
    assert 'apiphant dev' in run_cli('--help').stdout


def test_sample_checks():
    done = run_cli('check', str(SAMPLE))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, 'task: update_something every 60 s')


def test_check_finds_broken_tasks(tmp_path):
    write_tree(tmp_path, {'shop/api/v0/x.py': 'def read(request): pass\n', 'shop/api/background.py': '1 / 0\n'})
    done = run_cli('check', 'shop', cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, '/api/v0/x/read\n')
    assert done.stderr.startswith('broken: the background tasks\nTraceback')
    assert 'ZeroDivisionError' in done.stderr
