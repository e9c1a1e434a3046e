"""README.rst and CHANGES.rst are what a package index and a person with a viewer see."""
import re
from pathlib import Path

import pytest
from docutils.core import publish_doctree

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize('name', ['README.rst', 'CHANGES.rst'])
def test_is_valid(name):
    publish_doctree((ROOT / name).read_text(), settings_overrides={'halt_level': 2, 'report_level': 2})


def test_files_are_there():
    """What it names of this repository, each by its whole path."""
    named = re.findall(r'(?<![\w/])(?:tests|scripts|\.ci)/[\w./-]*\w', (ROOT / 'README.rst').read_text())
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_table_is_the_measured_one():
    """The table of servers is what tests/bench/serve.py wrote."""
    table, _, _ = (ROOT / 'tests/bench/results/serve.txt').read_text().partition('\n\n')
    lines = [f'    {line}'.rstrip() for line in table.splitlines()]
    assert '\n'.join(lines) in (ROOT / 'README.rst').read_text()


def test_journeys_name_modules():
    """A name without a slash is in the folder of the one before it, or in apiphant itself."""
    package, folder = ROOT / 'apiphant', ''
    text = (ROOT / 'README.rst').read_text()
    names = re.findall(r'``([a-z_/]+)``', text[text.index('**From bytes'):text.index('    scripts/picture')])
    for name in names:
        folder = name.rpartition('/')[0] or folder
        assert any((package / place).exists() for place in (f'{name}.py', name, f'{folder}/{name}.py')), name
    assert len(names) > 40
