"""Runs tasks when they are due, side by side, each on a grid of its own.

A run that is missed is skipped, and no task overlaps itself.
"""
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

from .heartbeat import TICK, Heartbeat
from .schedule import Every, back_off
from .state import RunnerState
from .stop import CLEANING, GRACEFUL_TIMEOUT, TaskEnded, tell_ended
from .tasks import Task

JUMP = 2.0  # seconds by which the clock on the wall may differ from what was expected
LONGEST = 600.0  # seconds to which a task that goes on failing is slowed down
AT_ONCE = 100  # tasks that start before those get a turn; a greenlet that did not run yet is memory
KEEPING = 5.0  # seconds at most between two writings of last runs

log = logging.getLogger(__name__)
Clock = Callable[[], float]


class DueTask:
    """A task and how it is doing. `due` is in seconds of the clock that its schedule goes by."""

    __slots__ = ('due', 'failures', 'is_running', 'task')

    def __init__(self, task: Task, due: float) -> None:
        self.task = task
        self.due = due
        self.failures = 0
        self.is_running = False

    def __lt__(self, other: DueTask) -> bool:
        return self.due < other.due


class Scheduler:
    """Calls `run(task)` for each task that is due. `run` returns whether the task was done, and raises nothing.

    Periods go by the monotonic clock, cron lines by the one on the wall.
    """

    def __init__(
        self, run: Callable[[Task], bool], state: RunnerState, heartbeat: Heartbeat, *, one_by_one: bool,
    ) -> None:
        self._call = run
        self._heartbeat = heartbeat
        self._state = state
        self._is_one_by_one = one_by_one
        self._turn = RLock() if one_by_one else nullcontext()
        self._stopped = Event()
        self._loop = gevent.get_hub().loop
        self._is_stopping = False
        self._greenlets = gevent.pool.Group()
        self._last = state.last_runs()
        self._kept = self._ticked = 0.0  # when that was, by the monotonic clock
        self._is_kept = True
        self._is_urgent = False  # to keep when tasks ran last
        self._begun: set[str] = set()  # names of the tasks that are running
        self._clocks: tuple[tuple[Clock, list[DueTask]], ...] = ((time.monotonic, []), (time.time, []))

    def stop(self) -> None:
        """From any thread. A task that never waits gets no more time to end than the others."""
        if not self._is_stopping:
            self._is_stopping = True
            self._loop.run_callback_threadsafe(self._stopped.set)
            self._heartbeat.leave_after(GRACEFUL_TIMEOUT + TICK)

    def run(self, todo: list[Task]) -> None:
        """Until stopped."""
        for task in todo:
            self._add(task)
        self._heartbeat.watch()
        offset = time.time() - time.monotonic()
        while not self._stopped.is_set():
            offset = self._check_clock(offset)
            for clock, entries in self._clocks:
                self._start_due(clock(), entries)
            self._keep_up()
            self._wait(self._pause())
        self._end_runs()
        self._state.keep(self._last)

    def _end_runs(self) -> None:
        """Those that are running get some time. Then they are named, and get an exception, so that they clean up."""
        self._greenlets.join(timeout=GRACEFUL_TIMEOUT)
        tell_ended(self._begun)
        self._greenlets.kill(TaskEnded, timeout=CLEANING)

    def _add(self, task: Task) -> None:
        now = time.time()
        due = task.schedule.first(now, self._last.get(task.name))
        clock, entries = self._clocks[0 if isinstance(task.schedule, Every) else 1]
        heapq.heappush(entries, DueTask(task, due - now + clock()))

    def _wait(self, pause: float) -> None:
        if pause:
            self._stopped.wait(pause)
        else:
            gevent.sleep(0)

    def _pause(self) -> float:
        pauses = [entries[0].due - clock() for clock, entries in self._clocks if entries]
        return max(0.0, min([TICK, *pauses]))

    def _check_clock(self, offset: float) -> float:
        """How far the clock on the wall is ahead of the monotonic one. If it was set, cron lines are looked at anew."""
        current = time.time() - time.monotonic()
        jump = current - offset
        if abs(jump) > JUMP:
            log.warning('The clock was set %.0f s %s', abs(jump), 'forward' if jump > 0 else 'back')
            self._look_anew(*self._clocks[1])
        return current

    def _look_anew(self, clock: Clock, entries: list[DueTask]) -> None:
        for entry in entries:
            entry.due = min(entry.due, entry.task.schedule.following(clock(), clock()))
        heapq.heapify(entries)

    def _start_due(self, now: float, entries: list[DueTask]) -> None:
        for _ in range(AT_ONCE):
            if not entries or entries[0].due > now:
                return
            entry = entries[0]
            self._start(entry)
            entry.due = self._following(entry, now)
            heapq.heapreplace(entries, entry)

    def _start(self, entry: DueTask) -> None:
        if entry.is_running:
            log.warning('Task %s: skipped, still running.', entry.task.name)
        else:
            entry.is_running = True
            if not self._has_to_wait(entry.task):
                self._note(entry.task)
            self._greenlets.spawn(self._run, entry)

    def _following(self, entry: DueTask, now: float) -> float:
        """When the task is due next: on its grid, and the later, the more often it failed."""
        schedule = entry.task.schedule
        rest = 0.0
        if isinstance(schedule, Every) and entry.failures:
            rest = back_off(schedule.period, entry.failures, LONGEST) - schedule.period
        return schedule.following(entry.due, now + rest)

    def _run(self, entry: DueTask) -> None:
        try:
            if entry.task.schedule.jitter:
                self._stopped.wait(random.uniform(0, entry.task.schedule.jitter))
            with self._turn:
                if self._may_begin(entry.task):
                    self._call_for(entry)
        finally:
            entry.is_running = False

    def _call_for(self, entry: DueTask) -> None:
        self._begun.add(entry.task.name)
        try:
            is_done = self._call(entry.task)
            entry.failures = 0 if is_done else entry.failures + 1
        finally:
            self._begun.discard(entry.task.name)

    def _has_to_wait(self, task: Task) -> bool:
        return self._is_one_by_one or task.schedule.jitter > 0

    def _may_begin(self, task: Task) -> bool:
        """Whether the task may begin after it had to wait; if so, it is noted."""
        if not self._has_to_wait(task):
            return True
        if self._is_stopping:
            return False
        self._note(task)
        self._keep_up()
        return True

    def _note(self, task: Task) -> None:
        """Note that the task runs, before it begins: it may end the process. A rare one is written down at once."""
        self._last[task.name] = time.time()
        self._is_kept = False
        if not isinstance(task.schedule, Every) or task.schedule.period > KEEPING:
            self._is_urgent = True

    def _keep_up(self) -> None:
        """Now and then, note that the runner is alive, and write when tasks ran last."""
        now = time.monotonic()
        if now - self._ticked >= TICK:
            self._ticked = now
            self._state.tick()
        if self._is_urgent or (not self._is_kept and now - self._kept > KEEPING):
            self._is_kept, self._is_urgent, self._kept = True, False, now
            self._state.keep(self._last)
