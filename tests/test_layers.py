"""The architecture: README's list of what is in apiphant/ is the rule, and what it cannot say is here.

A module that is named in a string, for `-m` or import_module, is imported as much as by a statement.
"""
from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ROOT / 'apiphant'
HOMES = {
    'gunicorn': ['server'],
    'celery': ['background.cluster'],
    'kombu': ['background.cluster'],
    'redbeat': ['background.cluster'],
    'redis': ['background.cluster'],
    'prompt_toolkit': ['dev.console.screen', 'dev.console.prompt'],
    'pygments': ['dev.console.highlight'],
    'watchdog': ['dev.console.watch'],
}
WITHOUT_GEVENT = ['cli', 'api', 'dev.line', 'dev.source', 'dev.console']
COSTLY = [
    'argparse', 'celery', 'croniter', 'gevent', 'gunicorn', 'prompt_toolkit', 'pygments', 'redis', 'requests',
    'watchdog']


def module_of(path: Path) -> str:
    return '.'.join(path.relative_to(CODE).with_suffix('').parts).removesuffix('__init__').rstrip('.')


MODULES = {module_of(path): path for path in sorted(CODE.rglob('*.py'))}  # 'dev.console.child'; '' is apiphant itself
PACKAGES = [name for name, path in MODULES.items() if path.name == '__init__.py']


def floors() -> list[list[str]]:
    """README's lines, from the top."""
    text = (ROOT / 'README.rst').read_text()
    block = re.search(r'``tests/test_layers.py`` reads that here::\n\n((?: {4}.*\n)+)', text)
    assert block
    return [line.strip().partition('  ')[0].replace('/', '').split() for line in block[1].splitlines()]


FLOOR = {name: number for number, names in enumerate(floors()) for name in names}


# What is imported


def named_in(name: str) -> Iterator[str]:
    """Dotted names, absolute, of all that a module imports anywhere in it."""
    path = MODULES[name]
    package = ['apiphant', *name.split('.')][:None if path.name == '__init__.py' else -1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) + 1 - node.level] if node.level else []
            yield from ('.'.join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names)
        elif isinstance(node, ast.Constant) and is_module(node.value):
            yield node.value


def is_module(value: object) -> bool:
    return isinstance(value, str) and value.startswith('apiphant.') and value.removeprefix('apiphant.') in MODULES


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of ours that a module imports."""
    ours = (named.partition('.')[2] for named in named_in(name) if named.partition('.')[0] == 'apiphant')
    return frozenset(module_that_has(found) for found in ours)


def module_that_has(name: str) -> str:
    while name not in MODULES:
        name = name.rpartition('.')[0]
    return name


def libraries(name: str) -> set[str]:
    return {named.partition('.')[0] for named in named_in(name)}


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f'{package}.') or not package


# The rule


def test_all_are_in_readme() -> None:
    """Neither more nor less."""
    assert set(FLOOR) == {name.partition('.')[0] for name in MODULES} - {''}


@pytest.mark.parametrize('name', FLOOR)
def test_arrows_point_down(name: str) -> None:
    others = {(module, imported) for module in MODULES if is_in(module, name)
              for imported in imports(module) if imported and not is_in(imported, name)}
    upwards = [pair for pair in others if FLOOR[pair[1].partition('.')[0]] <= FLOOR[name]]
    assert upwards == []


@pytest.mark.parametrize('package', PACKAGES)
def test_no_circle(package: str) -> None:
    """Among what is directly in it, a package there being all that is in that."""
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        if is_in(module, package):
            member = member_of(module, package)
            found = {member_of(imported, package) for imported in imports(module) if is_in(imported, package)}
            graph.setdefault(member, set()).update(found - {member})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f'a circle in {package or "apiphant"}: {" <- ".join(error.args[1])}')


def member_of(module: str, package: str) -> str:
    """'console' for 'dev.console.child' in 'dev', '__init__' for 'dev'."""
    return module.removeprefix(package).removeprefix('.').partition('.')[0] or '__init__'


@pytest.mark.parametrize('library', HOMES)
def test_home_of_library(library: str) -> None:
    users = [name for name in MODULES if library in libraries(name)]
    assert users
    assert [name for name in users if not any(is_in(name, home) for home in HOMES[library])] == []


@pytest.mark.parametrize('package', WITHOUT_GEVENT)
def test_without_gevent(package: str) -> None:
    assert [name for name in MODULES if is_in(name, package) and 'gevent' in libraries(name)] == []


@pytest.mark.parametrize('package', PACKAGES)
def test_packages_are_light(package: str) -> None:
    """Who imports one module of a package has to import what the package itself does."""
    code = f'import sys, apiphant.{package}; print(*(name for name in {COSTLY} if name in sys.modules))'.replace(
        'apiphant.;', 'apiphant;')
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split() == []
