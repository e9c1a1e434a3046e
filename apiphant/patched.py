"""For executables whose work runs in this very process: what waits, waits for gevent from here on. No module does."""
from __future__ import annotations

from gevent.monkey import patch_all

patch_all()
