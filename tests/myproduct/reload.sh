#!/bin/bash
# For code that was changed where it serves, in /srv/myproduct/current/myproduct: new workers take it, then the old ones end.
set -euo pipefail

name=myproduct
venv=/srv/$name/current/venv

fail() {
    echo "reload.sh: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "root is needed to signal $name: sudo ./reload.sh"
[ -x "$venv/bin/apiphant" ] || fail "$venv is not there: ./deploy.sh first"
supervisorctl status "$name" >/dev/null || fail "$name is not running: supervisorctl start $name"
pid=$(supervisorctl pid "$name")
setpriv --reuid "$name" --regid "$name" --init-groups -- "$venv/bin/apiphant" check "/srv/$name/current/$name" >/dev/null ||
    fail "the product is broken, see above: it goes on as it was"
kill -HUP "$pid"
echo "$name: sent HUP to process $pid, which starts workers with the new code; /var/log/$name/server.log tells more"
