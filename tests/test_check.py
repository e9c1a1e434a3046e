"""What `apiphant check` says of files and functions that look like the API and are not part of it."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.running import SAMPLE, run_cli, write_tree

READ = 'def read(request):\n    return {}\n'
ONE = {'api/v0/echo.py': READ}
WARNED = [
    ({**ONE, 'api/shop.py': READ},
     'passed over: shop/api/shop.py: it is in no version; shop/api/v0/shop.py would be a target'),
    ({**ONE, 'api/vx/a.py': READ}, 'passed over: shop/api/vx: a version is named v and a number: v0, v1, v10'),
    ({**ONE, 'api/shop/deep/a.py': READ}, 'passed over: shop/api/shop: a version is named v and a number: v0, v1, v10'),
    ({**ONE, 'api/V1/a.py': READ}, 'passed over: shop/api/V1: a version is named v and a number: v0, v1, v10'),
    ({'api/v0/echo.py': READ.replace('read', 'raed')}, 'not called: raed in shop/api/v0/echo.py: did you mean read?'),
    ({'api/v0/echo.py': READ.replace('read', 'Create')},
     'not called: Create in shop/api/v0/echo.py: did you mean create?'),
    ({'api/v0/echo.py': READ + READ.replace('read', 'udpate')},
     'not called: udpate in shop/api/v0/echo.py: did you mean update?'),
    ({'api/v1/a.py': READ, 'api/v01/a.py': READ},
     'two versions: shop/api/v01 and shop/api/v1 are not the same in a URL'),
    ({'api/v1/a.py': READ, 'api/v001/a.py': READ, 'api/v01/a.py': READ},
     'two versions: shop/api/v001, shop/api/v01 and shop/api/v1 are not the same in a URL'),
    ({'api/__init__.py': ''}, 'no targets: shop/api has no folder of a version, such as shop/api/v0'),
    ({'api/echo.py': READ}, 'no targets: shop/api has no folder of a version, such as shop/api/v0'),
]
QUIET = [
    {'api/helper.py': 'def tax(): pass\n'}, {'api/background.py': 'from apiphant.background import seconds\n\n'
     '@seconds(60)\ndef read():\n    pass\n'}, {'api/test.py': READ}, {'api/test_x.py': READ}, {'api/_own.py': READ},
    {'api/_own/a.py': READ}, {'api/.hidden.py': READ}, {'api/lib/a.py': 'def tax(): pass\n'},
    {'api/v0/a.py': READ + 'def ready():\n    pass\n\n\ndef reads():\n    pass\n'},
    {'api/v0/a.py': READ + 'from shop.lib import raed\n', 'lib.py': 'def raed(): pass\n'},
    {'api/v0/a.py': READ + 'def _raed(): pass\n'}, {'api/v10/a.py': READ, 'api/v1/a.py': READ},
    {'api/odd.py': 'def read(:'}, {'api/text.py': '"""\ndef read(request): ...\n"""\n'},
]


@pytest.mark.parametrize(('files', 'said'), WARNED, ids=[said for _, said in WARNED])
def test_warned(tmp_path: Path, files: dict[str, str], said: str) -> None:
    """Nothing is broken by it."""
    write_tree(tmp_path / 'shop', files)
    done = run_cli('check', 'shop', cwd=tmp_path)
    assert said in done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize('files', QUIET, ids=' '.join)
def test_quiet(tmp_path: Path, files: dict[str, str]) -> None:
    write_tree(tmp_path / 'shop', {**ONE, **files})
    done = run_cli('check', 'shop', cwd=tmp_path)
    assert [line for line in done.stdout.splitlines() if not line.startswith(('/api/', 'task: '))] == []
    assert (done.returncode, done.stderr) == (0, '')


def test_sample_is_quiet() -> None:
    done = run_cli('check', str(SAMPLE))
    assert {line.partition(':')[0] for line in done.stdout.splitlines() if not line.startswith('/api/')} <= {'task'}
