"""Background tasks, run by apiphant-background."""
from apiphant.background import seconds


@seconds(60)
def update_something():
    """Whatever this product has to do once a minute."""


def on_error(error):
    """Gets the text of each error that a task raised: a place to send it by e-mail."""
