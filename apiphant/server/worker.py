"""A process that serves: gunicorn's gevent worker, with our own connections."""
from __future__ import annotations

import logging
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.monkey import get_original
from gunicorn.arbiter import Arbiter
from gunicorn.sock import ssl_context
from gunicorn.workers.ggevent import GeventWorker

from .. import address, logs, words
from ..api import product
from ..api.product import BrokenProduct
from ..http import access_log, proxies
from ..http.acceptor import BATCH, Acceptor
from ..http.message import Message
from ..http.settings import Settings
from ..threads import QUICK, leave_after
from .trial import say_broken

LEAD = 0.5  # seconds by which a worker cuts its requests before its master cuts the worker
PAUSE = 1.0  # seconds that a worker that cannot start waits before it leaves, to be tried again

log = logging.getLogger(__name__)


class Worker(GeventWorker):  # type: ignore[misc]
    """A process that serves."""

    server_class = Acceptor
    _acceptors: tuple[Acceptor, ...] = ()

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, Arbiter.SIGNALS)

    def load_wsgi(self) -> None:
        """The product's code is the only thing that may fail here."""
        self.notify()  # from here on an import that does not end is found
        get_original('_thread', 'start_new_thread')(leave_after, (self.ppid,))
        try:
            super().load_wsgi()
        except (BrokenProduct, product.ProductError) as error:
            self._give_up(error)

    def _give_up(self, error: product.ProductError) -> None:
        """A service that never served ends, and its first worker says why; else this is tried again."""
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
        self._wait()
        gevent.spawn(self._notify_on)
        for acceptor in self._acceptors:
            acceptor.stop(self._grace)

    def _hurry(self) -> None:
        self._grace = min(self._grace, QUICK)
        self._stopped.set()

    def patch(self) -> None:
        """Before the product is imported, and after the fork."""
        monkey.patch_all()

    def _acceptor(self, listener: Any) -> Acceptor:
        options = self.app.options
        settings = Settings(
            keep_alive=options['keep_alive'], max_body=options['max_body'],
            trusted=proxies.trusted_peers(options['forwarded_allow_ips']),
            access=self._log_access if self.cfg.accesslog else None)
        batch = 1 if self.cfg.workers > 1 else BATCH
        tls = self._tls() if self.cfg.is_ssl else None
        return Acceptor(listener, self.wsgi, settings, max_connections=options['max_connections'], batch=batch, tls=tls)

    def _tls(self) -> Any:
        """A certificate that was renewed only by half is tried again."""
        try:
            return ssl_context(self.cfg)
        except OSError as error:
            log.error('A worker could not start, its certificate cannot be used; it is tried again: %s', error)
            time.sleep(PAUSE)
            sys.exit(1)

    def _say_serving(self) -> None:
        if self.age == 1:
            place = address.of(self.sockets[0].sock).url.replace('http:', 'https:' if self.cfg.is_ssl else 'http:')
            actions, workers = words.count(len(self.wsgi.routes), 'action'), words.count(self.cfg.workers, 'worker')
            log.info('Serving %s: %s on %s, %s', self.app.product.name, actions, place, workers)

    def _wait(self) -> None:
        """Until the worker is told to stop, has answered enough, or its master is gone."""
        while self.alive and not self._stopped.wait(1.0):
            self.notify()
            if sum(acceptor.answered for acceptor in self._acceptors) >= self.max_requests:
                return

    def _notify_on(self) -> None:
        """Requests that are brought to their end are no reason to be taken for stuck."""
        while True:
            self.notify()
            gevent.sleep(0.5)

    def _log_access(self, message: Message, status: int, size: int, seconds: float, client: str) -> None:
        self.log.access_log.info('%s', access_log.line(message, status, size, seconds, client))

    def handle_quit(self, number: int, frame: FrameType | None) -> None:
        """Before it serves; then there is nothing to bring to an end."""
        os._exit(0)

    def handle_abort(self, number: int, frame: FrameType | None) -> None:
        """The master found this worker stuck: say in what."""
        log.error('A worker was stuck in %s and is replaced:\n%s', self._task(), logs.format_stack(frame))
        self.alive = False
        if self.booted:
            self._stopped.set()
        sys.exit('it took too long')

    def _task(self) -> str:
        if not self.booted:
            return 'the import of its code'
        running = next((message for acceptor in self._acceptors if (message := acceptor.running)), None)
        return f'{running.method} {running.path}' if running else 'no request'
