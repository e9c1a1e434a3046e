"""Messages between console and app: JSON objects, one a line, over a socketpair. Both sides use it.

console -> app   {"look": [paths]}   the tree may have changed; the paths were saved whole
                 {"serve": 1}        accept connections from now on
                 {"ping": 1}         answered by {"pong": 1}
                 {"ask": number, "what": "py", ...}   one of QUESTIONS
                                     answered by {"answer": number, "text": ..., "failed": bool}
                 {"tty": bool}       the terminal is lent, or cannot be
app -> console   {"ready": [routes], "files": [paths], "broken": [modules]}
                                     ready to serve; also after each reload. A save of these files counts, too
                 {"restart": why}    a new process is needed
                 {"served": number}  calls answered so far, without those of the console
                 {"tty": "acquire"}  a debugger wants the terminal; {"tty": "release"} gives it back
"""
from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any


def agent(console: int) -> str:
    """The User-Agent of calls that the console makes, whose process has this id: it shows them itself."""
    return f'apiphant-dev/{console}'


class Channel:
    """One end. Sending to an end that is gone does nothing: its reader has been told already."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile('rb')

    def send(self, **message: Any) -> None:
        try:
            self._connection.sendall(json.dumps(message).encode() + b'\n')
        except OSError:
            pass

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Messages until the other end is gone."""
        try:
            yield from map(json.loads, self._lines)
        except OSError:
            return

    def close(self) -> None:
        self._lines.close()
        self._connection.close()
