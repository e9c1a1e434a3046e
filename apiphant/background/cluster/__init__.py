"""Background tasks spread over many machines.

`app` is for `celery -A apiphant.background.cluster inspect active`.
"""
from __future__ import annotations

import os
from typing import Any

from ...api.product import ProductError
from . import celery_app, engine


def __getattr__(name: str) -> Any:
    if name != 'app':
        raise AttributeError(name)
    try:
        url, product = os.environ['APIPHANT_ENGINE'], os.environ['APIPHANT_PRODUCT']
    except KeyError as error:
        told = 'the engine in APIPHANT_ENGINE, the name of the product in APIPHANT_PRODUCT'
        raise ProductError(f'the variable {error} is not set: {told}') from None
    return celery_app.make_app(engine.parse(url), product)
