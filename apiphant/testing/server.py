"""The process that serves a product to its tests: python -m apiphant.testing.server PRODUCT LISTENER LIFELINE.

Both are numbers of descriptors: a socket that listens already, and a pipe whose other end the tests hold.
"""
from __future__ import annotations

import sys

from ..errors import UserError
from ..server import serve
from ..threads import leave_with_lifeline


def main(product: str, listener: str, lifeline: str) -> None:
    leave_with_lifeline(int(lifeline))
    try:
        serve(product, fd=int(listener), workers=1)
    except UserError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main(*sys.argv[1:])
