"""Messages between console and app: JSON objects, one a line, over a socketpair. Both sides use it.

console -> app   {"warm": [names]}   import these packages, and wait for your turn
                 {"begin": {"trial": bool, "learned": {module: why}}}
                                     import the product; in a trial, say what is broken when you are to serve
                 {"look": [paths], "changed": [paths]}
                                     these were saved whole, those changed and may be half written: files, and folders
                                     with all that is in them; null for any path
                 {"catch_up": [paths]}
                                     look, and say that you are ready, before you are to serve
                 {"serve": 1}        accept connections from now on
                 {"leave": seconds}  accept no more, and leave when what has begun has ended, at most after so long
                 {"judged": {module: report}}
                                     what is broken in a fresh process, which therefore did not take over
                 {"ping": 1}         answered by {"pong": 1}
                 {"ask": number, "what": "py", ...}   one of QUESTIONS
                                     answered by {"answer": number, "text": ..., "failed": bool}
                 {"tty": bool}       the terminal is lent, or cannot be
app -> console   {"ready": [routes], "broken": [modules], "dead": [modules], "reports": {module: report},
                  "clashes": [modules], "holds": bool, "packages": [names]}
                                     ready to serve; also after each reload; dead are broken and have no good code;
                                     clashes are broken since something is held by another process, perhaps by the app
                                     before if that holds something; packages are there if they changed
                 {"files": [paths]}  a change of these counts, too
                 {"broken": [modules], "dead": [modules]}
                                     by a judgement
                 {"restart": why, "learned": {module: why}, "doubt": [modules], "quiet": bool, "outside": bool}
                                     a fresh process is needed; doubt: whether these are broken it will tell; quiet:
                                     say so when it is done; outside: what changed may be in a standby already
                 {"stopped": 1}      it accepts no more
                 {"served": number}  calls answered so far, without those of the console
                 {"tty": "acquire"}  a debugger wants the terminal; {"tty": "release"} gives it back
"""
from __future__ import annotations

import json
import socket
import threading
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
        self._sending = threading.Lock()  # one that does not fit into the socket goes in several parts

    def send(self, **message: Any) -> None:
        line = json.dumps(message).encode() + b'\n'
        try:
            with self._sending:
                self._connection.sendall(line)
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
