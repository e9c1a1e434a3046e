"""Background tasks spread over many machines. `app` is for `celery -A apiphant.background.cluster inspect active`."""
from __future__ import annotations

import os
from typing import Any

from ...api.product import ProductError
from . import celery_app, engine


def __getattr__(name: str) -> Any:
    if name != 'app':
        raise AttributeError(name)
    try:
        url, product = (os.environ[name] for name in ('APIPHANT_ENGINE', 'APIPHANT_PRODUCT'))
    except KeyError as error:
        raise ProductError(f'the variable {error} is not set: the engine in APIPHANT_ENGINE, the name of the product in APIPHANT_PRODUCT') from None
    return celery_app.make_app(engine.parse(url), product)
