"""Nothing that a caller sends, or the app prints, acts on the terminal: it is shown as text."""
import re
import sys
from pathlib import Path

import pytest

from tests.kit.console import PROMPT, Console, OutsideCall
from tests.kit.running import clean_environment, run_cli, write_tree
from tests.kit.terminal import CTRL_C, Terminal

ATTACK = ('\x1b]52;c;aGk=\x07\x1b]0;stolen\x07\x1b[?1049h\x1b[?1000h\x1b[7;7H'
          '\x9b6;6H\x9d0;stolen\x9c\x1bc\x0e\u202e\u2066')
COLOUR = '\x1b[45m'  # none of ours


def request(name: str) -> str:
    """As JSON, with all of it escaped."""
    escaped = ''.join(f'\\u{ord(char):04x}' for char in name)
    return f'{{"name": "{escaped}"}}'


JSON_ATTACK, JSON_COLOURED = request(ATTACK), request(COLOUR)
LITERAL = ascii(ATTACK)
SHOWN = r'\x1b]52;c;aGk=\x07\x1b]0;stolen\x07\x1b[?1049h'
OURS = re.compile(rb'\x1b\[(?:[\d;]*m|\d*[ABCDGJK]|\?(?:2004|25|12|7|1)[hl]|[\d;]*H)')
WAYS = '''
import logging

from apiphant.server import raw_response
from apiphant.validation import ApiError

class Odd:
    def __init__(self, text):
        self.text = text
    def __repr__(self):
        return self.text

def create(request):
    raise ValueError(f'bad name: {request["name"]}')

def read(request):
    logging.info('logged %s', request['name'])
    return {}

def update(request):
    print(f'printed {request["name"]}', flush=True)
    return {'back': request['name']}

@raw_response
def delete(request, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [f'raw {request["name"]}'.encode()]
'''
BINARY = '''
from apiphant.server import raw_response

@raw_response
def read(request, start_response):
    start_response('200 Good', [('Content-Type', 'image/png')])
    return [b'\\x1b[7;7Hraw \\xff\\x9b' + b'\\xc2\\x9b6;6H' + b'\\x00' * 5]

def update(request):
    for part in range(5):
        print(f'\\r{part} of 4', end='', flush=True)
    print(flush=True)
    return {}

def delete(request):
    print('\\x1b[36mcyan\\x1b[0m and \\x1b[36mopen', flush=True)
    return {}
'''
STOP = '''
def read(request):
    breakpoint()
    print(f'stepped {request["name"]}')
    return {}
'''
SHOP = {'shop/api/v0/ways.py': WAYS, 'shop/api/v0/binary.py': BINARY, 'shop/api/v0/stop.py': STOP,
        'shop/api/v0/menu.py': 'def read(request):\n    """Odd \u202e\u009b7;7H words."""\n    return {}\n'}


def assert_untouched(console: Terminal) -> None:
    """No escape came but colours and those by which prompt_toolkit draws; none of the caller's was among them."""
    left = OURS.sub(b'', console.raw)
    assert not re.search(
        rb'[\x00-\x06\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]', left), left
    assert not re.search(rb'\[7;7H|\[6;6H', b''.join(OURS.findall(console.raw)))
    assert console._screen.title == ''


@pytest.mark.parametrize(('line', 'shown'), [
    (f'create ways {JSON_ATTACK}', f'ValueError: bad name: {SHOWN}'),
    (f'read ways {JSON_ATTACK}', f'logged {SHOWN}'),
    (f'update ways {JSON_ATTACK}', f'printed {SHOWN}'),
    (f'delete ways {JSON_ATTACK}', f'raw {SHOWN}'),
    (f'py shop.api.v0.ways.Odd({LITERAL})', SHOWN),
    (f'py print({LITERAL})', SHOWN),
    (f'py 1 / shop.api.v0.ways.create(dict(name={LITERAL}))', f'bad name: {SHOWN}'),
    ('py shop.api.v0.ways.Odd(chr(0xd800) + chr(0x9b))', r'\ud800\x9b'),
    ('read binary', r'\x1b[7;7Hraw ' + '\ufffd\ufffd' + r'\x9b6;6H\x00\x00'),
], ids=lambda value: str(value)[:24])
def test_shown_as_text(console: Console, line: str, shown: str) -> None:
    console.call(line, shown)
    assert_untouched(console)
    assert b'\x1b[45m' not in console.raw


def test_json_reply(console: Console) -> None:
    """It stays JSON: what is escaped is escaped as JSON has it."""
    console.call(f'update ways {JSON_ATTACK}', r'"back": "\u001b]52;c;aGk=\u0007')
    console.wait_for_text(r'\u009d0;stolen\u009c')
    console.call('curl', r'\u009d0;stolen\u009c')
    assert_untouched(console)


@pytest.mark.parametrize(('line', 'shown'), [
    (f'create ways {JSON_COLOURED}', r'bad name: \x1b[45m'), (f'delete ways {JSON_COLOURED}', r'raw \x1b[45m'),
    ("py shop.api.v0.ways.Odd('\\x1b[45m')", r'\x1b[45m')],
    ids=['traceback', 'reply', 'repr'])
def test_colours_in_values(console: Console, line: str, shown: str) -> None:
    console.call(line, shown)
    assert b'\x1b[45m' not in console.raw


def test_calls_of_others(console: Console) -> None:
    OutsideCall(console.port, '/api/v0/ways/%1b%5d0;stolen%07%c2%9b/read').result()
    OutsideCall(console.port, '/api/v0/ways/create', name=ATTACK).result()
    console.wait_for_text(f'ValueError: bad name: {SHOWN}')
    console.wait_for_text('/api/v0/ways/')
    assert_untouched(console)


