"""Processes: gunicorn's arbiter, with a worker that serves through our own connections.

What differs from gunicorn: code that cannot be imported never ends a service that runs. A HUP tries the import in a
process of its own first, and a worker that cannot start later waits and is tried again. The old workers serve until all
new ones do, and a master whose program has moved becomes the new one in place.
"""
from __future__ import annotations

import logging
import os
import signal
import sys
import time
from mmap import mmap
from types import FrameType
from typing import Any, NoReturn

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.monkey import get_original
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter as GunicornArbiter
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.sock import ssl_context
from gunicorn.workers.ggevent import GeventWorker

from . import access, address, logs, product, routing
from .acceptor import BATCH, Acceptor
from .app import Application
from .connection import Settings
from .http1 import Message
from .options import OPTIONS, BadOption
from .product import BrokenProduct, Product
from .routing import Routes
from .takeover import Former, Program

QUICK = 1.0  # seconds that running requests get on SIGINT
LEAD = 0.5  # seconds by which a worker cuts its requests before its master cuts the worker
FOREVER = 3600.0  # seconds
BOARD = 4096  # workers at a time, and then some
PAUSE = 1.0  # seconds that a worker that cannot start waits before it leaves, to be tried again

log = logging.getLogger(__name__)


def load(found: Product) -> Routes:
    """Import all targets of a product. Raises ProductError, BrokenProduct."""
    product.add_to_path(found)
    loaded, broken = routing.load(routing.scan(found)[0])
    if broken:
        raise BrokenProduct({target.module: error for target, error in broken})
    return routing.routes_of(loaded)


class Service(BaseApplication):  # type: ignore[misc]
    """A product for gunicorn, with our options and the descriptor to listen on."""

    def __init__(self, found: Product, descriptor: int, options: dict[str, Any], former: Former) -> None:
        self.product = found
        self.options = options
        self.former = former
        self.program = Program()
        self._descriptor = descriptor
        self._board = mmap(-1, BOARD)  # shared by all processes: 1 for each worker, by age, that has the product imported; the first one for any
        self._board[0] = bool(former)
        super().__init__()

    @property
    def has_served(self) -> bool:
        """Whether some worker ever had the product imported."""
        return self._board[0] != 0

    def note(self, age: int, serves: bool) -> None:
        """Of the worker of that age."""
        self._board[1 + age % (BOARD - 1)] = serves
        self._board[0] |= serves

    def serves(self, age: int) -> bool:
        return self._board[1 + age % (BOARD - 1)] != 0

    def load_config(self) -> None:
        settings = {option.gunicorn: self.options[option.key] for option in OPTIONS if option.gunicorn}
        fixed = {'bind': f'fd://{self._descriptor}', 'worker_class': Worker, 'logger_class': Logger, 'control_socket_disable': True}
        for name, value in {**settings, **fixed}.items():
            if value is not None:
                self.cfg.set(name, value)

    def load(self) -> Application:
        return Application(load(self.product))

    def run(self) -> None:
        try:
            Arbiter(self).run()
        except RuntimeError as error:  # gunicorn's word for a pid file that is in use
            raise BadOption(str(error)) from None


class Logger(GunicornLogger):  # type: ignore[misc]
    """gunicorn's own words are for debugging; warnings and errors look like ours."""

    error_fmt = logs.FORMAT
    datefmt = None

    def _set_handler(self, log: Any, output: str | None, fmt: logging.Formatter, stream: Any = None) -> None:
        super()._set_handler(log, output, fmt, stream)
        handler = self._get_gunicorn_handler(log)
        if output == '-' and handler:
            log.handlers.remove(handler)
            handler = logs.Stream(handler.stream)
            handler.setFormatter(fmt)
            handler._gunicorn = True  # type: ignore[attr-defined]
            log.addHandler(handler)

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)


