"""Background tasks spread over many machines.

`app` is for `celery -A apiphant.background.cluster inspect active`.
"""
from __future__ import annotations

import os
from typing import Any


def __getattr__(name: str) -> Any:
    if name != 'app':
        raise AttributeError(name)
    from ...api.product import ProductError  # noqa: PLC0415
    from .celery_app import make_app  # noqa: PLC0415  # Celery takes half a second; not all of this needs it
    from .engine import parse  # noqa: PLC0415
    try:
        url, product = os.environ['APIPHANT_ENGINE'], os.environ['APIPHANT_PRODUCT']
    except KeyError as error:
        told = 'the engine in APIPHANT_ENGINE, the name of the product in APIPHANT_PRODUCT'
        raise ProductError(f'the variable {error} is not set: {told}') from None
    return make_app(parse(url), product)
