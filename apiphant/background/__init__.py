"""Background tasks of a product, run by `apiphant-background`.

    @seconds(60)
    @cron('30 2 * * *', timezone='Europe/Berlin')

These stand in the product's `api/background.py`, or in modules that it imports. Tasks run side by side, each on a grid
of its own. A run that is missed is skipped, and no task overlaps itself. `on_error(error)` of `api/background.py` gets
the text of errors: each different one at once, and again at most once a minute.

To import this module costs no more than the decorators: no gevent, no croniter, no Celery.
"""
from .tasks import cron, seconds

__all__ = ['cron', 'seconds']