class Arbiter(GunicornArbiter):  # type: ignore[misc]
    """The master process."""

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())  # those that came while one program became another

    def reload(self) -> None:
        if self.app.program.has_moved:
            self._become()
        elif self._can_import():
            log.info('Starting workers with the new code')
            super().reload()
        else:
            log.error('The new code cannot be imported: the workers go on with the old')

    def _become(self) -> None:
        """The program of the place that the command leads to now, if it can serve."""
        if not self.app.program.can_start(self.timeout or FOREVER):
            log.error('The new program cannot serve the product: the old one goes on, with its workers')
            return
        log.info('Becoming the new program, %s', self.app.program.command[0])
        try:
            self.app.program.become(self.LISTENERS[0].fileno(), {*self.WORKERS, *self.app.former})
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
            log.error('The new program cannot be run: %s', error)

    def _can_import(self) -> bool:
        """Try it in a process of its own, which is ended if it takes longer than a worker may."""
        pid = os.fork()
        if not pid:
            try_import(self.app.product)
        end = time.monotonic() + (self.timeout or FOREVER)
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return status == 0
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return False

    def manage_workers(self) -> None:
        """The old ones are told to stop when all new ones serve."""
        end = time.monotonic() + (self.timeout or FOREVER)
        while len(self.WORKERS) > self.num_workers and not self._newest_serve() and time.monotonic() < end:
            self.reap_workers()
            time.sleep(0.02)
        super().manage_workers()
        if self._newest_serve():
            self.app.former.stop(self.cfg.graceful_timeout)
        self.app.former.reap()

    def _newest_serve(self) -> bool:
        newest = sorted(worker.age for worker in self.WORKERS.values())[-self.num_workers:]
        return len(newest) == self.num_workers and all(map(self.app.serves, newest))

    def spawn_worker(self) -> int:
        """Signals wait while there is nobody in the new process to take them."""
        self.app.note(self.worker_age + 1, False)
        signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)
        try:
            return super().spawn_worker()  # type: ignore[no-any-return]
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

    def stop(self, graceful: bool = True) -> None:
        self.app.former.stop(self.cfg.graceful_timeout if graceful else QUICK)
        self._stop(graceful)
        while self.app.former:
            self.reap_workers()
            self.app.former.reap()
            time.sleep(0.02)

    def _stop(self, graceful: bool) -> None:
        """To the end, also when a worker that could not start is found on the way, or the file of a unix socket is gone."""
        while True:
            try:
                return super().stop(graceful)  # type: ignore[no-any-return]
            except HaltServer:
                continue
            except FileNotFoundError:
                self.LISTENERS: list[Any] = []

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        if exit_status:
            self.log.error_log.setLevel(logging.CRITICAL)  # the worker has said why
        super().halt(None, 1 if exit_status else 0)


def try_import(found: Product) -> NoReturn:
    """In a process of its own: leave with 0 if the product can be imported, else say why."""
    status = 1
    try:
        for number in GunicornArbiter.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        monkey.patch_all()
        load(found)
        status = 0
    except BrokenProduct as error:
        _say_broken(error)
    except BaseException:
        log.exception('The product cannot be imported:')
    finally:
        sys.stderr.flush()
        os._exit(status)


def _say_broken(error: BrokenProduct) -> None:
    print(error.tracebacks, f'apiphant: {error}', sep='\n', file=sys.stderr, flush=True)


class Worker(GeventWorker):  # type: ignore[misc]
    """A process that serves."""

    server_class = Acceptor
    _acceptors: tuple[Acceptor, ...] = ()

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GunicornArbiter.SIGNALS)

    def load_wsgi(self) -> None:
        """The product's code is the only thing that may fail here."""
        self.notify()  # from here on an import that does not end is found
        try:
            super().load_wsgi()
        except (BrokenProduct, product.ProductError) as error:
            self._give_up(error)
        self.app.note(self.age, True)

    def _give_up(self, error: product.ProductError) -> None:
        """A service that never served ends, and its first worker says why; else this is tried again."""
        is_start = not self.app.has_served
        if isinstance(error, BrokenProduct) and (self.age == 1 or not is_start):
            _say_broken(error)
        if is_start:
            sys.exit(GunicornArbiter.WORKER_BOOT_ERROR)
        log.error('A worker could not start; it is tried again')
        time.sleep(PAUSE)
        sys.exit(1)

    def run(self) -> None:
        self.notify()
        get_original('_thread', 'start_new_thread')(_leave_after, (self.ppid,))
        self._stopped = Event()
        self._grace = max(self.cfg.graceful_timeout - LEAD, 0.0)
        gevent.signal_handler(signal.SIGTERM, self._stopped.set)
        for number in (signal.SIGINT, signal.SIGQUIT):
            gevent.signal_handler(number, self._hurry)
        self._acceptors = tuple(self._acceptor(listener.sock) for listener in self.sockets)
        for acceptor in self._acceptors:
            acceptor.start()
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
            keep_alive=options['keep_alive'], max_body=options['max_body'], trusted=access.trusted_peers(options['forwarded_allow_ips']),
            access=self._log_access if self.cfg.accesslog else None)
        batch = 1 if self.cfg.workers > 1 else BATCH
        tls = ssl_context(self.cfg) if self.cfg.is_ssl else None
        return Acceptor(listener, self.wsgi, settings, max_connections=options['max_connections'], batch=batch, tls=tls)

    def _say_serving(self) -> None:
        if self.age == 1:
            place = address.of(self.sockets[0].sock).url.replace('http:', 'https:' if self.cfg.is_ssl else 'http:')
            actions, workers = logs.count(len(self.wsgi.routes), 'action'), logs.count(self.cfg.workers, 'worker')
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
        self.log.access_log.info('%s', access.line(message, status, size, seconds, client))

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


def _leave_after(master: int) -> None:
    """In a real thread: a handler that spins must not keep the port when the master is gone."""
    sleep = get_original('time', 'sleep')
    while os.getppid() == master:
        sleep(1.0)
    sleep(QUICK)
    os._exit(1)
