"""python -m apiphant.testing PRODUCT: serve it on a free port, and run its api/test*.py, which use apiphant.test."""
from __future__ import annotations

import runpy
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ..test import config
from .served import HOST, NotServed, Served

USAGE = 2
FAILED = 1


def main(product: Path) -> None:
    """Ends with the exception of the first test that fails. Raises SystemExit where the product does not serve."""
    with TemporaryDirectory(prefix='apiphant-') as folder:
        data = Path(folder, 'data')
        data.mkdir()
        with _served(product, data) as served:
            config.update(host=HOST, port=served.port)
            try:
                _run(product)
            except Exception:
                print(served.log(), end='', file=sys.stderr)
                raise
    print('All tests passed.')


def _served(product: Path, data: Path) -> Served:
    try:
        return Served(product, data, data.with_name('log'))
    except NotServed as error:
        sys.exit(str(error))


def _run(product: Path) -> None:
    for file in sorted(product.glob('api/test*.py')):
        runpy.run_path(str(file), run_name='__main__')


if __name__ == '__main__':
    if len(sys.argv) != 2:
        print('usage: python -m apiphant.testing PRODUCT', file=sys.stderr)
        sys.exit(USAGE)
    main(Path(sys.argv[1]).absolute())
