#!/bin/bash
# Puts this product to work on this machine, or its newer state: ./deploy.sh --help
set -Eeuo pipefail
umask 077  # what is made is root's alone, until it is opened to whom it must be
trap 'echo "deploy.sh: stopped at line $LINENO: $BASH_COMMAND" >&2' ERR

name=myproduct
home=/srv/$name
state=/var/lib/$name
logs=/var/log/$name
current=$home/current
work=/run/deploy-$name.work  # root's, and with no secret left by a run that was killed: the next one empties it
trial=/run/deploy-$name.trial  # of the product's user
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cd /  # no program below finds modules in the folder of whoever calls this

packages=(python3-venv nginx supervisor logrotate curl)
keep=5  # releases
patience=30  # seconds for a release to answer
in_a_row=8  # answers of a release that show that it serves
health=/api/v0/health/read

help() {
    cat <<END
Usage: ./deploy.sh [--dry-run | --rollback | --help]

As root, in the folder of the product: serve it on this machine by nginx and supervisor, with the settings in deploy.conf.
What is there is copied to $home/releases/TIME and gets a virtualenv of its own; once it is found well, it replaces the
release that serves, without losing a call. If it does not answer then, the one before is put back. Without a change
nothing is restarted.

  --dry-run   say what would be done, and change nothing
  --rollback  go back to the release before, with its settings
END
}

say() { echo "$name: $*"; }

fail() {
    echo "deploy.sh: $*" >&2
    exit 1
}

main() {
    action=deploy
    case ${1-} in
        '') ;;
        --dry-run | --rollback) action=${1#--} ;;
        --help | -h) help; exit ;;
        *) fail "unknown option $1: ./deploy.sh --help lists what there is" ;;
    esac
    [ $# -le 1 ] || fail "one option at a time: ./deploy.sh --help lists them"
    [ "$(id -u)" = 0 ] || fail "root is needed to install: sudo ./deploy.sh $*"
    lock
    trap leave EXIT
    trap 'leave 129' HUP
    trap 'leave 130' INT
    trap 'leave 143' TERM
    rm -rf "$work" "$trial"
    mkdir "$work"
    case $action in
        deploy) deploy ;;
        dry-run) plan ;;
        rollback) rollback ;;
    esac
}

# Released when this process ends; daemons that it starts do not inherit it, see start_service.
lock() {
    exec 9>"/run/deploy-$name.lock"
    flock --nonblock 9 || fail "another deploy.sh of $name is running here: wait until it has ended"
}

# Whatever was begun and not brought to its end is undone. A signal that comes before they are shut out begins this anew.
leave() {
    local status=${1-$?}
    trap '' HUP INT TERM PIPE
    trap - EXIT ERR
    set +e
    if [ "$touched" ]; then put_back; fi
    if [ "$made" ]; then remove_made; fi
    rm -rf "$work" "$trial"
    exit "$status"
}

# Unless it serves, whatever the variables say.
remove_made() {
    if [ "$made" = "$(readlink -e "$current")" ]; then return; fi
    rm -rf "$made"
    say "the release $(basename "$made") was removed"
}

made=  # the folder of a release that is not in use yet
touched=  # what would have to be put back: files, program, nginx, background
before=  # the folder of the release that serves, if there is one

deploy() {
    read_settings "$here"
    install_packages
    find_before
    check_neighbours
    make_user
    digest=$(digest_of "$here")
    if [ "$before" ] && [ "$digest" = "$(cat "$before/.digest" 2>/dev/null)" ]; then
        release=$before
    else
        make_release
    fi
    apply
}

rollback() {
    find_before
    [ "$before" ] || fail "$current is not there: nothing was deployed yet"
    local target
    target=$(cat "$before/.before" 2>/dev/null) || fail "there is no release before $(basename "$before")"
    release=$home/releases/$target
    [ -d "$release" ] || fail "the release before $(basename "$before") was $target, which is removed already"
    read_settings "$release/$name"
    apply
}

