"""A product served for tests: by pytest's fixture `api`, and for `python -m apiphant.testing`."""
