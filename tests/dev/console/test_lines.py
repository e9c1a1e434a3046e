"""Whatever comes of a line, there is one line of text about it, and the prompt again. Scripts go on."""
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.console import PROMPT, Console
from tests.kit.running import DEADLINE, clean_environment, run_cli, write_tree
from tests.kit.terminal import CTRL_C, CTRL_D, UP

ECHO = '''
class Odd:
    def __repr__(self):
        return 'odd \\ud800 one'

def read(request):
    return {**request, 'server': 'shop'}
'''
SHOP = {'shop/api/v0/echo.py': ECHO}
PASTE = '\x1b[200~%s\x1b[201~'
LONG = 'x' * 140_000
TRACE = 'Traceback'
TOO_LONG = 'the command cannot be given to sh: argument list too long'
DEV = ('-m', 'apiphant.cli', 'dev')


def assert_goes_on(console: Console) -> None:
    console.wait_for_line(PROMPT.strip())
    console.call('read echo after=it', '"after": "it"')
    assert TRACE not in '\n'.join(console.history)
    console.send(CTRL_D)
    assert console.wait() == 0
    assert console.is_as_before


def test_long_name(start: Callable[..., Console]) -> None:
    console = start()
    console.call(f'open {"x" * 300}', 'there is no file')
    console.call('open a\x16\x00b', 'there is no file')
    assert_goes_on(console)


def edit_in_vain(console: Console, line: str, said: str) -> None:
    """The line is at the prompt again, as it was."""
    console.enter(f'edit {line}')
    console.wait_for_text(said)
    console.wait_for_line(PROMPT + line)
    console.send(CTRL_C)


@pytest.mark.parametrize('variable', ['EDITOR', 'VISUAL'])
@pytest.mark.parametrize('editor', ['vim "', ' ', 'no-such-editor-here', '/etc/passwd', '"" x'])
def test_odd_editor(start: Callable[..., Console], variable: str, editor: str) -> None:
    console = start(**{variable: editor})
    console.call('open api/v0/echo.py', variable)
    console.call('clear')
    edit_in_vain(console, 'read echo', variable)
    assert_goes_on(console)


def editor(folder: Path, script: str) -> str:
    path = folder / 'editor'
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(('script', 'said'), [
    ("printf 'read echo a=\\377' > \"$1\"", 'no UTF-8'),
    ('rm "$1"', 'removed'),
    ('rm "$1"; mkdir "$1"', 'Is a directory'),
], ids=['byte', 'removed', 'folder'])
def test_edited_badly(start: Callable[..., Console], tmp_path: Path, script: str, said: str) -> None:
    console = start(EDITOR=editor(tmp_path, script))
    edit_in_vain(console, 'read echo', said)
    assert_goes_on(console)


def test_nowhere_to_edit(start: Callable[..., Console]) -> None:
    console = start('sh', '-c', 'ulimit -f 0; exec "$@"', 'sh', EDITOR='true')
    edit_in_vain(console, 'read echo a=1', 'edit could not be done: No usable temporary directory')
    assert_goes_on(console)


def test_odd_editor_by_key(start: Callable[..., Console]) -> None:
    console = start(EDITOR='vim "')
    console.send('read echo a=1\x18\x05')
    console.wait_for_text('which is no command')
    console.wait_for_line(PROMPT + 'read echo a=1')
    console.call('', '"a": "1"')
    assert_goes_on(console)


def test_half_pairs(start: Callable[..., Console], tmp_path: Path) -> None:
    console = start()
    console.call('py shop.api.v0.echo.Odd()', r'odd \ud800 one')
    console.call(f'py shop.api.v0.echo.Odd() | cat > {tmp_path}/odd.txt')
    assert (tmp_path / 'odd.txt').read_text() == 'odd \\ud800 one\n'
    assert_goes_on(console)


def test_long_pipe(start: Callable[..., Console]) -> None:
    console = start()
    console.send(PASTE % f'read echo | echo {LONG} | wc -c')
    console.wait_for_text('wc -c')
    console.enter('')
    console.wait_for_text('could not be done: the command cannot be given to sh: argument list too long')
    assert_goes_on(console)


def test_no_shell(start: Callable[..., Console]) -> None:
    console = start(PATH='/no/such/folder')
    console.call('read echo | cat', 'could not be done: the command cannot be given to sh: no such file')
    assert_goes_on(console)


def test_save_beside_bad_bytes(start: Callable[..., Console], tmp_path: Path) -> None:
    path = tmp_path / 'shop/api/test.py'
    path.write_bytes(b'# \xff\n')
    console = start()
    console.call('read echo a=1', '"a": "1"')
    console.call('save', 'not saved')
    assert path.read_bytes() == b'# \xff\n'
    assert_goes_on(console)


