"""A whole session at the console: what is typed, what is seen, debugged and piped. Most tests share one console."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.console import PROMPT, Console, OutsideCall, colour_codes, wait_for_busy
from tests.kit.processes import descendants, is_running
from tests.kit.running import DEADLINE, run_cli, wait_for, write_tree
from tests.kit.terminal import CTRL_C, CTRL_D, UP

ECHO = '''
def read(request):
    return {**request, 'server': 'shop'}
'''
ITEM = '''
from apiphant.validation import field

def read(request):
    """Find an item by its number.

    It may be sold out.
    """
    number = field(request, 'number', is_required=True, valid_type=int)
    colour = field(request, 'colour', valid_type=str, default_value='red')
    return {'items': [{'id': number * 11}], 'colour': colour}
'''
STOP = '''
def read(request):
    before = request.get('before', 1)
    breakpoint()
    after = before + 1
    return {'after': after}

def update(request):
    breakpoint()
    while True:
        pass
'''
LOUD = '''
import logging
import subprocess
import sys

def create(request):
    for number in range(request['lines']):
        logging.info('line %d.', number)
    return {'logged': request['lines']}

def read(request):
    print('part', end='', flush=True)
    print('ial', flush=True)
    for byte in 'split \\u20ac sign\\n'.encode():
        sys.stdout.buffer.write(bytes([byte]))
        sys.stdout.buffer.flush()
    subprocess.run(['echo', 'from below'], check=True)
    print('no end', end='', flush=True)
    return {}

def update(request):
    return {'words': ['word %d' % number for number in range(request['words'])]}

def delete(request):
    while True:
        pass
'''
BACKGROUND = '''
from apiphant.background import seconds

@seconds(3600)
def count_items():
    print('counted')
'''
EDITOR = '''#!/bin/sh
for last; do :; done
printf '%s\\n' "$@" > opened.new
cp "$last" before
[ ! -f replacement ] || cp replacement "$last"
mv opened.new opened
'''
SHOP = {'shop/api/v0/echo.py': ECHO, 'shop/api/v0/item.py': ITEM, 'shop/api/v0/stop.py': STOP,
        'shop/api/v0/loud.py': LOUD, 'shop/api/background.py': BACKGROUND}
PDB_STOPS_AT_THE_CALL = sys.version_info >= (3, 13)
STOP_AFTER = STOP.splitlines().index('    after = before + 1') + 1 - PDB_STOPS_AT_THE_CALL
PASTE = '\x1b[200~%s\x1b[201~'
RELOADED = b'Reloaded'
BACKSPACES = '\x7f' * 49
KILL_LINE = '\x15'


class Shop(Console):
    """A console of the product, with a folder beside it that the tests write to, and an editor there."""

    def __init__(self, folder: Path, *command: str, **options: Any) -> None:
        write_tree(folder, {**SHOP, 'editor': EDITOR})
        (folder / 'editor').chmod(0o755)
        before = Path.cwd()
        os.chdir(folder)  # the console's working directory, where files go
        try:
            super().__init__(folder, *command, **{'EDITOR': str(folder / 'editor'), **options})
        finally:
            os.chdir(before)

    def clear(self) -> None:
        """The files are as at first, too."""
        super().clear()
        changed = [name for name, text in SHOP.items() if (self.folder / name).read_text() != text]
        for name in changed:
            self.save(name, SHOP[name])
        if changed:
            super().clear()

    def type(self, text: str) -> None:
        self.send(text)
        self.wait_for_line(PROMPT + text)

    def save(self, name: str, text: str) -> None:
        """Save a file, which the app has then taken up."""
        said = self.raw.count(RELOADED)
        (self.folder / name).write_text(text)
        self.wait_until(lambda: self.raw.count(RELOADED) > said, f'{name} to be live')

    @property
    def kept(self) -> str:
        (path,) = (self.folder / 'state').rglob('*.history')
        return path.read_text()


# Typing


def test_json_on_many_lines(console: Shop) -> None:
    console.enter('read echo {')
    console.enter('"a": [1,')
    assert not [line for line in console.lines if '200 OK' in line]
    console.enter('2]')
    console.call('}', '200 OK', '"a": [')
    console.send(UP)
    console.wait_until(lambda: self_lines(console)[:1] == [PROMPT + 'read echo {'], 'the whole call again')
    console.call('', '"a": [')


def self_lines(console: Shop) -> list[str]:
    """The lines from the last prompt to the cursor."""
    above = [*console.above, console.cursor_line]
    first = max(number for number, line in enumerate(above) if line.startswith(PROMPT))
    return above[first:]


def test_pasted_body(console: Shop) -> None:
    console.send('read echo ' + PASTE % '{\n  "pasted": [\n    1\n  ]\n}')
    console.wait_until(lambda: console.cursor_line.strip() == '}', 'the body')
    assert '200 OK' not in console.text
    console.call('', '200 OK', '"pasted": [')


def test_pasted_lines_wait_for_enter(console: Shop) -> None:
    console.send(PASTE % 'read echo a=1\n')
    console.wait_until(lambda: any('read echo a=1' in line for line in console.lines), 'the line')
    console.send(' ')
    assert '200 OK' not in console.text
    console.call('', '200 OK', '"a": "1"')


def test_mistake_while_typing(console: Shop) -> None:
    served = console.text.count('200 OK')
    console.send('read echo {"a" 1}')
    console.wait_for_text("bad JSON: Expecting ':' delimiter (column 16)")
    console.send('\r')
    console.wait_until(lambda: console.cursor_line == PROMPT + 'read echo {"a" 1}', 'the line still there')
    assert console.text.count('200 OK') == served
    console.send('\x01' + '\x1b[C' * len('read echo {"a"') + ':')
    console.wait_until(lambda: 'bad JSON' not in '\n'.join(console._lines()), 'the mistake to be gone')
    console.call('\x05', '200 OK', '"a": 1')


def test_line_of_mistake(console: Shop) -> None:
    """In a body of many lines the place is told by line and column."""
    console.send('read echo ' + PASTE % '{\n  "a": 1,\n  "b" 2\n}')
    console.wait_for_text("bad JSON: Expecting ':' delimiter")
    assert re.search(r'line 3,? column \d+', console.text)


# What is offered


def test_fields_offered(console: Shop) -> None:
    console.send('read it')
    console.wait_for_menu('item')
    console.wait_for_text('Find an item by its number.')
    console.send('em ')
    console.wait_for_menu('number:=')
    assert next(line.split() for line in console.lines if 'number:=' in line) == ['number:=', 'int,', 'required']
    assert next(line.split() for line in console.lines if 'colour=' in line) == ['colour=', 'str,', 'default', "'red'"]


def test_menu_follows_save(console: Shop) -> None:
    console.call('read item number:=1', '200 OK')
    console.save('shop/api/v0/item.py', ITEM.replace("'colour', valid_type", "'flavour', valid_type"))
    (console.folder / 'shop/api/v0/item.py').write_text(ITEM.replace("'colour', valid_type", "'paint', valid_type"))
    console.send('read item pa')

    def is_offered() -> bool:
        console.send('\x7fa')
        time.sleep(0.03)
        return 'paint=' in console.offered
    wait_for(is_offered, 'the new field')


def test_values_offered_again(console: Shop) -> None:
    console.call('read echo colour=turquoise', '200 OK')
    console.send('read echo colour=t')
    console.wait_for_menu('turquoise')


def test_help(console: Shop) -> None:
    console.call('help item', 'read item', 'Find an item by its number.', 'It may be sold out.', 'number')
    console.call('help watch', 'watch [CALL]')
    console.call('help itme', "did you mean 'item'?")
    console.call('raed echo', "did you mean 'read'?")
    console.call('read itme', '404 Not Found', 'did you mean read item?')
    console.call('create item', '404 Not Found', 'item has no create; it has read')


# The last answer


def test_last_reply_in_next_call(console: Shop) -> None:
    console.call('read item number:=3', '"id": 33')
    console.call('read echo again:=$.items[0].id', '"again": 33')
    console.call('read echo whole:=_', '"whole": {')
    console.call('read echo a:=$.nothing', 'the last answer has no nothing')


def test_again(console: Shop) -> None:
    console.call('read item number:=4', '"id": 44')
    console.enter('again')
    console.wait_until(lambda: sum('"id": 44' in line for line in console._lines()) == 2, 'the answer again')
    console.wait_for_line(PROMPT.strip())


def test_watch(console: Shop) -> None:
    console.call('watch read item number:=5', '"id": 55', 'Watching read item.')
    (console.folder / 'shop/api/v0/item.py').write_text(ITEM.replace('* 11', '* 12'))
    console.wait_for_text('read item changed:')
    console.wait_for_text('+      "id": 60')
    console.wait_for_text('-      "id": 55')
    assert console.colours('+      "id": 60') == {'green'}
    (console.folder / 'shop/api/v0/item.py').write_text(ITEM.replace('* 11', '* 12 # same'))
    console.wait_for_text('read item: as before')
    console.call('unwatch', 'Nothing is watched any more.')


def test_edit_does_not_run(console: Shop) -> None:
    console.call('read echo a=1', '"a": "1"')
    (console.folder / 'replacement').write_text('read echo {\n  "edited": true\n}\n')
    console.enter('edit')
    console.wait_until(
        lambda: self_lines(console) == [PROMPT + 'read echo {', '        "edited": true', '      }'], 'the edited call')
    assert (console.folder / 'before').read_text() == 'read echo {\n  "a": "1"\n}'
    assert '"edited": true,' not in console.text
    console.call('', '"edited": true,')
    (console.folder / 'replacement').unlink()


def test_open_file_of_traceback(console: Shop) -> None:
    console.call('create loud', "KeyError: 'lines'")
    (console.folder / 'opened').unlink(missing_ok=True)
    console.call('open')
    assert wait_for((console.folder / 'opened').read_text) == f'{console.folder}/shop/api/v0/loud.py\n'
    console.call('open api/v0/echo.py')
    assert (console.folder / 'opened').read_text() == f'{console.folder}/shop/api/v0/echo.py\n'
    console.call('open nowhere.py', "there is no file 'nowhere.py'")


def test_curl_runs(console: Shop) -> None:
    console.call('read echo name="it\'s"', '200 OK')
    console.enter('curl')
    console.wait_for_text('curl -X POST')
    console.wait_for_line(PROMPT.strip())
    (line,) = (line for line in console.lines if line.startswith('curl '))
    answer = subprocess.run(['sh', '-c', f'{line} --silent'], capture_output=True, check=True, timeout=DEADLINE).stdout
    assert json.loads(answer) == {'name': "it's", 'server': 'shop'}


def test_save_as_test(console: Shop) -> None:
    path = console.folder / 'shop/api/test.py'
    console.call('read item number:=6', '"id": 66')
    console.call('save', 'Added to shop/api/test.py')
    line = """test('item', 'read', {"number": 6}, 200, {"items": [{"id": %d}], "colour": "red"})"""
    assert path.read_text().splitlines()[-1] == line % 66
    console.save('shop/api/v0/item.py', ITEM.replace('* 11', '* 13'))
    console.call('again', '"id": 78')
    console.call('save', 'Replaced in shop/api/test.py')
    text = path.read_text()
    assert text.splitlines()[-1] == line % 78
    assert text.count('test(') == 1
    config = f'from apiphant.test import config; config.port = {console.port}'
    program = f'{config}; import runpy; runpy.run_path({str(path)!r})'
    subprocess.run([sys.executable, '-c', program], timeout=DEADLINE, capture_output=True, check=True)
    path.unlink()


# The app


def test_python_in_app(console: Shop) -> None:
    console.call('read item number:=7', '"id": 77')
    console.call('py _["items"][0]["id"] + 1', '78')
    console.call('py x = shop.__name__ * 2')
    console.call('py x', "'shopshop'")
    console.call('py 1 / 0', 'ZeroDivisionError')
    assert console.colours('ZeroDivisionError') == {'red'}
    assert OutsideCall(console.port, '/api/v0/py', text='1').result() == 404


def test_interrupt_of_python(console: Shop) -> None:
    console.enter('py [None for n in iter(int, 1)]')
    wait_for_busy(console.wait_for_app())
    console.send(CTRL_C)
    console.wait_for_text('Cancelled.')
    console.wait_for_line(PROMPT.strip())
    for number in range(5):
        console.call(f'py 100 + {number}', f'{100 + number}')


def test_tasks(console: Shop) -> None:
    console.call('tasks', 'count_items every 3600 s')
    console.call('run count_items', 'counted', 'Task count_items: OK.')
    console.call('run nothing', "There is no task 'nothing'; there are: count_items")


def test_calls_of_others(console: Shop) -> None:
    console.send('read ec')
    console.wait_for_menu('echo')
    assert OutsideCall(console.port, '/api/v0/item/read', number=1).result() == 200
    console.wait_until(
        lambda: re.search(r'^INFO \d\d:\d\d:\d\d POST /api/v0/item/read 200 \d+\.\d ms$', console.text, re.MULTILINE),
        'one line')
    console.wait_for_line(PROMPT + 'read ec')
    console.wait_for_text('1 call by others')
    assert len([line for line in console.lines if 'POST' in line]) == 1
    console.call('ho', '200 OK')
    assert len([line for line in console.lines if 'POST' in line]) == 1  # its own calls are not among them


def test_quiet(console: Shop) -> None:
    console.call('log warning')
    assert OutsideCall(console.port, '/api/v0/echo/read').result() == 200
    console.call('create loud lines:=1', '"logged": 1')
    assert 'INFO' not in console.text
    console.call('log info')
    assert OutsideCall(console.port, '/api/v0/echo/read').result() == 200
    console.wait_for_text('POST /api/v0/echo/read 200')


def test_restart(console: Shop) -> None:
    app = console.wait_for_app()
    console.enter('restart')
    console.wait_for_text('Restarting')
    console.send('read echo half=ty')
    other = console.wait_for_app(other_than=app)
    wait_for(lambda: not is_running(app), 'the end of the old app')
    console.wait_for_line(PROMPT + 'read echo half=ty')
    console.call('ped', '"half": "typed"')
    assert console.wait_for_app() == other


# The toolbar


def toolbar(console: Console) -> str:
    return console.lines[-1]


def test_toolbar(console: Shop) -> None:
    assert re.match(rf'shop \| v0 \| http://127\.0\.0\.1:{console.port} \| \d+ actions', toolbar(console))
    console.save('shop/api/v0/echo.py', ECHO.replace('shop', 'shop two'))
    console.wait_until(lambda: re.search(r'\| reloaded \d\d:\d\d:\d\d', toolbar(console)), 'the time of the reload')
    (console.folder / 'shop/api/v0/echo.py').write_text('def read(:')
    console.wait_until(lambda: '| 1 broken' in toolbar(console), 'the broken file')
    (console.folder / 'shop/api/v0/echo.py').write_text(ECHO)
    console.wait_until(lambda: 'broken' not in toolbar(console), 'it to be mended')
    assert toolbar(console).isascii()


@pytest.mark.parametrize('how', ['NO_COLOR', '--plain'])
def test_plain(start: Callable[..., Shop], how: str) -> None:
    console = start('sh', '-c', 'exec "$@" --plain', 'sh') if how == '--plain' else start(NO_COLOR='1')
    console.call('read item number:=1', '"id": 11')
    console.call('create loud', 'KeyError')
    console.send('read item ')
    console.wait_for_menu('number:=')
    assert 'actions' not in console.text
    assert colour_codes(console.raw) == set()


# Where the answer goes


def test_pipes(console: Shop) -> None:
    folder = console.folder
    console.call('read echo a=1 | cat', '{"a":"1","server":"shop"}')
    console.call('read echo a=2 > one.json')
    assert json.loads((folder / 'one.json').read_text()) == {'a': '2', 'server': 'shop'}
    console.call('read echo a=3 >> one.json')
    assert len((folder / 'one.json').read_text().splitlines()) == 2
    assert b'\x1b' not in (folder / 'one.json').read_bytes()
    console.call("read echo a=4 | tr a-z A-Z | sed 's/SHOP/many/' > many.json")
    assert wait_for((folder / 'many.json').read_text) == '{"A":"4","SERVER":"many"}\n'
    console.call('read echo a=5 | (exit 3)', 'exit status 3')
    console.call('py 40 + 2 | cat > py.txt')
    assert (folder / 'py.txt').read_text() == '42\n'
    console.call('read echo a=> > arrow.json')
    assert json.loads((folder / 'arrow.json').read_text())['a'] == '>'


@pytest.mark.skipif(not shutil.which('jq'), reason='jq is not here')
def test_jq(console: Shop) -> None:
    console.call('read item number:=8 | jq .items[0].id')
    assert console.above[-1] == '88'


def test_program_in_the_terminal(console: Shop) -> None:
    """What gets the answer may take the keys, as less does."""
    console.enter('read echo | (cat; read answer < /dev/tty; echo "<$answer>")')
    console.wait_for_text('"server"')
    console.enter('yes')
    console.wait_for_text('<yes>')
    console.wait_for_line(PROMPT.strip())


def test_interrupt_of_pipe(console: Shop) -> None:
    app = console.wait_for_app()
    console.enter('read echo | sleep 600')
    wait_for(lambda: len(descendants(console.pid)) > 1, 'the command')
    console.send(CTRL_C)
    console.wait_for_text('Cancelled.')
    console.wait_for_line(PROMPT.strip())
    assert wait_for(lambda: descendants(console.pid) == [app], 'the end of the command')
    console.call('read echo', '200 OK')


def test_long_reply(console: Shop) -> None:
    console.call('update loud words:=800000 > long.json')
    assert (console.folder / 'long.json').stat().st_size > 9_000_000
    console.call('update loud words:=800000 | wc -c')
    (console.folder / 'long.json').unlink()


# The history


def test_history(console: Shop) -> None:
    for line in (
            'read echo kept=yes', ' read echo spaced=yes', 'read echo password=hunter2',
            'read echo {"token": "abc123"}', 'read echo a.secret:=1'):
        console.call(line, '200 OK')
        console.clear()
    console.call('read echo last=one', '200 OK')
    assert 'kept=yes' in console.kept
    assert not re.search('spaced|hunter2|abc123|secret', console.kept)
    (path,) = (console.folder / 'state').rglob('*.history')
    assert path.stat().st_mode & 0o777 == 0o600
    console.send('\x12kept')
    console.wait_for_text('read echo kept=yes')
    console.enter('')  # ends the search
    console.wait_for_line(PROMPT + 'read echo kept=yes')
    console.call('', '"kept": "yes"')


# The debugger


def test_breakpoint_of_own_call(console: Shop) -> None:
    console.enter('read stop before:=41')
    console.wait_for_text(f'stop.py({STOP_AFTER})read()')
    console.wait_for_line('(Pdb)')
    console.enter('p before')
    console.wait_for_text('41')
    console.enter('n')
    console.wait_for_text(f'stop.py({STOP_AFTER + 1})read()')
    console.enter('c')
    console.wait_for_text('"after": 42')
    console.wait_for_line(PROMPT.strip())


def test_breakpoint_of_others(console: Shop) -> None:
    console.type('read echo half=')
    call = OutsideCall(console.port, '/api/v0/stop/read', before=1)
    console.wait_for_line('(Pdb)')
    console.enter('before = 5')
    console.wait_for_line('(Pdb)')
    console.enter('c')
    assert call.result() == 200
    console.wait_for_line(PROMPT + 'read echo half=')
    console.call('whole', '"half": "whole"')


def test_quit_debugger(console: Shop) -> None:
    console.enter('read stop')
    console.wait_for_line('(Pdb)')
    console.enter('q')
    console.wait_for_text('ended in the debugger')
    console.wait_for_text('500 Internal Server Error  ')
    console.wait_for_line(PROMPT.strip())
    assert 'Traceback' not in console.text
    console.call('read echo after=it', '"after": "it"')


def test_interrupts_of_debugger(console: Shop) -> None:
    app = console.wait_for_app()
    console.enter('update stop')
    console.wait_for_line('(Pdb)')
    console.send('half')
    console.wait_for_line('(Pdb) half')
    console.send(CTRL_C)
    console.wait_until(lambda: console.cursor_line == '(Pdb)', 'an empty line of the debugger')
    console.enter('while True: pass')
    wait_for_busy(app)
    console.send(CTRL_C)
    console.wait_for_text('KeyboardInterrupt')
    console.wait_until(lambda: console.cursor_line == '(Pdb)', 'the debugger')
    console.enter('c')
    wait_for_busy(app)
    console.send(CTRL_C)
    console.wait_for_text('Cancelled.')
    console.wait_for_line(PROMPT.strip())
    console.call('read echo after=it', '"after": "it"')
    assert console.wait_for_app() == app


def debuggers(console: Shop) -> int:
    return sum('(Pdb)' in line for line in console._lines())


def test_two_breakpoints(console: Shop) -> None:
    """One after the other, never at once."""
    calls = [OutsideCall(console.port, '/api/v0/stop/read', before=number) for number in (1, 2)]
    for number in (1, 2):
        console.wait_until(
            lambda number=number: console.cursor_line == '(Pdb)' and debuggers(console) == number, f'debugger {number}')
        console.enter('c')
    assert [call.result() for call in calls] == [200, 200]
    console.wait_for_line(PROMPT.strip())


def test_save_in_debugger(console: Shop) -> None:
    console.enter('read stop')
    console.wait_for_line('(Pdb)')
    (console.folder / 'shop/api/v0/echo.py').write_text(ECHO.replace("'shop'", "'saved meanwhile'"))
    console.enter('p before + 100')
    console.wait_for_text('101')
    console.enter('c')
    console.wait_for_text('"after": 2')
    console.wait_for_text('Reloaded')
    console.call('read echo', '"server": "saved meanwhile"')
    (console.folder / 'shop/api/v0/echo.py').write_text(ECHO)
    console.wait_until(lambda: sum('Reloaded' in line for line in console._lines()) == 2, 'the second reload')


def test_breakpoint_at_import(console: Shop) -> None:
    path = console.folder / 'shop/api/v0/fresh.py'
    path.write_text(f'value = 30\nbreakpoint()\n{ECHO}')
    console.wait_for_line('(Pdb)')
    console.enter('value + 3')
    console.wait_for_text('33')
    console.enter('c')
    console.wait_for_text('Reloaded')
    console.call('read fresh', '"server": "shop"')
    path.unlink()
    console.wait_until(
        lambda: sum('Reloaded' in line or 'fresh' in line for line in console._lines()) > 1, 'it to be gone')


def test_app_killed_in_debugger(console: Shop) -> None:
    app = console.wait_for_app()
    console.type('read echo half=')
    OutsideCall(console.port, '/api/v0/stop/read')
    console.wait_for_line('(Pdb)')
    os.kill(app, signal.SIGKILL)
    console.wait_for_text('was killed by SIGKILL')
    console.wait_for_line(PROMPT + 'read echo half=')
    console.call('whole', '"half": "whole"')
    assert console.wait_for_app() != app


def test_terminal_after_debugger(start: Callable[..., Shop]) -> None:
    console = start()
    console.enter('read stop')
    console.wait_for_line('(Pdb)')
    console.enter('c')
    console.wait_for_text('"after": 2')
    console.wait_for_line(PROMPT.strip())
    console.send(CTRL_D)
    assert console.wait() == 0
    assert console.is_as_before


def test_end_in_debugger(start: Callable[..., Shop]) -> None:
    console = start()
    console.enter('read stop')
    console.wait_for_line('(Pdb)')
    os.kill(console.pid, signal.SIGTERM)
    assert console.wait() == 128 + signal.SIGTERM
    assert console.is_as_before


def test_other_breakpoint(start: Callable[..., Shop]) -> None:
    """PYTHONBREAKPOINT is honoured."""
    console = start(PYTHONBREAKPOINT='0')
    console.call('read stop', '"after": 2')


# Logs


def type_while(console: Shop, call: OutsideCall) -> str:
    """Type at the end of a line as long as a call goes on, at least once; each key is seen.

    Returns the line, which stays shorter than the screen.
    """
    line = console.cursor_line
    number = 0
    while not call.status or not number:
        number += 1
        is_over = number % 50 == 0
        line = line.rstrip('x') if is_over else line + 'x'
        console.send(BACKSPACES if is_over else 'x')
        console.wait_for_line(line)
    return line


def test_storm_of_lines(console: Shop) -> None:
    console.type('read echo half=')
    call = OutsideCall(console.port, '/api/v0/loud/create', lines=5000)
    typed = type_while(console, call)
    assert call.result() == 200
    console.wait_for_text('line 4999.')
    console.wait_for_line(typed)
    raw = re.sub(rb'\x1b\[[\d;?]*[a-zA-Z]', b'', console.raw)
    logged = [int(number) for number in re.findall(rb'line (\d+)\.\r?\n', raw)]
    assert logged[-5000:] == list(range(5000))
    assert len([line for line in console.lines if line.startswith(PROMPT)]) == 1


def test_all_kinds_of_output(console: Shop) -> None:
    console.type('half')
    assert OutsideCall(console.port, '/api/v0/loud/read').result() == 200
    for line in ('partial', 'split \u20ac sign', 'from below'):
        console.wait_until(lambda line=line: line in console.lines, line)
    console.wait_until(lambda: any(line.startswith('no end') for line in console._lines()), 'what has no end of line')
    console.wait_for_line(PROMPT + 'half')


def test_keys_while_app_spins(console: Shop) -> None:
    app = console.wait_for_app()
    call = OutsideCall(console.port, '/api/v0/loud/delete')
    wait_for_busy(app)
    for length in range(1, 10):
        console.send('x')
        console.wait_for_line(PROMPT + 'x' * length)
    assert not call.status  # it spins still
    console.send(CTRL_C)
    console.wait_for_text('KeyboardInterrupt')
    assert re.search(r'loud\.py", line \d+, in delete', console.text)
    assert call.result() == 500
    console.wait_for_line(PROMPT.strip())


# Other terminals


def test_narrow(start: Callable[..., Shop]) -> None:
    console = start(columns=40)
    (console.folder / 'shop/api/v0/broken.py').write_text('def read(:')
    console.wait_until(
        lambda: re.fullmatch(r'shop \| 1 broken \| reloaded \d\d:\d\d:\d\d', toolbar(console)), 'a toolbar that fits')
    (console.folder / 'shop/api/v0/broken.py').unlink()
    console.call('help log', 'log LEVEL', '  what is logged from now on: debug,', '  info, warning, error')
    console.call('read item number:=1', '"id": 11')
    console.send('read item ')
    console.wait_for_menu('number:=')
    console.send('{"number" 1}')
    console.wait_for_text('bad JSON')
    console.send(KILL_LINE)
    console.call('help item', 'Find an item by its number.')
    console.call('watch read item number:=1', 'Watching read item.')
    console.enter('read stop')
    console.wait_for_line('(Pdb)')
    console.enter('c')
    console.wait_for_text('"after": 2')
    console.wait_for_line(PROMPT.strip())


def test_dumb_session(start: Callable[..., Shop]) -> None:
    console = start(TERM='dumb')
    console.call('read item number:=1', '"id": 11')
    console.call('read echo {"a" 1}', 'bad JSON', 'column 16')
    console.enter('read echo {"a":')
    console.call('5}', '"a": 5,')
    console.enter('read echo {"a":')
    console.call('', 'bad JSON')
    console.call('read echo a=1 | cat', '{"a":"1","server":"shop"}')
    console.call('read itme', 'did you mean read item?')
    console.call('read quite/other', 'v0 has no quite/other; routes lists what there is')
    console.call('create loud', 'KeyError')
    console.enter('read stop')
    console.wait_for_line('(Pdb)')
    console.enter('c')
    console.wait_for_text('"after": 2')
    console.call('clear')
    assert OutsideCall(console.port, '/api/v0/echo/read').result() == 200
    console.wait_for_text('POST /api/v0/echo/read 200')
    console.call('read echo end=yes', '"end": "yes"')
    (console.folder / 'replacement').write_text('read echo by=editor')
    console.enter('edit')
    console.wait_until(lambda: 'read echo by=editor' in console.text, 'the edited line')
    console.send(CTRL_D)
    console.send(CTRL_D)
    assert console.wait() == 0
    assert b'\x1b' not in console.raw


@pytest.mark.parametrize(('name', 'is_other'), [('monokai', True), ('nothing-like-it', False)])
def test_style(start: Callable[..., Shop], name: str, is_other: bool) -> None:
    console = start(APIPHANT_STYLE=name)
    console.call('read item number:=1', '"id": 11')
    assert (re.search(rb'\x1b\[(\d+;)*38;5;', console.raw) is not None) == is_other
    console.type('py x')
    assert (console.colours('py') == {'66d9ef'}) == is_other or is_other


def test_script_beside_console(tmp_path: Path) -> None:
    write_tree(tmp_path, SHOP)
    ran = run_cli('dev', str(tmp_path / 'shop'), '127.0.0.1:0', '-c', 'read stop', '-c', 'read item number:=2')
    assert ran.stdout.splitlines() == ['{"after":2}', '{"items":[{"id":22}],"colour":"red"}']
    assert 'there is no terminal to debug in' in ran.stderr
    assert ran.returncode == 0
