"""`apiphant new`: a whole product that works as it is, or one line and nothing left behind."""
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from apiphant.api.product import ProductError
from apiphant.new import scaffold, template
from tests.kit.running import DEADLINE, SAMPLE, Program, clean_environment, production, run_cli, write_tree

ROOT = SAMPLE.parent.parent
MADE_OF = [
    '.gitignore', 'README.rst', 'api/background.py', 'api/test.py', 'api/v0/echo.py', 'api/v0/health.py',
    'quick-test.sh', 'requirements.txt']
BAD_NAMES = {
    'my-shop': 'try my_shop', 'Shop': 'try shop', '9lives': 'try lives', '_shop': 'try shop', 'shop.py': 'try shop_py',
    'läden': 'try l_den', 'x' * 33: 'a letter first\n',
    '9': 'a letter first\n', 'class': "like a variable's", 'json': "'json': a module of that name is in use already",
    'apiphant': 'in use already', 'gevent': 'a module of that name is installed',
}
PLACES = {
    'shop': 'shop is there already', 'shop/': 'shop is there already', 'file': 'file is there already',
    'link': 'link is there already', 'dangling': 'dangling is there already',
    '.': '. is there already', 'shop/..': 'shop/.. is there already', '/': '/ is there already',
    'no/where/new_shop': 'cannot make no/where/new_shop: no/where is not a folder',
    'file/new_shop': 'cannot make file/new_shop: file is a file, not a folder',
    'no/..': 'cannot make no/..: no is not a folder',
}


def new(path, cwd, **options):
    done = run_cli('new', path, cwd=cwd, **options)
    assert (done.returncode, done.stderr) == (0, ''), done
    return done.stdout


