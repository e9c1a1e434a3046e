"""A greenlet for each call; one that nothing can reach any more is used again.

Whoever could disturb a greenlet after its call, or find something in it, holds it: a time-out that was left behind, a
greenlet's child, a lock, a list of somebody's. So what is used again has to show that nobody does: its references are
as many as before the call, and so are those of its outermost frame, to which every traceback leads; there are no weak
ones, by which greenlet-locals and threads find their values; it has no attributes, its parent is the hub, nothing
traces it; and its next call gets a context of its own. Else it ends with its call, and so does one whose call had to
wait. Since calls begin one at a time, one to spare is enough.

Measured with tests/bench/serve.py's functions, alternating, CPU us of a JSON echo (a bare gevent loop took 17):

    a greenlet for each call                                 32    CPython maps memory for its frames
    used again without a look, or kept by its connection     16.6  a time-out left behind hits the next call of it
    used again when nothing can reach it (this)              16.5

A connection that keeps one only while it has calls makes one for each, where a client waits for answers.
What a call leaves in the whole thread (sys.settrace, a signal's handler) is not of its greenlet.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from sys import getprofile, getrefcount, gettrace
from types import FrameType
from weakref import getweakrefcount

from gevent.hub import Hub, get_hub
from greenlet import getcurrent, greenlet


class Greenlets:
    """Those of one hub."""

    def __init__(self) -> None:
        self._spare: Reusable | None = None

    def run(self, call: Callable[[], None]) -> None:
        """Run it, from the hub: returns when it is over, or when it waits. It should not raise."""
        reusable = self._spare or Reusable()
        self._spare = None
        reusable.run(call)
        if reusable.is_untouched():
            self._spare = reusable
        else:
            reusable.end()


class Reusable:
    """A greenlet that rests between calls."""

    __slots__ = ('_call', '_frame', '_frame_references', '_greenlet', '_hub', '_is_resting', '_references')

    def __init__(self) -> None:
        self._hub: Hub = get_hub()
        self._call: Callable[[], None] | None = None
        self._frame: FrameType | None = None
        self._is_resting = False
        self._greenlet: greenlet | None = greenlet(self._live, self._hub)
        self._greenlet.switch()
        self._references = getrefcount(self._greenlet)
        self._frame_references = getrefcount(self._frame)

    def _live(self) -> None:
        """From call to call, until one waits or leaves something."""
        self._frame = sys._getframe()
        while self._greenlet is not None:
            self._is_resting = True
            greenlet.switch(self._hub)
            if self._call is not None:
                self._call()
                self._call = None
        self._frame = None
        getcurrent().parent = self._hub  # which goes on now

    def run(self, call: Callable[[], None]) -> None:
        """From the hub: returns when the call is over, or waits."""
        assert self._greenlet is not None
        self._call = call
        self._is_resting = False
        self._greenlet.switch()

    def is_untouched(self) -> bool:
        """Whether its call is over, and nobody but us can reach it."""
        if not self._is_resting:
            return False
        rested = self._greenlet
        assert rested is not None
        if rested.gr_context is not None:
            rested.gr_context = None  # the next call makes its own
        return (
            getrefcount(self._greenlet) == self._references + 1  # that is `rested`
            and getrefcount(self._frame) == self._frame_references
            and not getweakrefcount(rested)
            and not rested.__dict__
            and rested.parent is self._hub
            and gettrace() is None
            and getprofile() is None
        )

    def end(self) -> None:
        """Now, or when its call is over."""
        ending, self._greenlet = self._greenlet, None
        if ending is not None and self._is_resting:
            ending.parent = self._hub
            ending.switch()