def test_file_of_bad_bytes(start: Callable[..., Console], tmp_path: Path) -> None:
    (tmp_path / 'bad').write_bytes(b'\xff\xfe\x00')
    console = start()
    console.send(f'read echo a=@{tmp_path}/bad b:=@{tmp_path}')
    console.enter('')
    console.send('\x15')
    assert_goes_on(console)


# The history


def file_for_folder(folder: Path) -> None:
    folder.write_text('')


def folder_for_file(folder: Path) -> None:
    product = folder.parent / 'shop'
    (folder / 'apiphant' / f'{"-".join(product.parts[1:])}.history').mkdir(parents=True)


@pytest.mark.parametrize('spoil', [file_for_folder, folder_for_file])
@pytest.mark.parametrize('environment', [{}, {'TERM': 'dumb'}], ids=['', 'dumb'])
def test_no_history(start: Callable[..., Console], tmp_path: Path, spoil: Callable[[Path], None],
                    environment: dict[str, str]) -> None:
    spoil(tmp_path / 'state')
    console = start(**environment)
    console.call('read echo first=1', '"first": "1"')
    if not environment:
        console.wait_for_text('No history is kept: ')
        console.send(UP)
        console.wait_for_line(PROMPT + 'read echo first=1')
        console.call('', '"first": "1"')
    assert_goes_on(console)


def test_no_home(start: Callable[..., Console], tmp_path: Path) -> None:
    console = start(HOME='/proc/1/no', XDG_STATE_HOME='')
    console.wait_for_text('No history is kept: ')
    assert_goes_on(console)


def test_full_disk(start: Callable[..., Console]) -> None:
    """The history can be read, and not be written."""
    console = start('sh', '-c', 'ulimit -f 0; exec "$@"', 'sh')
    console.call('read echo first=1', '"first": "1"', 'No history is kept: File too large')
    console.call('read echo second=2', '"second": "2"')
    assert console.text.count('No history is kept') == 1
    console.send(UP + UP)
    console.wait_for_line(PROMPT + 'read echo first=1')
    console.call('', '"first": "1"')
    assert_goes_on(console)


# Scripts


@pytest.mark.parametrize(('line', 'status', 'said'), [
    (f'read echo | echo {LONG}', 1, f'read could not be done: {TOO_LONG}'),
    (f'help | echo {LONG}', 1, f'help could not be done: {TOO_LONG}'),
    ('save', 1, 'not saved'),
    ('py shop.api.v0.echo.Odd()', 0, ''),
    ('py shop.api.v0.echo.Odd() | cat', 0, ''),
    ('read nowhere/\udcff', 2, 'is no target'),
], ids=lambda value: str(value)[:12])
@pytest.mark.parametrize('encoding', ['utf-8:strict', 'ascii:strict', 'utf-8:surrogateescape'])
def test_script_goes_on(tmp_path: Path, line: str, status: int, said: str, encoding: str) -> None:
    write_tree(tmp_path, SHOP)
    (tmp_path / 'shop/api/test.py').write_bytes(b'# \xff\n')
    lines = f'read echo\n{line}\nread echo after=it\n'.encode('utf-8', 'surrogateescape')
    done = subprocess.run([sys.executable, *DEV, str(tmp_path / 'shop'), '127.0.0.1:0'], input=lines,
                          capture_output=True,
                          env=clean_environment(PYTHONIOENCODING=encoding), timeout=DEADLINE, check=False)
    assert done.returncode == status
    assert said in done.stderr.decode()
    assert done.stdout.splitlines()[-1] == b'{"after":"it","server":"shop"}'
    if 'Odd' in line:
        assert b'odd \\ud800 one\n' in done.stdout
    assert TRACE.encode() not in done.stderr


def test_script_without_shell(tmp_path: Path) -> None:
    write_tree(tmp_path, SHOP)
    done = run_cli('dev', str(tmp_path / 'shop'), '127.0.0.1:0', '-c', 'read echo | cat', '-c', 'read echo after=it',
                   env=clean_environment(PATH='/no/such'))
    assert done.returncode == 1
    assert 'cannot be given to sh: no such file' in done.stderr
    assert done.stdout == '{"after":"it","server":"shop"}\n'


def test_letters_that_cannot_be_encoded(tmp_path: Path) -> None:
    write_tree(tmp_path, SHOP)
    done = run_cli('dev', str(tmp_path / 'shop'), '127.0.0.1:0', '-c', 'read echo {"a": "\\u20ac"}', '-c', 'read echo',
                   env=clean_environment(PYTHONIOENCODING='ascii:strict'))
    assert done.stdout == '{"a":"\\u20ac","server":"shop"}\n{"server":"shop"}\n'
    assert done.returncode == 0