def tree(folder):
    """All that is in a folder, with what the files hold."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else path.is_dir()
        for path in folder.rglob('*')}


@pytest.fixture(scope='module')
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp('new')
    new('shop', folder)
    return folder / 'shop'


def test_makes_all(shop):
    made = {
        path.relative_to(shop).as_posix()
        for path in shop.rglob('*') if path.is_file() and '__pycache__' not in path.parts}
    assert made >= set(MADE_OF)
    assert made == {str(scaffold.renamed(file, 'shop')) for file in template.files(SAMPLE)}
    assert not made & set(template.FIXTURES)
    assert [path.name for path in shop.parent.iterdir()] == ['shop']


def test_name_is_everywhere(shop):
    for path in shop.rglob('*'):
        assert 'myproduct' not in path.name.lower()
        assert not path.is_file() or b'myproduct' not in path.read_bytes().lower(), path
    assert "server = 'shop'" in (shop / 'api/v0/echo.py').read_text()


def test_modes(tmp_path):
    new('shop', tmp_path, umask=0o027)
    for path in template.files(SAMPLE):
        is_executable = bool((SAMPLE / path).stat().st_mode & 0o111)
        assert is_executable == (SAMPLE / path).read_bytes().startswith(b'#!'), path
        assert oct((tmp_path / 'shop' / scaffold.renamed(path, 'shop')).stat().st_mode & 0o777) == (
            '0o750' if is_executable else '0o640')
    assert oct((tmp_path / 'shop/api').stat().st_mode & 0o777) == oct(
        (tmp_path / 'shop').stat().st_mode & 0o777) == '0o750'


def test_checks(shop):
    done = run_cli('check', str(shop))
    assert (done.returncode, done.stdout, done.stderr) == (
        0, '/api/v0/echo/read\n/api/v0/health/read\ntask: update_something every 60 s\n', '')


def test_serves(shop):
    with production(shop) as server:
        assert server.read('echo', hello='world') == {'hello': 'world', 'server': 'shop'}
        assert server.read('health') == {'status': 'ok', 'release': ''}


def test_health_tells_release(shop, tmp_path):
    """As deployed: loaded through a link to the release."""
    release = tmp_path / 'releases/20261122-213000'
    shutil.copytree(shop, release / 'shop')
    (tmp_path / 'current').symlink_to(release)
    with production(tmp_path / 'current/shop') as server:
        assert server.read('health') == {'status': 'ok', 'release': '20261122-213000'}


@pytest.fixture
def commands(tmp_path):
    """The environment of a shell that finds `apiphant` and the Python that it is installed for."""
    (tmp_path / 'bin').mkdir()
    program = ('import sys', f'sys.path[0] = {str(ROOT)!r}', 'from apiphant.cli import main', 'sys.exit(main())')
    write_tree(tmp_path / 'bin', {'apiphant': '\n'.join((f'#!{sys.executable}', *program, ''))})
    (tmp_path / 'bin/apiphant').chmod(0o755)
    return clean_environment(PATH=f'{tmp_path}/bin:{os.environ["PATH"]}', PYTHON=sys.executable)


def quick_test(product):
    """Its quick-test.sh."""
    script, env = product / 'quick-test.sh', clean_environment(PYTHON=sys.executable)
    return subprocess.run([script], capture_output=True, text=True, timeout=DEADLINE, check=False, env=env)


def test_quick_test(tmp_path):
    new('shop', tmp_path)
    done = quick_test(tmp_path / 'shop')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.count(' --> ') == 4
    assert done.stdout.endswith('\nAll tests passed.\n')


def test_quick_test_fails(tmp_path):
    new('shop', tmp_path)
    write_tree(tmp_path / 'shop', {'api/v0/echo.py': 'def read(request):\n    return {}\n'})
    done = quick_test(tmp_path / 'shop')
    assert done.returncode == 1
    assert 'AssertionError: answer {}, expected {"hello": "world", "server": "shop"}' in done.stderr
    assert 'passed' not in done.stdout


def test_quick_test_of_a_broken_product(tmp_path):
    new('shop', tmp_path)
    write_tree(tmp_path / 'shop', {'api/v0/echo.py': 'import nowhere\n'})
    done = quick_test(tmp_path / 'shop')
    assert done.returncode == 1
    assert "No module named 'nowhere'" in done.stderr
    assert 'apiphant/testing' not in done.stderr


def test_prints_files_and_next(tmp_path, commands):
    (tmp_path / 'my shops').mkdir()
    lines = new('my shops/shop', tmp_path, env=commands).splitlines()
    assert lines[0] == 'Made my shops/shop:'
    assert re.fullmatch(r'  shop/api/v0/ +echo\.py  health\.py', next(line for line in lines if 'echo.py' in line))
    assert lines[-1] == "  apiphant dev 'my shops/shop'"
    assert max(map(len, lines)) <= 100


def test_long_folder_wraps():
    names = [f'file-{number}.conf' for number in range(12)]
    text = scaffold.listing([*map(Path, names), Path('nginx/a.conf')], 'shop')
    assert text.split() == ['shop/', *names, 'shop/nginx/', 'a.conf']
    assert [line[:15].rstrip() for line in text.splitlines()] == ['  shop/', '', '  shop/nginx/']
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize('path', ['', '/usr/bin:/bin'])
def test_next_can_be_typed(tmp_path, commands, path):
    """Also where no shell finds `apiphant`, as in a bare checkout."""
    env = {**commands, 'PATH': path or commands['PATH']}
    program = tmp_path / 'bin/apiphant'
    made = subprocess.run(
        [program, 'new', 'shop'], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=DEADLINE, check=True)
    command = made.stdout.splitlines()[-1].strip()
    assert command == f'{program if path else "apiphant"} dev shop'
    called = subprocess.run(
        f'{command} 127.0.0.1:0 -c "read health"', shell=True, capture_output=True, text=True, cwd=tmp_path, env=env,
        timeout=DEADLINE, check=True)
    assert called.stdout == '{"status":"ok","release":""}\n'


def test_called_like_a_command(tmp_path):
    assert new('./new', tmp_path).endswith('apiphant dev new\n')
    assert run_cli('check', './new', cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(('name', 'text'), BAD_NAMES.items())
def test_bad_name(tmp_path, name, text):
    refused(name, text, tmp_path)


@pytest.mark.parametrize(('path', 'text'), PLACES.items())
def test_bad_place(tmp_path, path, text):
    write_tree(tmp_path, {'shop/kept.txt': 'kept', 'file': 'kept'})
    (tmp_path / 'link').symlink_to('shop')
    (tmp_path / 'dangling').symlink_to('nothing')
    refused(path, text, tmp_path)


def refused(path, text, folder):
    before = tree(folder)
    done = run_cli('new', path, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (1, '', 1)
    assert done.stderr.startswith('apiphant: ')
    assert text in done.stderr
    assert tree(folder) == before


def test_neighbours_are_no_installed_modules(tmp_path):
    """A folder of that name where one stands, or beside the new product, hides nothing."""
    write_tree(tmp_path, {'shop/kept.py': '', 'beside/cart.py': '', 'lib/cart.py': ''})
    new('beside/shop', tmp_path)
    new('beside/cart', tmp_path, env=clean_environment(PYTHONPATH=f'{ROOT}:{tmp_path / "beside"}'))
    done = run_cli('new', 'cart', cwd=tmp_path, env=clean_environment(PYTHONPATH=f'{ROOT}:{tmp_path / "lib"}'))
    assert "'cart': a module of that name is installed" in done.stderr


def test_suggestions_are_names():
    for name in ('My Shop', '--x--', 'a' * 40, 'é', '1_2_3x', 'a\n'):
        with pytest.raises(ProductError) as caught:
            scaffold.check_new_name(name)
        for suggestion in re.findall('try (.+)', str(caught.value)):
            scaffold.check_new_name(suggestion)


def test_full_disk(tmp_path):
    """Nothing is left of what did not fit: a file may have at most so many bytes."""
    command = '; '.join((
        'import resource, signal, sys', 'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)',
        'resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))', f'sys.path.insert(0, {str(ROOT)!r})',
        'from apiphant.cli import main', 'sys.exit(main(["new", "shop"]))'))
    done = subprocess.run(
        [sys.executable, '-B', '-c', command], capture_output=True, text=True, cwd=tmp_path, timeout=DEADLINE,
        check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, '', 'apiphant: cannot make shop: file too large\n')
    assert tree(tmp_path) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_unwritable_parent(tmp_path):
    tmp_path.chmod(0o555)
    refused('shop', 'cannot make shop: permission denied', tmp_path)
    tmp_path.chmod(0o755)


def before_move(tmp_path, what):
    """`apiphant new shop` that does something when all is copied, before the folder is moved to its place."""
    return Program('-c', f'''
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from apiphant import cli
from apiphant.new import scaffold
copy = scaffold._copy
def copy_and_more(source, made):
    files = copy(source, made)
    {what}
    return files
scaffold._copy = copy_and_more
sys.exit(cli.main(['new', 'shop']))
''', cwd=tmp_path)


def test_interrupted(tmp_path):
    with before_move(tmp_path, 'print("copied", flush=True); time.sleep(60)') as program:
        program.wait_for_line('copied')
        assert [path.name.startswith('.shop-') for path in tmp_path.iterdir()] == [True]
        assert program.end(signal.SIGINT) == 130
    assert program.lines == ['copied']
    assert tree(tmp_path) == {}


@pytest.mark.parametrize('other', ['os.mkdir("shop")', 'os.symlink("nothing", "shop")', 'open("shop", "w").close()'])
def test_somebody_faster(tmp_path, other):
    with before_move(tmp_path, other) as program:
        assert program.wait() == 1
    assert program.lines == ['apiphant: cannot make shop: file exists']
    assert os.listdir(tmp_path) == ['shop']
    assert not (tmp_path / 'shop').is_dir() or os.listdir(tmp_path / 'shop') == []


def test_work_in_checkout_stays_out(tmp_path):
    write_tree(tmp_path, dict.fromkeys((
        'api/v0/echo.py', 'api/v0/__pycache__/echo.pyc', 'x.pyc', '.env', '.venv/bin/python', '.mypy_cache/x',
        'deep/.ruff_cache/x', 'api/v0/self.py', 'other/api/v0/self.py', '.dockerignore'), ''))
    assert [str(path) for path in template.files(tmp_path)] == [
        '.dockerignore', 'api/v0/echo.py', 'other/api/v0/self.py']


@pytest.mark.once
def test_wheel_holds_template(tmp_path):
    """Its files and executable bits; also when the wheel is made from an sdist."""
    source = tmp_path / 'source'
    shutil.copytree(
        ROOT, source,
        ignore=shutil.ignore_patterns(
            '.venv*', '.git', '.*_cache', '__pycache__', 'build', 'dist', '*.egg-info', '.hypothesis'))
    write_tree(source, {'tests/myproduct/api/__pycache__/x.pyc': ''})
    subprocess.run(
        [sys.executable, '-m', 'build', '--outdir', str(tmp_path / 'dist'), str(source)], capture_output=True,
        check=True, timeout=250)
    with zipfile.ZipFile(next((tmp_path / 'dist').glob('*.whl'))) as wheel:
        held = {
            item.filename.removeprefix('apiphant/new/myproduct/'): item.external_attr >> 16
            for item in wheel.infolist() if item.filename.startswith('apiphant/new/myproduct/')}
    assert sorted(held) == sorted(map(str, template.files(SAMPLE)))
    for file, mode in held.items():
        assert bool(mode & 0o111) == bool((SAMPLE / file).stat().st_mode & 0o111), file
