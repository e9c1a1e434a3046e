"""A call that is made again after each reload, to show what changed in its answer."""
from __future__ import annotations

import threading
from difflib import unified_diff

from .. import escapes
from ..line.effect import Call
from . import highlight
from .failure import failed
from .reply import CallError, Reply
from .screen import Screen
from .session import Session

AROUND = 3  # lines that are shown around a change
HEADER = ('---', '+++', '@@ -1,', '@@ -1 ')  # of a difference: names of files, and a hunk that begins at the top


class Watching:
    """Knows the call, and the answer that was shown of it last."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self._session = session
        self._screen = screen
        self._call: Call | None = None
        self._seen = ''

    def begin(self, call: Call) -> None:
        """Make it for the first time. Raises CallError."""
        self._call = call
        reply = self._session.call(call)
        self._session.settle()
        self._seen = _text_of(reply)
        shown = highlight.reply(reply, self._screen.is_colour)
        self._screen.show(f'{shown}\nWatching {call.action} {call.target}.\n')

    def end(self) -> None:
        self._call = None
        self._screen.say('Nothing is watched any more.')

    def look(self) -> None:
        """After a reload. Returns at once."""
        call = self._call
        if call:
            threading.Thread(target=self._look_at, args=(call,), name='watch', daemon=True).start()

    def _look_at(self, call: Call) -> None:
        try:
            self._show_changes(call)
        except CallError as error:
            self._screen.say(f'{call.action} {call.target}: {error}')
        except Exception as error:
            self._screen.say(failed('watch', error))

    def _show_changes(self, call: Call) -> None:
        reply = self._session.call(call, is_kept=False)
        before, self._seen = self._seen, _text_of(reply)
        changes = _changes(before, self._seen)
        what = ': as before'
        if changes:
            what = f' changed:\n{highlight.difference(changes, self._screen.is_colour)}'
        self._screen.show(f'{call.action} {call.target}{what}\n')


def _text_of(reply: Reply) -> str:
    return escapes.shown(f'{reply.status} {reply.reason}') + f'\n{highlight.body(reply.body, False)}'


def _changes(before: str, after: str) -> list[str]:
    """Lines that differ, with those around them; where others are left out, three points."""
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm='', n=AROUND)
    return [' ...' if line.startswith('@@') else line for line in lines if not line.startswith(HEADER)]