def test_watched_differences(console: Console) -> None:
    console.call(f'watch delete ways {JSON_ATTACK}', SHOWN)
    path = console.folder / 'shop/api/v0/ways.py'
    path.write_text(WAYS.replace('raw {', 'changed {'))
    console.wait_for_text(f'+changed {SHOWN}')
    path.write_text(WAYS)
    console.wait_for_text(f'-changed {SHOWN}')
    console.call('unwatch', 'Nothing is watched')
    assert_untouched(console)


def test_names_of_files(console: Console) -> None:
    console.call('open a\u202e\u009b7;7Hb', r"there is no file 'a\u202e\x9b7;7Hb'")
    path = console.folder / 'shop/api/v0/bad\x1b]0;stolen\x07\u202e.txt'
    reader = console.folder / 'shop/api/v0/reads.py'
    path.write_text('one')
    reader.write_text(f'text = open({str(path)!a}).read()\n')
    console.wait_for_text('reads.py')
    path.write_text('two')
    console.wait_for_text(r'bad\x1b]0;stolen\x07\u202e.txt')
    assert_untouched(console)


def test_words_about_targets(console: Console) -> None:
    console.send('read men')
    console.wait_for_text(r'Odd \u202e\x9b7;7H words.')
    console.send(CTRL_C)
    console.call('help menu', r'Odd \u202e\x9b7;7H words.')
    assert_untouched(console)


def test_typed_and_recalled(console: Console) -> None:
    """What is typed, pasted or comes from the history is drawn as text too."""
    console.send('read ways name=\x1b[200~a\u202e\u009b7;7Hz\x1b[201~')
    console.wait_for_text(r'name=a\u202e')
    assert_untouched(console)


def test_colours_of_app(console: Console) -> None:
    """Its own are its own, to the end of the line."""
    console.call('delete binary', 'cyan and open')
    assert console.colours('cyan') == {'cyan'}
    assert console.colours('open') == {'cyan'}
    assert console.colours('{}') == {'default'}
    assert console.colours(PROMPT.strip()) == {'default'}


def test_progress_bar(console: Console) -> None:
    console.call('update binary', '4 of 4')
    assert '3 of 4' not in console.text
    assert '4 of 4' in console.lines


def test_debugger(console: Console) -> None:
    console.enter(f'read stop {JSON_ATTACK}')
    console.wait_for_line('(Pdb)')
    console.enter('raise ValueError(request["name"])')
    console.wait_for_text(f'*** ValueError: {SHOWN}')
    console.enter('until 5')  # Python 3.13 stops at `breakpoint()`, older ones at the line after it.
    console.wait_for_text(f'stepped {SHOWN}')
    console.enter('print(request["name"][:12])')
    console.wait_until(lambda: any(line.startswith(SHOWN[:10]) for line in console._lines()), 'what was printed')
    console.enter('c')
    console.wait_for_line(PROMPT.strip())
    assert_untouched(console)


@pytest.mark.parametrize('environment', [{'TERM': 'dumb'}, {'NO_COLOR': '1'}], ids=str)
def test_no_colours(tmp_path: Path, environment: dict[str, str]) -> None:
    with Console(write_tree(tmp_path, SHOP), **environment) as console:
        console.wait_for_text(PROMPT)
        console.call(f'create ways {JSON_ATTACK}', f'ValueError: bad name: {SHOWN}')
        console.call('delete binary', r'\x1b[36mcyan\x1b[0m')
        assert_untouched(console)


# Without a prompt


def script(shop: Path, *lines: str, **environment: str) -> Terminal:
    words = [word for line in lines for word in ('-c', line)] or ['--no-console']
    return Terminal(sys.executable, '-m', 'apiphant.cli', 'dev', str(shop), '127.0.0.1:0', *words, columns=160,
                    environment=clean_environment(TERM='xterm-256color', **environment))


LINES = [f'{action} ways {JSON_ATTACK}' for action in ('create', 'read', 'update', 'delete')] + [
    f'py shop.api.v0.ways.Odd({LITERAL})', 'open \u202e\u009b']


def test_script_in_terminal(tmp_path: Path) -> None:
    with script(write_tree(tmp_path, SHOP) / 'shop', *LINES) as terminal:
        assert terminal.wait() == 2
        for text in (f'bad name: {SHOWN}', f'logged {SHOWN}', f'printed {SHOWN}', f'raw {SHOWN}'):
            assert text in '\n'.join(terminal.history)
        assert any(line.startswith(SHOWN) for line in terminal.history)
        assert_untouched(terminal)


def test_script_in_pipe(tmp_path: Path) -> None:
    """Programs get the bytes as they are."""
    shop = write_tree(tmp_path, SHOP) / 'shop'
    done = run_cli('dev', str(shop), '127.0.0.1:0', *(word for line in LINES for word in ('-c', line)))
    assert f'raw {ATTACK}' in done.stdout
    assert f'\n{ATTACK}\n' in done.stdout
    for text in (f'bad name: {ATTACK}', f'logged {ATTACK}', f'printed {ATTACK}'):
        assert text in done.stderr


def test_no_console(tmp_path: Path) -> None:
    with script(write_tree(tmp_path, SHOP) / 'shop') as terminal:
        terminal.wait_for_text('Serving shop on')
        port = int(re.search(r':(\d+)', terminal.text)[1])
        assert OutsideCall(port, '/api/v0/ways/create', name=ATTACK).result() == 500
        assert OutsideCall(port, '/api/v0/ways/update', name=ATTACK).result() == 200
        assert OutsideCall(port, '/api/v0/binary/delete').result() == 200
        for text in (f'bad name: {SHOWN}', f'printed {SHOWN}', 'cyan and open'):
            terminal.wait_for_text(text)
        assert terminal.colours('open') == {'cyan'}
        assert_untouched(terminal)
