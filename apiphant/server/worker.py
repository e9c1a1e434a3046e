"""A process that serves: a worker of gunicorn, with gevent and our own connections."""
from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker as GunicornWorker

from .. import address, tracebacks, words
from ..api.product import BrokenProduct, ProductError
from ..http import access_log
from ..http.acceptor import BATCH, Acceptor
from ..http.message import Message
from ..http.settings import Settings
from ..threads import QUICK, leave_with_parent
from .peers import Peers
from .pulse import Pulse
from .trial import say_broken

LEAD = 0.5  # seconds by which a worker cuts its requests before its master cuts the worker
PAUSE = 1.0  # seconds that a worker that cannot start waits before it leaves, to be tried again

log = logging.getLogger(__name__)


class Worker(GunicornWorker):  # type: ignore[misc]
    """A process that serves."""

    _acceptors: tuple[Acceptor, ...] = ()

    def init_process(self) -> None:
        """After the fork, and before the product is imported."""
        monkey.patch_all()
        gevent.reinit()
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())

    def load_wsgi(self) -> None:
        """The product's code is the only thing that may fail here."""
        self.notify()  # from here on an import that does not end is found
        leave_with_parent(self.ppid)
        try:
            super().load_wsgi()
        except ProductError as error:
            self._give_up(error)

    def _give_up(self, error: ProductError) -> None:
        """A service that never served ends, and its first worker says why. One that served tries again."""
        is_start = not self.app.has_served
        if isinstance(error, BrokenProduct) and (self.age == 1 or not is_start):
            say_broken(error)
        if is_start:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        log.error('A worker could not start; it is tried again')
        time.sleep(PAUSE)
        sys.exit(1)

    def run(self) -> None:
        self.notify()
        self._stopped = Event()
        self._grace = max(self.cfg.graceful_timeout - LEAD, 0.0)
        gevent.signal_handler(signal.SIGTERM, self._stopped.set)
        for number in (signal.SIGINT, signal.SIGQUIT):
            gevent.signal_handler(number, self._hurry)
        self._acceptors = tuple(self._acceptor(listener.sock) for listener in self.sockets)
        for acceptor in self._acceptors:
            acceptor.start()
        self.app.note(self.age, True)
        self._say_serving()
        pulse = Pulse(self._acceptors, self._own_acceptor().welcome_own, self._stopped.set)
        pulse.start()
        self._wait()
        pulse.stop()
        gevent.spawn(self._notify_on)
        for acceptor in self._acceptors:
            acceptor.stop(self._grace)

    def _hurry(self) -> None:
        self._grace = min(self._grace, QUICK)
        self._stopped.set()

    def _acceptor(self, listener: Any) -> Acceptor:
        options = self.app.options
        batch = 1 if self.cfg.workers > 1 else BATCH
        tls = self._tls() if self.cfg.is_ssl else None
        return Acceptor(
            listener, self.wsgi, self._settings(options),
            max_connections=options['max_connections'], batch=batch, tls=tls)

    def _own_acceptor(self) -> Acceptor:
        """One that only this worker calls. Its calls are in no log and no count."""
        near, _ = socket.socketpair()
        return Acceptor(near, self.wsgi, Settings())

    def _settings(self, options: Mapping[str, Any]) -> Settings:
        return Settings(
            keep_alive=options['keep_alive'],
            max_body=options['max_body'],
            trusted=Peers(options['forwarded_allow_ips']),
            access=self._log_access if self.cfg.accesslog else None)

    def _tls(self) -> ssl.SSLContext:
        """A certificate of which only half is renewed, as yet, is tried again."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.cfg.certfile, self.cfg.keyfile)
            return context
        except OSError as error:
            log.error('A worker could not start, its certificate cannot be used; it is tried again: %s', error)
            time.sleep(PAUSE)
            sys.exit(1)

    def _say_serving(self) -> None:
        if self.age == 1:
            place = address.of(self.sockets[0].sock).url
            if self.cfg.is_ssl:
                place = place.replace('http:', 'https:')
            actions = words.count(len(self.wsgi.routes), 'action')
            workers = words.count(self.cfg.workers, 'worker')
            log.info('Serving %s: %s on %s, %s', self.app.product.name, actions, place, workers)

    def _wait(self) -> None:
        """Until the worker is told to stop, has answered enough, or its master is gone."""
        while self.alive and not self._stopped.wait(1.0):
            self.notify()
            if sum(acceptor.answered for acceptor in self._acceptors) >= self.max_requests:
                return

    def notify(self) -> None:
        """Tell the master that this worker is not stuck; leave if the master is gone."""
        super().notify()
        if self.ppid != os.getppid():
            sys.exit(0)

    def _notify_on(self) -> None:
        """A worker that brings its last requests to their end is not stuck."""
        while True:
            self.notify()
            gevent.sleep(0.5)

    def _log_access(self, message: Message, status: int, size: int, seconds: float, client: str) -> None:
        self.log.access_log.info('%s', access_log.line(message, status, size, seconds, client))

    def handle_usr1(self, number: int, frame: FrameType | None) -> None:
        """In a greenlet: a signal handler must not wait for the lock of a log."""
        gevent.spawn(self.log.reopen_files)

    def handle_quit(self, number: int, frame: FrameType | None) -> None:
        """This one is in place until `run`. Before that, there is nothing to bring to an end."""
        os._exit(0)

    def handle_abort(self, number: int, frame: FrameType | None) -> None:
        """The master found this worker stuck: say in what."""
        log.error('A worker was stuck in %s and is replaced:\n%s', self._task(), tracebacks.format_stack(frame))
        self.alive = False
        if self.booted:
            self._stopped.set()
        sys.exit('it took too long')

    def _task(self) -> str:
        if not self.booted:
            return 'the import of its code'
        for acceptor in self._acceptors:
            if acceptor.running:
                return f'{acceptor.running.method} {acceptor.running.path}'
        return 'no request'
