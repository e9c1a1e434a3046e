"""Background tasks of a product, run by `apiphant-background`.

    @seconds(60)                                        in the product's api/background.py, or in modules that it imports
    @cron('30 2 * * *', timezone='Europe/Berlin')

Tasks run side by side, each on a grid of its own: a run that is missed is skipped, and none overlaps itself. `on_error(error)`
of `api/background.py` gets the text of errors, each different one at once, and again at most once a minute.
"""
from .tasks import cron, seconds

__all__ = ['cron', 'seconds']
