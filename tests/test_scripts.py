"""scripts/environment: what the commands of a bare checkout run in.

The checkout here is a tiny one: pip needs no network.
"""
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kit.running import Program, clean_environment, wait_for, write_tree

ENVIRONMENT = Path(__file__).parents[1] / 'scripts/environment'
COMMAND = """#!/bin/sh
set -eu
. "$(dirname "$0")/environment"
environment run
exec "$venv/bin/python" -c 'import tiny; print("tiny is", tiny.__file__)'
"""
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = 'tiny-1.0-py3-none-any.whl'
    with zipfile.ZipFile(f'{folder}/{name}', 'w') as wheel:
        wheel.writestr('tiny.py', '')
        wheel.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')
        wheel.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr('tiny-1.0.dist-info/RECORD', '')
    return name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
SETUP = """
        'gevent>=25.5.1',
        'gunicorn>=25.1,<28',  # a reason
        'packaging',
            'celery-redbeat>=2.4.1',
        'test': [
            'pytest>=8.0',
"""
pytestmark = pytest.mark.once


@pytest.fixture
def checkout(tmp_path):
    write_tree(tmp_path, {
        'scripts/command': COMMAND, 'backend.py': BACKEND, 'pyproject.toml': PROJECT, 'setup.py': SETUP})
    shutil.copy(ENVIRONMENT, tmp_path / 'scripts/environment')
    (tmp_path / 'scripts/command').chmod(0o755)
    return tmp_path


def started(checkout):
    environment = clean_environment(PIP_NO_INDEX='1')
    environment.pop('VENV', None)
    return Program(program=str(checkout / 'scripts/command'), env=environment, start_new_session=True)


def check_works(checkout):
    with started(checkout) as program:
        assert program.wait(100) == 0, program.text
    return program.lines


def interrupt_at(checkout, condition):
    """As Ctrl-C does: all processes of the terminal get the signal."""
    with started(checkout) as program:
        wait_for(condition, deadline=60)
        os.killpg(program.process.pid, signal.SIGINT)
        assert program.wait(60) != 0


def test_interrupted_and_run_again(checkout):
    venv = checkout / '.venv'
    for condition in ((venv / '.apiphant-unfinished').exists, lambda: list(venv.glob('lib/*/site-packages/pip'))):
        interrupt_at(checkout, condition)
        assert not (venv / '.apiphant-run').exists()
    lines = check_works(checkout)
    assert lines[0] == 'command: making .venv'
    assert lines[1].startswith('command: installing apiphant and what it needs into .venv')
    assert lines[-1].startswith('tiny is ')
    assert len(check_works(checkout)) == 1


def test_without_pip(checkout):
    """As an older version of the script left it."""
    subprocess.run(['python3', '-m', 'venv', '--without-pip', checkout / '.venv'], check=True)
    assert check_works(checkout)[-1].startswith('tiny is ')


def test_lowest(checkout):
    """Of each package that has a lower bound and is not for tests alone."""
    words = ['sh', '-euc', '. scripts/environment; lowest', 'scripts/command']
    done = subprocess.run(words, capture_output=True, text=True, cwd=checkout, check=True)
    assert done.stdout.split() == ['gevent==25.5.1', 'gunicorn==25.1', 'celery-redbeat==2.4.1']
