#!/bin/sh
# All tests of the sample product: see quick-test.sh.
exec "$(dirname "$0")/../quick-test.sh"
