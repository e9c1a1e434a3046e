"""A machine of the tests' own: network, mounts and processes apart from the real one, whose folders it sees but cannot change.

Whatever runs there ends with it. Needs root, and the programs that Debian's packages in PROGRAMS have.
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

PROGRAMS = {'nginx': 'nginx', 'supervisord': 'supervisor', 'logrotate': 'logrotate', 'wrk': 'wrk', 'curl': 'curl', 'unshare': 'util-linux', 'ip': 'iproute2'}
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
# Its first process also collects the orphans, and ends, with all others, when the process that made it does. Services may be started there, whatever a policy of the real machine says.
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
    tried = subprocess.run(['unshare', '-n', '-m', '-p', '--fork', '--mount-proc', 'ip', 'link', 'set', 'lo', 'up'], capture_output=True, text=True, check=False)
    return f'namespaces cannot be made here: {tried.stderr.strip()}' if tried.returncode else ''


class Machine:
    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir()
        self._environment = clean_environment(**{**environment, 'PATH': PATH})
        self._process = subprocess.Popen(
            ['unshare', '-n', '-m', '-p', '--fork', '--kill-child', '--mount-proc', 'bash', '-c', FIRST, 'first', str(folder)],
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
            'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT, 'text': True, 'env': self._environment,
            'start_new_session': True, **options})

    def run(self, *words: object, status: int | None = 0, deadline: float = 90, **options: Any) -> str:
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
        text = self.run('curl', '--silent', '--max-time', 20, '--insecure', '--data', body, '--write-out', '\n%{http_code}', *words, f'{url}{path}', status=None)
        content, _, status = text.rpartition('\n')
        return int(status), content

    def wait_for_call(self, path: str, like: str, **options: Any) -> str:
        """The first answer that is 200 and like a pattern."""
        def answer() -> str:
            status, content = self.call(path, **options)
            return content if status == 200 and re.search(like, content) else ''
        return wait_for(answer, f'{like!r} from {path}', 30)


class Load:
    """`wrk` with POST calls, until it is ended."""

    SCRIPT = '''
wrk.method, wrk.body, wrk.headers["Content-Type"] = "POST", "{}", "application/json"
function done(summary, latency)
    local e = summary.errors
    print(string.format("RESULT %d %d %.1f %.1f", summary.requests, e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(99) / 1000, latency.max / 1000))
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
