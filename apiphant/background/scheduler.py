"""Runs tasks when they are due, side by side, each on a grid of its own: a run that is missed is skipped, and none overlaps itself."""
from __future__ import annotations

import heapq
import logging
import random
import time
from collections.abc import Callable
from contextlib import nullcontext

import gevent.pool
from gevent.event import Event
from gevent.lock import RLock

from .heartbeat import TICK, Pulse
from .schedule import Every, back_off
from .state import State
from .tasks import Task

GRACEFUL_TIMEOUT = 10.0  # seconds that running tasks get when the runner is told to stop
JUMP = 2.0  # seconds by which the clock on the wall may differ from what was expected
LONGEST = 600.0  # seconds to which a task that goes on failing is slowed down
AT_ONCE = 100  # tasks that start before those get a turn; a greenlet that did not run yet is memory
KEEPING = 5.0  # seconds at most between two writings of last runs

log = logging.getLogger(__name__)


class Entry:
    """A task and how it is doing. `due` is in seconds of the clock that its schedule goes by."""

    __slots__ = ('due', 'failures', 'is_running', 'task')

    def __init__(self, task: Task, due: float) -> None:
        self.task = task
        self.due = due
        self.failures = 0
        self.is_running = False

    def __lt__(self, other: Entry) -> bool:
        return self.due < other.due


class Scheduler:
    """Calls `run(task)` for each task that is due; that returns whether it was done, and raises nothing.

    Periods go by the monotonic clock, cron lines by the one on the wall.
    """

    def __init__(self, run: Callable[[Task], bool], state: State, *, one_by_one: bool) -> None:
        self._call = run
        self._state = state
        self._turn = RLock() if one_by_one else nullcontext()
        self._stopped = Event()
        self._is_stopping = False
        self._greenlets = gevent.pool.Group()
        self._last = state.last_runs()
        self._kept = self._ticked = 0.0  # when that was, by the monotonic clock
        self._is_kept = True
        self._clocks: tuple[tuple[Callable[[], float], list[Entry]], ...] = ((time.monotonic, []), (time.time, []))
        self._pulse = Pulse(Scheduler._run_in_turn.__code__)

    def stop(self) -> None:
        """From a signal handler. A task that never waits gets no longer than the others to end."""
        if not self._is_stopping:
            self._is_stopping = True
            gevent.get_hub().loop.run_callback_threadsafe(self._stopped.set)
            self._pulse.leave_after(GRACEFUL_TIMEOUT + TICK)

    def run(self, todo: list[Task]) -> None:
        """Until stopped."""
        for task in todo:
            self._add(task)
        self._pulse.watch()
        offset = time.time() - time.monotonic()
        while not self._stopped.is_set():
            offset = self._check_clock(offset)
            for clock, entries in self._clocks:
                self._start_due(clock(), entries)
            self._keep_up()
            self._pulse.beat()
            self._wait(self._pause())
        self._greenlets.join(timeout=GRACEFUL_TIMEOUT)
        self._state.keep(self._last)

    def _add(self, task: Task) -> None:
        now = time.time()
        due = task.schedule.first(now, self._last.get(task.name))
        clock, entries = self._clocks[0 if isinstance(task.schedule, Every) else 1]
        heapq.heappush(entries, Entry(task, due - now + clock()))

    def _wait(self, pause: float) -> None:
        if pause:
            self._stopped.wait(pause)
        else:
            gevent.sleep(0)

    def _pause(self) -> float:
        return min([TICK, *(max(0.0, entries[0].due - clock()) for clock, entries in self._clocks if entries)])

    def _check_clock(self, offset: float) -> float:
        """What the clock on the wall says beyond what the monotonic one does. If it was set, cron lines are looked at anew."""
        found = time.time() - time.monotonic()
        if abs(found - offset) > JUMP:
            log.warning('The clock was set %.0f s %s', abs(found - offset), 'forward' if found > offset else 'back')
            clock, entries = self._clocks[1]
            for entry in entries:
                entry.due = min(entry.due, entry.task.schedule.following(clock(), clock()))
            heapq.heapify(entries)
        return found

    def _start_due(self, now: float, entries: list[Entry]) -> None:
        for _ in range(AT_ONCE):
            if not entries or entries[0].due > now:
                return
            entry = entries[0]
            if entry.is_running:
                log.warning('Task %s: skipped, still running.', entry.task.name)
            else:
                entry.is_running = True
                self._greenlets.spawn(self._run, entry)
            entry.due = self._following(entry, now)
            heapq.heapreplace(entries, entry)

    def _following(self, entry: Entry, now: float) -> float:
        """Later and later while a task fails, but on its grid."""
        schedule = entry.task.schedule
        if isinstance(schedule, Every) and entry.failures:
            return schedule.following(entry.due, now + back_off(schedule.period, entry.failures, LONGEST) - schedule.period)
        return schedule.following(entry.due, now)

    def _run(self, entry: Entry) -> None:
        try:
            if entry.task.schedule.jitter:
                gevent.sleep(random.uniform(0, entry.task.schedule.jitter))
            self._last[entry.task.name] = time.time()
            is_done = self._run_in_turn(entry.task)
            entry.failures = 0 if is_done else entry.failures + 1
            self._is_kept = False
        finally:
            entry.is_running = False

    def _run_in_turn(self, task: Task) -> bool:
        with self._turn:
            return self._call(task)

    def _keep_up(self) -> None:
        """Say that the runner is alive, and write when tasks ran last, both now and then."""
        now = time.monotonic()
        if now - self._ticked >= TICK:
            self._ticked = now
            self._state.tick()
        if not self._is_kept and now - self._kept > KEEPING:
            self._is_kept, self._kept = True, now
            self._state.keep(self._last)