plan() {
    local package path
    read_settings "$here"
    for package in $(missing_packages); do say "would install the package $package"; done
    find_before
    check_neighbours
    getent passwd "$name" >/dev/null || say "would make the user $name"
    if [ "$before" ] && [ "$(digest_of "$here")" = "$(cat "$before/.digest" 2>/dev/null)" ]; then
        say "no change since the release $(basename "$before")"
    else
        say "would make a release in $home/releases/ and, if it is well, point $current at it"
    fi
    render_configs "$here"
    for path in "${configs[@]}"; do
        is_same "$path" || say "would $([ -e "$work/new$path" ] && echo write || echo remove) $path"
    done
    say "nothing was changed"
}

# Settings and what follows from them

settings=(HOSTS PORT WORKERS ENGINE CERTIFICATE KEY DEFAULT)

read_settings() {
    local conf=$1/deploy.conf
    HOSTS=_ PORT=8888 WORKERS=2 ENGINE='' CERTIFICATE='' KEY='' BALANCERS='' PYTHON=/usr/bin/python3
    [ -f "$conf" ] || fail "$conf is not there"
    # shellcheck source=/dev/null
    . "$conf" || fail "$conf cannot be read"
    if ! [[ $PORT =~ ^[1-9][0-9]*$ ]] || [ "$PORT" -gt 65535 ]; then fail "PORT=$PORT in $conf should be a number from 1 to 65535"; fi
    [[ $WORKERS =~ ^[1-9][0-9]*$ ]] || fail "WORKERS=$WORKERS in $conf should be a number from 1 on"
    [ "$HOSTS" ] || fail "HOSTS in $conf should name hosts, or be _ for all"
    [ "${CERTIFICATE:+x}" = "${KEY:+x}" ] || fail "CERTIFICATE and KEY in $conf belong together: give both, or none"
    [ -z "$CERTIFICATE" ] || [ -r "$CERTIFICATE" ] || fail "CERTIFICATE=$CERTIFICATE in $conf cannot be read"
    [ -z "$KEY" ] || [ -r "$KEY" ] || fail "KEY=$KEY in $conf cannot be read"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || fail "PYTHON=$PYTHON in $conf should be Python 3.11 or newer"
    derive
}

