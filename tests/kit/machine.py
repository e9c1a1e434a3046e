"""A machine of the tests' own: network, mounts and processes apart from the real one.

It sees the folders of the real one, but cannot change them. Whatever runs there ends with it. Needs root, and
the programs that Debian's packages in PROGRAMS have.
"""
from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.kit.running import clean_environment, wait_for

PROGRAMS = {
    'nginx': 'nginx', 'supervisord': 'supervisor', 'logrotate': 'logrotate', 'wrk': 'wrk', 'curl': 'curl',
    'unshare': 'util-linux', 'ip': 'iproute2'}
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
# Its first process also collects the orphans, and ends, with all others, when the process that made it does. Services
# may be started there, whatever a policy of the real machine says.
FIRST = r'''
set -e
ip link set lo up
mount -t tmpfs tmpfs "$1"
for folder in etc srv var; do
    mkdir -p "$1/$folder/upper" "$1/$folder/work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/$folder/upper,workdir=$1/$folder/work" "/$folder"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 1777 /run/lock
if [ -e /usr/sbin/policy-rc.d ]; then mount --bind /bin/true /usr/sbin/policy-rc.d; fi
echo ready
status=200
while [ $status -gt 128 ]; do
    status=0
    read -r -t 1 || status=$?
done
'''


def missing() -> str:
    """What keeps a machine from being made here; '' if nothing does."""
    if os.geteuid() != 0:
        return 'this needs root'
    packages = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=PATH)]
    if packages:
        return f'apt-get install {" ".join(packages)}'
    tried = subprocess.run(
        ['unshare', '-n', '-m', '-p', '--fork', '--mount-proc', 'ip', 'link', 'set', 'lo', 'up'], capture_output=True,
        text=True, check=False)
    return f'namespaces cannot be made here: {tried.stderr.strip()}' if tried.returncode else ''


class Machine:
    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir()
        self._environment = clean_environment(**{**environment, 'PATH': PATH})
        self._process = subprocess.Popen(
            [
                'unshare', '-n', '-m', '-p', '--fork', '--kill-child', '--mount-proc', 'bash', '-c', FIRST, 'first',
                str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment)
        assert self._process.stdout
        assert self._process.stdout.readline() == 'ready\n', 'the machine could not be made: see its error output'
        self._first = int(Path(f'/proc/{self._process.pid}/task/{self._process.pid}/children').read_text())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self, *words: object, **options: Any) -> subprocess.Popen[str]:
        """A program of the machine, in a process group of its own."""
        enter = ['nsenter', '--target', str(self._first), '--net', '--mount', '--pid', *map(str, words)]
        return subprocess.Popen(enter, **{
            'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT, 'text': True,
            'env': self._environment,
            'start_new_session': True, **options})

    def run(self, *words: object, status: int | None = 0, deadline: float = 600, **options: Any) -> str:
        """What a program prints until it ends, with a status of 0, or another one that is expected, or any (None)."""
        process = self.start(*words, **options)
        try:
            text = process.communicate(timeout=deadline)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert status in (None, process.returncode), f'{words} left with {process.returncode}:\n{text}'
        return text

    def shell(self, line: str, **options: Any) -> str:
        return self.run('bash', '-c', line, **options)

    def read(self, path: object) -> str:
        return self.run('cat', path)

    def call(self, path: str, *words: object, body: str = '{}', url: str = 'http://localhost') -> tuple[int, str]:
        """Status and content of a POST."""
        text = self.run(
            'curl', '--silent', '--max-time', 20, '--insecure', '--data', body, '--write-out', '\n%{http_code}', *words,
            f'{url}{path}', status=None)
        content, _, status = text.rpartition('\n')
        return int(status), content

    def wait_for_call(self, path: str, like: str, **options: Any) -> str:
        """The first answer that is 200 and like a pattern."""
        def answer() -> str:
            status, content = self.call(path, **options)
            return content if status == 200 and re.search(like, content) else ''
        return wait_for(answer, f'{like!r} from {path}', 30)


