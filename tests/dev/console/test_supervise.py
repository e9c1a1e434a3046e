"""The supervisor with real app processes, where two of its threads meet."""
from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apiphant import address
from apiphant.api import product
from apiphant.dev.console.supervise import Supervisor
from tests.kit.processes import children
from tests.kit.running import DEADLINE, wait_for, write_tree
from tests.kit.shop import PID

CHILD = '''
import subprocess

def read(request):
    """What it starts has the output of the app, and goes on until the file is there."""
    loop = 'while [ ! -e "$0" ]; do sleep 0.05; done; echo it ends'
    return {'value': subprocess.Popen(['sh', '-c', loop, request.gate]).pid}
'''


class Kept:
    """A product that is served until the block ends. What is said before `may_go_on` is set waits for that."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.said: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._port = listener.getsockname()[1]
        self.supervisor = Supervisor(product.find(str(folder)), listener, self.said.append, self._say)
        assert self.supervisor.settled.wait(DEADLINE)

    def _say(self, text: str) -> None:
        self.said.append(text)
        assert self.may_go_on.wait(DEADLINE)

    def answer(self, target: str, **request: Any) -> int:
        connection = http.client.HTTPConnection('127.0.0.1', self._port, timeout=DEADLINE)
        connection.request('POST', f'/api/v0/{target}/read', json.dumps(request))
        return int(json.load(connection.getresponse())['value'])

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.said)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    write_tree(tmp_path, {'shop/api/v0/pid.py': PID, 'shop/api/v0/child.py': CHILD})
    before = signal.getsignal(signal.SIGUSR1)
    with address.listen(address.parse('127.0.0.1:0')) as listener:
        found = Kept(tmp_path / 'shop', listener)
        try:
            yield found
        finally:
            found.may_go_on.set()
            found.supervisor.stop()
            signal.signal(signal.SIGUSR1, before)
    wait_for(lambda: not children(os.getpid()), 'all apps to leave')


def test_restarted_while_it_is_replaced(kept: Kept) -> None:
    """It dies while a restart is under way: the process that is ready first serves, and no other stays beside it."""
    first = kept.answer('pid')
    kept.supervisor.restart('it is time')
    kept.may_go_on.clear()
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: kept.answer('pid'), 'the restarted app')
    wait_for(lambda: kept.has_said('Starting it again.'), 'the end of the first to be noticed')
    kept.may_go_on.set()
    kept.supervisor.restart('it is time again')
    wait_for(lambda: kept.answer('pid') not in (first, second), 'the next app')
    wait_for(lambda: children(os.getpid()) == {kept.answer('pid')}, 'one app process')


def test_killed_while_its_output_is_held(kept: Kept, tmp_path: Path) -> None:
    """What a handler started outlives the app, and has its output: neither the next app nor the end waits for that."""
    gate = tmp_path / 'gate'
    try:
        first = kept.answer('pid')
        kept.answer('child', gate=str(gate))
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: kept.has_said('was killed by SIGKILL. Starting it again.'), 'the end to be noticed')
        assert kept.answer('pid') != first
        kept.answer('child', gate=str(gate))
        kept.supervisor.stop()
    finally:
        gate.touch()
    wait_for(lambda: kept.said.count('it ends\n') == 2, 'the last lines of what was started')
