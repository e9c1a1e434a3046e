"""The scheduler of a product on many machines: RedBeat, in a process of its own, one beside each runner.

One of them holds RedBeat's lock and sends the tasks, the others wait for it. It reads a line of JSON, what to do, from
standard input, and ends when that is closed: then its runner is gone, however it ended. When the engine goes away it
exits with `GONE`, and the runner starts it again.
"""
from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable

from celery.beat import SchedulingError, Service
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ... import logs
from ..tasks import Task
from . import celery_app, due_times, engine, masking
from .redbeat import GridScheduler
from .roster import Roster

GONE = 75  # EX_TEMPFAIL
PATIENCE = 3.0  # seconds to let go of the lock

log = logging.getLogger(__name__)


def job(url: str, product: str, tasks: Iterable[Task]) -> str:
    """The line that `main` reads. Of two runners the one with the higher rank started later."""
    rank = f'{time.time():020.6f} {socket.gethostname()} {os.getpid()}'
    schedules = {task.name: due_times.to_json(task.schedule) for task in tasks}
    return json.dumps({'engine': url, 'product': product, 'rank': rank, 'tasks': schedules})


def main() -> int:
    """Returns the exit status."""
    work = json.loads(sys.stdin.readline())
    shared = engine.parse(work['engine'])
    _set_up_logs(shared)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the runner ends it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=_follow_runner, daemon=True).start()
    app = celery_app.make_app(shared, work['product'])
    schedules = {name: due_times.from_json(fields) for name, fields in work['tasks'].items()}
    roster = Roster(app, work['product'], work['rank'], schedules)
    service = Service(app, scheduler_cls=GridScheduler, hostname=celery_app.node_name(work['product'], 'beat'))
    return _run(service, roster)


def _set_up_logs(shared: engine.Engine) -> None:
    logs.setup()
    masking.hide(shared.secrets)
    for name in ('celery', 'kombu'):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # the runner says it when the engine cannot be reached


def _run(service: Service, roster: Roster) -> int:
    try:
        status = _serve(service, roster)
    except SystemExit:
        status = 0
    if status == 0:
        roster.leave()
    return status


def _serve(service: Service, roster: Roster) -> int:
    try:
        roster.look()
        threading.Thread(target=roster.run, daemon=True).start()
        service.start()
    except (RedisError, OperationalError, SchedulingError, OSError):
        return GONE
    return 0


def _follow_runner() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(GONE)


if __name__ == '__main__':
    sys.exit(main())
