"""What wrk asks of a server: which body, heads that repeat or never do, one request at a time or many."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.bench.servers import BODY

CONNECTIONS = 32
ITEM = {'id': 1234567, 'name': 'A thing of some name', 'price': 12.5, 'tags': ['red', 'large'], 'is_sold': False}
HEAD = (
    'POST /api/v0/echo/read HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nContent-Type: application/json\\r\\n'
    '{more}Content-Length: {length}\\r\\n\\r\\n')
UNIQUE = 'X-Request-Id: %012d\\r\\n'
SCRIPT = '''
local number = 0
local body = io.open('{body}'):read('*a')
local repeated = string.rep('{repeated}' .. body, {depth})
local function unique()
    number = number + 1
    return string.format('{unique}', number) .. body
end
request = function()
    {choice}
end
'''
REPEATED_CHOICE = 'return repeated'
UNIQUE_CHOICE = 'local all = {{}} for at = 1, {depth} do all[at] = unique() end return table.concat(all)'
UNITS = {'us': 0.001, 'ms': 1.0, 's': 1000.0}


def items(size: int) -> str:
    """A body of about so many bytes."""
    return json.dumps({'items': [ITEM] * (size // (len(json.dumps(ITEM)) + 2))})


@dataclass(frozen=True)
class Load:
    """A kind of request, and so many of them sent at once."""
    name: str
    body: str = BODY
    is_unique: bool = False
    depth: int = 1

    def write(self, folder: Path) -> Path:
        """wrk's script."""
        place = folder / f'{self.name.replace(" ", "-")}'
        body = place.with_suffix('.json')
        body.write_text(self.body)
        repeated, unique = (HEAD.format(more=more, length=len(self.body)) for more in ('', UNIQUE))
        choice = (UNIQUE_CHOICE if self.is_unique else REPEATED_CHOICE).format(depth=self.depth)
        script = place.with_suffix('.lua')
        script.write_text(SCRIPT.format(body=body, repeated=repeated, unique=unique, depth=self.depth, choice=choice))
        return script


LOADS = (
    Load('repeated'), Load('unique', is_unique=True), Load('1 KB', items(1000)), Load('100 KB', items(100_000)),
    Load('16 at once', depth=16), Load('16 unique', is_unique=True, depth=16))


class Answered(NamedTuple):
    """Requests, how many a second, p50 and p99 in ms."""
    count: int
    rate: float
    p50: float
    p99: float


def wrk(folder: Path, port: int, load: Load, seconds: int, connections: int = CONNECTIONS) -> Answered:
    """Raises RuntimeError if not all went well."""
    script, url = load.write(folder), f'http://127.0.0.1:{port}/api/v0/echo/read'
    how = ['-t1', f'-c{connections}', f'-d{seconds}s', '--timeout', '30s', '--latency']
    command = ['wrk', *how, '-s', str(script), url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if 'Non-2xx' in text or 'Socket errors' in text:
        raise RuntimeError(text)
    count, rate = int(_find(r'(\d+) requests in', text)[1]), float(_find(r'Requests/sec:\s+([\d.]+)', text)[1])
    return Answered(count, rate, _milliseconds('50%', text), _milliseconds('99%', text))


def _milliseconds(percentile: str, text: str) -> float:
    found = _find(rf'{percentile}\s+([\d.]+)(us|ms|s)', text)
    return float(found[1]) * UNITS[found[2]]


def _find(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    if not found:
        raise RuntimeError(text)
    return found


def need_wrk() -> None:
    if not shutil.which('wrk'):
        sys.exit('wrk is needed: apt-get install wrk')