class Spy:
    """Reads all files of some folders, and what is known of all processes, every few milliseconds, until it is ended.

    It reads as the user nobody, who was told all names. What is in a virtualenv is looked at each 50 times and at the
    end.
    """

    SCRIPT = r'''
import os, stat, sys, time
from itertools import count

NOBODY, OWN, ENOUGH = 65534, str(os.getpid()), '/run/enough-spying'
secret, folders = sys.stdin.readline().strip().encode(), sys.argv[1:]
harmless, leaks, seen = {}, set(), set()

def paths_of_processes():
    for name in os.listdir('/proc'):
        if name.isdigit() and name != OWN:
            yield from (f'/proc/{name}/cmdline', f'/proc/{name}/environ')

def paths(is_whole):
    for top in folders:
        for folder, inner, names in os.walk(top):
            if not is_whole and 'venv' in inner:
                inner.remove('venv')
            yield from (f'{folder}/{name}' for name in names)

def state(path):
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else None

def look(path, now=None):
    try:
        with open(path, 'rb') as file:
            if secret in file.read():
                leaks.add(path)
            elif now:
                harmless[path] = now
    except OSError:
        pass

os.setgroups([])
os.setegid(NOBODY)
print('ready', flush=True)
for number in count():
    is_last = os.path.exists(ENOUGH)
    states = {path: state(path) for path in paths(is_last or number % 50 == 0)}
    processes = list(paths_of_processes())
    seen.update(path for path in states if '/site-packages/' not in path)
    os.seteuid(NOBODY)
    for path, now in states.items():
        if now and harmless.get(path) != now:
            look(path, now)
    for path in processes:
        look(path)
    os.seteuid(0)
    if is_last:
        break
    time.sleep(0.005)
for path in sorted(leaks): print('leak', path)
for path in sorted(seen): print('saw', path)
'''

    def __init__(self, machine: Machine, secret: str, *folders: str) -> None:
        self._machine = machine
        machine.run('rm', '-f', '/run/enough-spying')
        self._process = machine.start('/usr/bin/python3', '-c', self.SCRIPT, *folders, stdin=subprocess.PIPE)
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f'{secret}\n')
        self._process.stdin.flush()
        assert self._process.stdout.readline() == 'ready\n'

    def end(self) -> tuple[list[str], list[str]]:
        """The files and processes in which it read the secret, and all files that it tried."""
        self._machine.run('touch', '/run/enough-spying')
        found = re.findall(r'^(leak|saw) (.*)$', self._process.communicate(timeout=60)[0], re.MULTILINE)
        return [path for what, path in found if what == 'leak'], [path for what, path in found if what == 'saw']


class Strikes:
    """Signals to a script before chosen commands, each 'SIGNAL:FUNCTION:NUMBER'.

    The commands of a function are counted as they run, in the script's own process.
    """

    # For BASH_ENV.
    SCRIPT = r'''
strike() {
    local what command=$BASH_COMMAND function=${FUNCNAME[1]} number
    if [ $BASHPID != $$ ]; then return 0; fi
    number=$((${struck[$function]-0} + 1))
    struck[$function]=$number
    for what in $STRIKES; do
        if [ "${what#*:}" = "$function:$number" ]; then
            echo "$what, before $command" >>"${BASH_ENV%/*}/struck"
            kill -"${what%%:*}" $$
        fi
    done
}
if [[ $0 == */deploy.sh ]]; then
    declare -A struck=()
    set -T
    trap strike DEBUG
fi
'''

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine = machine
        self._script = folder / 'strikes.sh'
        self._script.write_text(self.SCRIPT)

    def run(self, strikes: str, *words: object) -> tuple[str, str]:
        """Run the script, however it ends: which signals came before which commands, and what was printed."""
        struck = self._script.with_name('struck')
        struck.write_text('')
        output = self._machine.run('env', f'BASH_ENV={self._script}', f'STRIKES={strikes}', *words, status=None)
        return struck.read_text(), output


class Load:
    """`wrk` with POST calls, until it is ended."""

    SCRIPT = '''
wrk.method, wrk.body, wrk.headers["Content-Type"] = "POST", "{}", "application/json"
function done(summary, latency)
    local e = summary.errors
    local errors = e.connect + e.read + e.write + e.timeout + e.status
    local p99, longest = latency:percentile(99) / 1000, latency.max / 1000
    print(string.format("RESULT %d %d %.1f %.1f", summary.requests, errors, p99, longest))
end
'''

    def __init__(self, machine: Machine, folder: Path, url: str, connections: int = 32) -> None:
        script = folder / 'load.lua'
        script.write_text(self.SCRIPT)
        self._process = machine.start('wrk', '-t1', f'-c{connections}', '-d10m', '--timeout', '20s', '-s', script, url)

    def end(self) -> tuple[int, int, float, float]:
        """Calls answered, calls failed, the 99th percentile and the maximum of their milliseconds."""
        os.killpg(self._process.pid, signal.SIGINT)
        text = self._process.communicate(timeout=30)[0]
        found = re.search(r'RESULT (\d+) (\d+) (\S+) (\S+)', text)
        assert found, text
        return int(found[1]), int(found[2]), float(found[3]), float(found[4])
