"""apiphant: JSON APIs on gevent, where the tree of files is the API."""
from __future__ import annotations

__version__ = '1.0.0'