# The words that turn lines of templates on, and a host to call.
derive() {
    local security=plain
    scheme=http DEFAULT=''
    host=${HOSTS%% *}
    host=${host/#\*/www}
    ENGINE=${ENGINE//%/%%}  # as supervisor reads it
    if [ "$HOSTS" = _ ]; then DEFAULT=' default_server' host=localhost; fi
    if [ "$CERTIFICATE" ]; then security=tls scheme=https; fi
    flags=" $security "
    if [ -s /proc/net/if_inet6 ]; then flags+="${security}six "; fi
    if [ "$BALANCERS" ]; then flags+="balancers "; else flags+="direct "; fi
}

configs=(
    "/etc/supervisor/conf.d/$name.conf"
    "/etc/supervisor/conf.d/$name-background.conf"
    "/etc/logrotate.d/$name"
    "/etc/nginx/conf.d/$name.conf"  # and what else of nginx there is
)

# Into $work/new, from the templates in a folder; one that is not there then is not to be installed.
render_configs() {
    local path
    mkdir -p "$work/old" "$work"/new/etc/{supervisor/conf.d,nginx/conf.d,logrotate.d}
    render "$1/supervisor/$name.conf" "${configs[0]}"
    if has_background "$1"; then render "$1/supervisor/$name-background.conf" "${configs[1]}"; fi
    render "$1/nginx/$name.conf" "${configs[3]}"
    render "$1/logrotate/$name" "${configs[2]}"
    # Debian's welcome page is the default server of a fresh nginx.
    if [ "$DEFAULT" ] && [ -h /etc/nginx/sites-enabled/default ]; then configs+=(/etc/nginx/sites-enabled/default); fi
    for path in "${configs[@]}"; do
        if [ -e "$path" ]; then
            mkdir -p "$work/old${path%/*}"
            cp -a "$path" "$work/old$path"
        fi
    done
}

has_background() { [ -e "$1/api/background.py" ] || [ -d "$1/api/background" ]; }

render() {
    local line value setting
    while IFS= read -r line || [ "$line" ]; do
        if [[ $line =~ ^(\ *)#([a-z]+)\ (.*)$ ]]; then
            [[ $flags == *" ${BASH_REMATCH[2]} "* ]] || continue
            line=${BASH_REMATCH[1]}${BASH_REMATCH[3]}
        fi
        if [[ $line == *@BALANCER@* ]]; then
            for value in $BALANCERS; do printf '%s\n' "${line//@BALANCER@/"$value"}"; done
            continue
        fi
        for setting in "${settings[@]}"; do line=${line//"@$setting@"/"${!setting}"}; done
        printf '%s\n' "$line"
    done <"$1" >"$work/new$2"
}

is_same() {
    if [ -e "$work/new$1" ]; then cmp --silent "$work/new$1" "$1"; else [ ! -e "$1" ]; fi
}

are_same() {
    local path
    for path in "$@"; do is_same "$path" || return 1; done
}

# The machine

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    "${openly[@]}" apt-get update --quiet=2 || fail "apt-get update failed, and ${missing[*]} is needed: see above"
    DEBIAN_FRONTEND=noninteractive "${openly[@]}" apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}" 9>&- >"$work/apt.log" 2>&1 ||
        { cat "$work/apt.log" >&2; fail "apt-get could not install ${missing[*]}: see above"; }
}

make_user() {
    local of path
    of=$(getent passwd "$name" | cut -d: -f6) || true
    if [ ! -e "$home" ]; then
        for path in "$state" "$logs" "/etc/logrotate.d/$name"; do
            if [ -e "$path" ]; then fail "$path is there, of something else that is called $name: the product needs another name"; fi
        done
        if [ "$of" ]; then fail "there is a user $name already: the product needs another name"; fi
        install -d -m 755 "$home"
    fi
    if [ -z "$of" ]; then
        "${openly[@]}" useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin "$name" || fail "useradd could not make the user $name: see above"
        say "made the user $name"
    elif [ "$of" != "$state" ]; then
        fail "there is a user $name already, who lives in $of: the product needs another name"
    fi
    install -d -m 755 "$home" "$home/releases"
    install -d -m 750 -o "$name" -g "$name" "$state"
    install -d -m 750 -g "$name" "$logs"  # root's own, as root opens files in it
    [ -e "$logs/access.log" ] || install -m 640 -o "$name" -g adm /dev/null "$logs/access.log"
}

# What makes files of its own, or outlives this script, does so with the usual rights.
# shellcheck disable=SC2016
openly=(sh -c 'umask 022; exec "$@"' sh)

# It ends with this script, however that ends; also where that was before the signal was ordered.
# shellcheck disable=SC2016
as_user=(
    env --chdir="$state" --ignore-environment PATH=/usr/local/bin:/usr/bin:/bin HOME="$state" LANG=C.UTF-8
    setpriv --reuid "$name" --regid "$name" --init-groups --pdeathsig TERM --
    sh -c 'umask 022; [ "$PPID" = "$0" ] && exec "$@"' $$
)

find_before() {
    before=$(readlink -e "$current") || before=
}

# Other products keep their port, and their place as the one for whatever name there is.
check_neighbours() {
    local path place=127.0.0.1:$PORT
    for path in /etc/supervisor/conf.d/*.conf; do
        [ "$path" != "${configs[0]}" ] && grep --silent --fixed-strings "$place " "$path" 2>/dev/null &&
            fail "PORT=$PORT in deploy.conf is taken by another product, see $path: choose another"
    done
    if ! grep --silent --fixed-strings "$place " "${configs[0]}" 2>/dev/null && (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
        fail "PORT=$PORT in deploy.conf is taken: something listens there already (ss -ltnp tells what)"
    fi
    [ "$DEFAULT" ] || return 0
    for path in /etc/nginx/conf.d/*.conf /etc/nginx/sites-enabled/*; do
        [ "$path" != "${configs[3]}" ] && [ "$path" != /etc/nginx/sites-enabled/default ] && grep --silent '^[^#]*default_server' "$path" 2>/dev/null &&
            fail "HOSTS=_ in deploy.conf: another is the default server of nginx already, see $path. Name the hosts of this product"
    done
    return 0
}

# Releases

# What is no part of a release, or of what is compared.
litter=(--exclude-vcs --exclude=__pycache__ --exclude=.venv --exclude=./venv)

digest_of() {
    tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "${litter[@]}" --directory "$1" . | sha256sum | cut -d' ' -f1
}

make_release() {
    local product path
    release=$home/releases/$(date -u +%Y%m%d-%H%M%S)
    product=$release/$name
    for path in "$here/public" "$here/deploy.conf"; do
        if [ -L "$path" ]; then fail "$path is a link, and what it leads to would get other rights: put the real thing there"; fi
    done
    mkdir "$release" || fail "$release could not be made: try again"
    made=$release
    say "making the release $(basename "$release")"
    mkdir "$product"
    tar --create "${litter[@]}" --exclude=./wheels --directory "$here" . | tar --extract --no-same-owner --directory "$product"
    make_venv
    nice "$release/venv/bin/python" -I -m compileall -q "$product/api" || true  # what cannot be compiled, the check names
    protect
    check_release
    try_release
    echo "$digest" >"$release/.digest"
    if [ "$before" ]; then basename "$before" >"$release/.before"; fi
}

# As the one before has it, where that was made of the same; it is the same for each release until requirements.txt changes.
make_venv() {
    local of finds=()
    if [ -d "$here/wheels" ]; then finds=(--find-links "$here/wheels"); fi
    of=$( { "$PYTHON" -VV; find "$here/requirements.txt" "${finds[@]:1}" -type f -exec sha256sum {} +; } | sort | sha256sum)
    if [ "$before" ] && [ "$of" = "$(cat "$before/venv/made-of" 2>/dev/null)" ]; then
        cp -a --reflink=auto "$before/venv" "$release/venv"
        "$PYTHON" -I -m venv --without-pip "$release/venv"
        find "$release/venv/bin" -type f -exec sed -i "s|$before/venv|$release/venv|g" {} +
        return
    fi
    say "making its virtualenv"
    nice "$PYTHON" -I -m venv "$release/venv" || fail "the virtualenv could not be made: see above"
    nice "$release/venv/bin/pip" install --quiet --no-input --disable-pip-version-check "${finds[@]}" -r "$here/requirements.txt" ||
        fail "pip could not install what is in requirements.txt: see above"
    echo "$of" >"$release/venv/made-of"
}

# Read by the product's user; by nginx what is public; by root alone what may have a password in it.
# The release itself was root's alone until now, whatever rights tar and pip gave to what is in it; it is opened last.
protect() {
    chgrp --recursive --no-dereference "$name" "$release"
    chmod --recursive u=rwX,g=rX,o= "$release/$name" "$release/venv"
    chmod 600 "$release/$name/deploy.conf"
    if [ -d "$release/$name/public" ]; then chmod --recursive o=rX "$release/$name/public"; fi
    chmod 751 "$release/$name" "$release"
}

check_release() {
    "${as_user[@]}" "$release/venv/bin/apiphant" check "$release/$name" >"$work/check.log" 2>&1 ||
        { cat "$work/check.log" >&2; fail "apiphant check found the product broken: see above"; }
}

# Before any call reaches it, it has to be well on a socket that nobody knows.
try_release() {
    local socket=$trial/socket server answer='' end=$((SECONDS + patience))
    install -d -m 700 -o "$name" "$trial"
    "${as_user[@]}" "$release/venv/bin/apiphant" "$release/$name" "unix:$socket" >"$work/trial.log" 2>&1 9>&- &
    server=$!
    while kill -0 "$server" 2>/dev/null && [ $SECONDS -lt $end ]; do
        answer=$(ask --unix-socket "$socket" "http://localhost$health")
        [[ $answer == *' 000' ]] || break
        sleep 0.1
    done
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    if ! is_well "$answer"; then
        cat "$work/trial.log" >&2
        fail "the release does not answer POST $health as it should: ${answer/# 000/no answer}. See above"
    fi
}

# The content of an answer, and its status.
ask() {
    curl --noproxy '*' --silent --max-time 5 --header 'Content-Type: application/json' --data '{}' --write-out ' %{http_code}' "$@" || true
}

is_well() {
    [[ $1 == *'"ok"'* && $1 == *"\"$(basename "$release")\""* && $1 == *' 200' ]]
}

# From one release to another

apply() {
    render_configs "$release/$name"
    if [ "$release" = "$before" ] && are_same "${configs[@]}" && are_running; then
        wait_for_release
        say "nothing has changed, and the release $(basename "$release") serves"
        return
    fi
    touched=files
    write_configs
    "${openly[@]}" nginx -t -q || fail "nginx does not take its configuration: see above"
    switch
    touched='' made=''  # at once: between the two, what serves would count as begun
    clean_up
    say "the release $(basename "$release") serves, at $scheme://$host$health"
}

write_configs() {
    local path
    for path in "${configs[@]}"; do
        if is_same "$path"; then continue; fi
        if [ -e "$work/new$path" ]; then install -D -m "$(mode_of "$path")" "$work/new$path" "$path"; else rm -f "$path"; fi
        say "$([ -e "$path" ] && echo wrote || echo removed) $path"
    done
}

mode_of() {
    case $1 in
        *-background.conf) echo 600 ;;  # ENGINE may have a password in it
        *) echo 644 ;;
    esac
}

switch() {
    touched+=" program"
    point_at "$release"
    renew_program
    renew_nginx
    wait_for_release
    renew_background
}

# With one rename, so that at each moment there is a release.
point_at() {
    ln --symbolic --no-dereference --force "releases/$(basename "$1")" "$current.new"
    mv --no-target-directory "$current.new" "$current"
}

renew_program() {
    if ! supervisorctl pid >/dev/null 2>&1; then
        start_service supervisor
        until supervisorctl pid >/dev/null 2>&1; do sleep 0.1; done
    elif is_old "${configs[0]}" && is_up "$name"; then
        supervisorctl update "$name" >/dev/null  # of what a run that was killed has written
        supervisorctl signal HUP "$name" >/dev/null || fail "supervisor could not send HUP to $name"
        say "the program takes the new code"
    else
        supervisorctl update "$name" >/dev/null || fail "supervisor does not take its configuration: supervisorctl update $name tells why"
        is_up "$name" || supervisorctl start "$name" >/dev/null || true  # wait_for_release tells
        say "the program was started, with its settings"
    fi
}

renew_nginx() {
    if ! is_service_up nginx; then
        start_service nginx
    elif ! are_old "${configs[@]:3}"; then
        touched+=" nginx"
        service nginx reload >/dev/null || fail "nginx does not read its configuration: service nginx reload tells why"
        say "nginx reads its configuration anew"
    fi
}

renew_background() {
    local program=$name-background
    if is_old "${configs[1]}" && is_up "$program"; then
        [ "$release" != "$before" ] || return 0
        touched+=" background"
        supervisorctl restart "$program" >/dev/null || true
    else
        touched+=" background"
        supervisorctl update "$program" >/dev/null || true
    fi
    if has_background "$release/$name"; then wait_for_background "$program"; fi
}

wait_for_background() {
    local status='' end=$((SECONDS + patience))
    until [[ $status == *RUNNING* ]]; do
        status=$(supervisorctl status "$1") || true
        if [[ $status == *STOPPED* || $status == *EXITED* || $status == *FATAL* ]]; then supervisorctl start "$1" >/dev/null || true; fi
        [ $SECONDS -lt $end ] || fail "$1 does not start, see $logs/background.log: $(tail --lines 1 "$logs/background.log")"
    done
}

# Whether a configuration is what it was before.
is_old() {
    if [ -e "$work/old$1" ]; then cmp --silent "$work/old$1" "$1"; else [ ! -e "$1" ]; fi
}

are_old() {
    local path
    for path in "$@"; do is_old "$path" || return 1; done
}

is_up() { supervisorctl status "$1" >/dev/null 2>&1; }

is_service_up() { service "$1" status >/dev/null 2>&1; }

are_running() {
    is_service_up nginx && is_up "$name" && { ! has_background "$release/$name" || is_up "$name-background"; }
}

start_service() {
    "${openly[@]}" service "$1" start >/dev/null 9>&- || fail "$1 does not start: service $1 start tells why"
    say "started $1"
}

# A real call by way of nginx, again and again: workers of the one before may still answer.
wait_for_release() {
    local answer='' good=0 bad=0 end=$((SECONDS + patience))
    while [ $good -lt $in_a_row ]; do
        answer=$(ask --insecure --connect-to ::127.0.0.1: "$scheme://$host$health")
        if is_well "$answer"; then good=$((good + 1)); else good=0; fi
        if [[ $answer == *" 4"?? || $answer == *" 500" ]]; then bad=$((bad + 1)); else bad=0; fi
        if [ $SECONDS -ge $end ] || [ $bad -ge $((2 * in_a_row)) ]; then
            fail "POST $scheme://$host$health was not answered by the release $(basename "$release") but with: ${answer/# 000/nothing}. See $logs/server.log"
        fi
        [ $good -gt 0 ] || sleep 0.1
    done
}

put_back() {
    local path
    say "putting back what was there before"
    for path in "${configs[@]}"; do
        if [ -e "$work/old$path" ]; then cp -a --remove-destination "$work/old$path" "$path"; else rm -f "$path"; fi
    done
    if [[ $touched != *program* ]]; then return; fi
    if [ "$before" ]; then point_at "$before"; else rm -f "$current"; fi
    supervisorctl update "$name" "$name-background" >/dev/null 2>&1
    if [[ $touched == *nginx* || -z $before ]]; then service nginx reload >/dev/null; fi
    if [ "$before" ]; then put_back_release; else say "nothing was deployed before, so nothing serves"; fi
}

put_back_release() {
    if is_up "$name"; then supervisorctl signal HUP "$name" >/dev/null; else supervisorctl start "$name" >/dev/null; fi
    if [[ $touched == *background* ]]; then supervisorctl restart "$name-background" >/dev/null 2>&1; fi
    release=$before
    if (read_settings "$before/$name" && wait_for_release); then
        say "the release $(basename "$before") serves again"
    else
        made=  # it may still be needed
        say "the release $(basename "$before") does NOT serve: see $logs/server.log"
    fi
}

# The newest releases stay, and the two that a rollback has to do with; what was never finished goes.
clean_up() {
    local folder at number=0 folders=("$home"/releases/*/)
    for ((at = ${#folders[@]} - 1; at >= 0; at--)); do
        folder=${folders[at]%/}
        if [ -e "$folder/.digest" ]; then number=$((number + 1)); fi
        if [ "$folder" = "$release" ] || [ "$(basename "$folder")" = "$(cat "$release/.before" 2>/dev/null)" ]; then continue; fi
        if [ $number -gt $keep ] || [ ! -e "$folder/.digest" ]; then rm -rf "$folder"; fi
    done
}

main "$@"
