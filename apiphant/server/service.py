"""The service that gunicorn keeps workers of: a product, our options, and the descriptor to listen on."""
from __future__ import annotations

from collections.abc import Mapping
from mmap import mmap
from typing import Any

from gunicorn.app.base import BaseApplication

from ..api.application import Application
from ..api.origin import Origins
from ..api.product import Product
from ..api.public import MAX_AGE, Public
from ..api.routing import load_product
from .gunicorn_log import Logger
from .master import BOARD, Arbiter
from .options import OPTIONS, BadOption
from .takeover import FormerWorkers, Program
from .temporary import folder
from .worker import Worker


class Service(BaseApplication):  # type: ignore[misc]
    """A product for gunicorn, with our options and the descriptor to listen on."""

    def __init__(
            self, product: Product, descriptor: int, options: Mapping[str, Any], former_workers: FormerWorkers) -> None:
        self.product = product
        self.options = options
        self.former_workers = former_workers
        self.program = Program()
        self._descriptor = descriptor
        self._board = mmap(-1, BOARD)  # shared by all processes: see `note`
        self._board[0] = bool(former_workers)
        super().__init__()

    @property
    def has_served(self) -> bool:
        """Whether some worker ever had the product imported."""
        return self._board[0] != 0

    def note(self, age: int, serves: bool) -> None:
        """Write on the board whether the worker of that age has the product imported; byte 0 says it of any worker."""
        self._board[1 + age % (BOARD - 1)] = serves
        self._board[0] |= serves

    def serves(self, age: int) -> bool:
        return self._board[1 + age % (BOARD - 1)] != 0

    def load_config(self) -> None:
        settings = {option.gunicorn: self.options[option.key] for option in OPTIONS if option.gunicorn}
        settings |= {'bind': f'fd://{self._descriptor}', 'worker_class': Worker, 'logger_class': Logger}
        settings |= {'control_socket_disable': True, 'worker_tmp_dir': folder()}
        for name, value in settings.items():
            if value is not None:
                self.cfg.set(name, value)

    def load(self) -> Application:
        origins = Origins(self.options['allow_origin'] or '')
        return Application(load_product(self.product), origins, Public(self.product.public, MAX_AGE))

    def run(self) -> None:
        try:
            Arbiter(self).run()
        except RuntimeError as error:  # gunicorn's word for a pid file that is in use
            raise BadOption(str(error)) from None
