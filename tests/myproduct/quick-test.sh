#!/bin/sh
# Run api/test.py, and other api/test*.py, against the server on port 8888: the one that is there, or one started for it.
# APIPHANT and PYTHON name the programs to use, where they are not on the PATH.
set -eu
product=$(cd "$(dirname "$0")" && pwd -P)
python=${PYTHON:-python3}

answers() {
    "$python" -c 'import socket; socket.create_connection(("127.0.0.1", 8888), 1)' 2>/dev/null
}

if ! answers; then
    ${APIPHANT:-apiphant} "$product" 127.0.0.1:8888 &
    server=$!
    trap 'kill "$server" 2>/dev/null && wait "$server" || true' EXIT
    for _ in $(seq 100); do
        answers && break
        kill -0 "$server" 2>/dev/null || exit 1
        sleep 0.1
    done
fi
for file in "$product"/api/test*.py; do
    "$python" "$file"
done
echo "All tests passed."
