"""gunicorn's log, in our format."""
from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from .. import logs

log = logging.getLogger(__name__)



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

    def reopen_files(self) -> None:
        """One that cannot be opened goes on where it was."""
        for handler in self.access_log.handlers:
            if isinstance(handler, logging.FileHandler):
                try:
                    before, handler.stream = handler.stream, handler._open()
                except OSError as error:
                    log.error('The access log cannot be opened again: %s', error)
                else:
                    if before:
                        before.close()

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)
