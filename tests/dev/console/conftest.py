"""Consoles of the product that a module of tests has in its SHOP."""
from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.console import Console, SharedConsole, consoles
from tests.kit.running import write_tree

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = report.failed or item.stash.get(FAILED, False)
    return report


@pytest.fixture(scope='module')
def kind(request: pytest.FixtureRequest) -> type[Console]:
    return getattr(request.module, 'Shop', Console)


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path, kind: type[Console]) -> Iterator[Callable[..., Any]]:
    """Starts consoles."""
    write_tree(tmp_path, request.module.SHOP)
    with consoles(tmp_path, kind) as begin:
        yield begin


@pytest.fixture(scope='module')
def shared(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
        kind: type[Console]) -> Iterator[SharedConsole]:
    found = SharedConsole(lambda: kind(write_tree(tmp_path_factory.mktemp('shared'), request.module.SHOP)))
    yield found
    found.end()


@pytest.fixture
def console(request: pytest.FixtureRequest, shared: SharedConsole) -> Iterator[Console]:
    """One for all tests of a module. After one that failed, and may have left it in any state, there is another."""
    yield shared.get()
    if request.node.stash.get(FAILED, False):
        shared.end()
    else:
        shared.put_back()
