"""apiphant: JSON APIs on gevent, where the tree of files is the API."""
__version__ = '1.0.0'
