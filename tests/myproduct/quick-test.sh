#!/bin/sh
# Run api/test.py, and other api/test*.py, against a server of their own on a free port.
# PYTHON names the Python that has apiphant, where it is not the python3 on the PATH.
set -eu
exec "${PYTHON:-python3}" -m apiphant.testing "$(cd "$(dirname "$0")" && pwd -P)"
