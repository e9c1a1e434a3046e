"""For executables whose work runs in this very process: everything that waits, waits for gevent from here on. Modules never patch."""
from __future__ import annotations

from gevent.monkey import patch_all

patch_all()
