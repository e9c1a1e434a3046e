"""`python -m apiphant.dev.app`: the app process as an executable of its own. It patches before all else."""
from gevent.monkey import patch_all

patch_all()

from .process import run  # noqa: E402

run()
