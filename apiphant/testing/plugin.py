"""The fixture `api` of pytest: calls of the product, which is served in a process of its own.

    def test_echo(api):
        reply = api('echo', 'read', {'hello': 'world'})
        assert (reply.status, reply.hello) == (200, 'world')

pytest imports this wherever apiphant is installed, so it imports the rest only when the fixture is used.
"""
from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from .client import Api
    from .served import Served

Scope = Literal['session', 'package', 'module', 'class', 'function']
VERSION = re.compile(r'v\d+')
WHICH = 'which product? Say it with --apiphant-product FOLDER, or in a configuration file: apiphant_product = FOLDER'


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup('apiphant')
    group.addoption(
        '--apiphant-product', metavar='FOLDER', help='the product that the fixture "api" serves; default: the one that '
        'the tests lie in or beside')
    parser.addini('apiphant_product', 'the product that the fixture "api" serves', type='paths')
    parser.addini(
        'apiphant_scope', 'what has a server and data of its own: module, the default: each file of tests; function: '
        'each test; session: all tests share one', default='module')


def _scope(fixture_name: str, config: pytest.Config) -> Scope:
    scope: Scope = config.getini('apiphant_scope')
    return scope


@pytest.fixture(scope=_scope)
def apiphant_served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server process behind `api`."""
    from .served import NotServed, Served  # noqa: PLC0415
    folder = tmp_path_factory.mktemp('apiphant')
    data = folder / 'data'
    data.mkdir()
    try:
        served = Served(_product(request.config, _place(request)), data, folder / 'log')
    except NotServed as error:
        pytest.fail(f'the product does not serve:\n{error}', pytrace=False)
    with served:
        yield served


@pytest.fixture
def api(request: pytest.FixtureRequest, apiphant_served: Served) -> Iterator[Api]:
    """Calls the product: `api('echo', 'read', {'hello': 'world'})`."""
    from .client import connect  # noqa: PLC0415
    request.node.stash[LOG] = (apiphant_served, apiphant_served.position())
    client = connect(apiphant_served.port)
    yield client
    client.session.close()


LOG = pytest.StashKey['tuple[Served, int]']()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the server said during a test that failed, with its tracebacks, beside what the test printed."""
    report = yield
    if report.when == 'call' and report.failed and LOG in item.stash:
        served, start = item.stash[LOG]
        if text := served.log(start):
            report.sections.append(('log of the product', text))
    return report


def _place(request: pytest.FixtureRequest) -> Path:
    """Where the tests are: a file, or for all of a session its folder."""
    return request.config.rootpath if request.scope in ('session', 'package') else request.path


def _product(config: pytest.Config, place: Path) -> Path:
    """As the option says, or the configuration file, or the place of the tests. Raises UsageError."""
    given: str | None = config.getoption('--apiphant-product')
    if given:
        return config.invocation_params.dir / given
    paths: list[Path] = config.getini('apiphant_product')
    found = paths or _around(place, config.rootpath)
    if len(found) != 1:
        raise pytest.UsageError(f'{WHICH}; {_listed(found)}')
    return found[0]


def _around(place: Path, root: Path) -> list[Path]:
    """The product that a place lies in, else those that lie beside it or beside a folder above it, up to the root."""
    folders = [folder for folder in (place, *place.parents) if folder.is_dir() and folder.is_relative_to(root)]
    for folder in folders:
        if _is_product(folder):
            return [folder]
    for folder in folders:
        if beside := sorted(filter(_is_product, folder.iterdir())):
            return beside
    return []


def _is_product(folder: Path) -> bool:
    api = folder / 'api'
    return api.is_dir() and any(VERSION.fullmatch(version.name) for version in api.iterdir())


def _listed(found: list[Path]) -> str:
    return f'there are {", ".join(path.name for path in found)}' if found else 'none was found around the tests'
