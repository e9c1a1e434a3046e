"""Draws scripts/console.svg: `apiphant dev` in a terminal is typed at, and its screen drawn as it is then."""
from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.kit.running import SAMPLE, clean_environment
from tests.kit.terminal import Terminal

PICTURE = Path(__file__).resolve().with_name('console.svg')
FOLDER = Path('/tmp/demo')  # always the same: tracebacks name it
SHELL = 'printf "$ "; read -r line; exec $line'
PROMPT = 'myproduct>'
MISTAKE, MENDED = '1 / 0', "1 / field(request, 'by', default_value=2, valid_type=int)"
NO_BREAK_SPACE = '\xa0'
COLUMNS, ROWS = 90, 36
CELL, LINE, SIZE, MARGIN = 8.4, 19, 14, 16  # pixels
FONT = 'ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, Liberation Mono, monospace'
PAPER, INK, EDGE = '#1b1f27', '#d7dde6', '#57606a'
COLOURS = {
    'black': '#0d1117', 'red': '#ff7b72', 'green': '#7ee787', 'brown': '#e3b341', 'blue': '#79c0ff',
    'magenta': '#d2a8ff',
    'cyan': '#5fd7e0', 'white': '#c9d1d9', 'brightblack': '#8b949e'}


class Look(NamedTuple):
    ink: str
    paper: str
    is_bold: bool


class Run(NamedTuple):
    """Cells beside each other that look the same."""
    row: int
    column: int
    text: str
    look: Look


class Session(Terminal):
    """A shell, and what is run in it."""

    def step(self, line: str, shown: str) -> None:
        """Type a line, and wait for a text that it brings, and the prompt."""
        self.enter(line)
        self.wait_for_text(shown)
        self.wait_for_line(PROMPT)

    def runs(self) -> list[Run]:
        with self._news:
            cursor = self._screen.cursor
            return [
                run for row in range(len(self._lines()))
                for run in runs_of(self._screen.buffer[row], row, (cursor.y, cursor.x))]


def play(session: Session) -> list[Run]:
    """What the screen shows in the end."""
    session.wait_for_line('$')
    session.step(f'apiphant dev myproduct{address()}', 'Serving myproduct')
    session.step('read echo {"hello": "world"}', '"hello": "world",')
    session.step('read echo title=$.hello n:=3 | tee last.json', '{"title"')
    session.step('create self test=1/0', '"500 Internal Server Error"')
    mend(FOLDER / 'myproduct/api/v0/self.py')
    session.wait_for_text('Reloaded 1 module')
    session.step('again', '"x": 0.5')
    session.send('create self ')
    session.wait_for_text(' x= ')
    session.wait_for_text('| reloaded')
    session.wait_for_line(f'{PROMPT} create self')
    return session.runs()


def address() -> str:
    """'' for the usual one, if that is free."""
    with socket.socket() as probe:
        return ' 127.0.0.1:0' if probe.connect_ex(('127.0.0.1', 8888)) == 0 else ''


def mend(path: Path) -> None:
    path.write_text(path.read_text().replace(MISTAKE, MENDED))


@contextmanager
def product() -> Iterator[None]:
    """A copy of the sample, in a folder that must not be there yet."""
    FOLDER.mkdir()
    try:
        shutil.copytree(SAMPLE, FOLDER / 'myproduct', ignore=shutil.ignore_patterns('__pycache__'))
        yield
    finally:
        shutil.rmtree(FOLDER)


def runs_of(cells: Mapping[int, Any], row: int, cursor: tuple[int, int]) -> Iterator[Run]:
    for look, columns in groupby(range(COLUMNS), lambda column: look_of(cells[column], (row, column) == cursor)):
        places = list(columns)
        yield Run(row, places[0], ''.join(cells[column].data for column in places), look)


def look_of(cell: Any, has_cursor: bool) -> Look:
    ink, paper = colour(cell.fg, INK), colour(cell.bg, PAPER)
    return Look(paper, ink, cell.bold) if cell.reverse != has_cursor else Look(ink, paper, cell.bold)


def colour(name: str, default: str) -> str:
    """Of a name, or six hexadecimal digits, as the emulator has it."""
    return default if name == 'default' else COLOURS.get(name) or COLOURS.get(name.removeprefix('bright'), f'#{name}')


def svg(runs: list[Run]) -> str:
    width, height = round(COLUMNS * CELL) + 2 * MARGIN, (runs[-1].row + 1) * LINE + 2 * MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    window = f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="9" fill="{PAPER}" stroke="{EDGE}"/>'
    boxes = ['<g shape-rendering="crispEdges">', *(box(run) for run in runs if run.look.paper != PAPER), '</g>']
    group = f'<g font-family="{FONT}" font-size="{SIZE}" fill="{INK}">'
    texts = [text(run) for run in runs if run.text.strip()]
    return '\n'.join([
        head, '<title>A session of apiphant dev</title>', window, *boxes, group, *texts, '</g>', '</svg>', ''])


def box(run: Run) -> str:
    x, y, width = MARGIN + run.column * CELL, MARGIN + run.row * LINE, len(run.text) * CELL
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{LINE}" fill="{run.look.paper}"/>'


def text(run: Run) -> str:
    """Its length is given, so that columns are columns in whatever font. Plain spaces collapse in Chromium."""
    words, before = run.text.strip(), len(run.text) - len(run.text.lstrip())
    x, y, width = MARGIN + (run.column + before) * CELL, MARGIN + run.row * LINE + SIZE, len(words) * CELL
    content = escape(words).replace(' ', NO_BREAK_SPACE)
    look = f' fill="{run.look.ink}"' * (run.look.ink != INK) + ' font-weight="bold"' * run.look.is_bold
    return f'<text x="{x:.1f}" y="{y}" textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs"{look}>{content}</text>'


def main() -> None:
    path = f'{Path(sys.executable).parent}:/usr/bin:/bin'
    environment = clean_environment(
        TERM='xterm-256color', PATH=path, XDG_STATE_HOME=str(FOLDER / 'state'), LC_ALL='C.UTF-8')
    with (
        product(),
        chdir(FOLDER),
        Session('/bin/sh', '-c', SHELL, environment=environment, columns=COLUMNS, rows=ROWS) as session,
    ):
        PICTURE.write_text(svg(play(session)), 'utf-8')


if __name__ == '__main__':
    main()
