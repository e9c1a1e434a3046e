"""gunicorn's log, in our format."""
from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

from gunicorn.glogging import Logger as GunicornLogger

from .. import logs

log = logging.getLogger(__name__)


class Logger(GunicornLogger):  # type: ignore[misc]
    """gunicorn's own words are for debugging. Its warnings and errors go where ours go."""

    _access: logs.Stream | None = None

    def setup(self, cfg: Any) -> None:
        """gunicorn calls this at start, and with the same options after each HUP."""
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.setLevel(cfg.loglevel.upper())
        self.access_log.setLevel(logging.INFO)
        if cfg.accesslog and not self._access:
            self._access = logs.Stream(sys.stdout if cfg.accesslog == '-' else _opened(cfg.accesslog))
            self.access_log.addHandler(self._access)
        logs.keep_on()

    def reopen_files(self) -> None:
        """A log that cannot be opened stays where it was."""
        if not self._access or self.cfg.accesslog == '-':
            return
        before = self._access.stream
        try:
            self._access.setStream(_opened(self.cfg.accesslog))
        except OSError as error:
            log.error('The access log cannot be opened again: %s', error)
        else:
            before.close()

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)


def _opened(path: str) -> TextIO:
    return open(path, 'a', encoding='utf-8')
