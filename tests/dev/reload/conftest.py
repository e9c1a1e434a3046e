"""What all tests of reloading have."""
from __future__ import annotations

import re

import pytest


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A target's name that no other test has."""
    return re.sub(r'\W+', '_', request.node.name).rstrip('_')
