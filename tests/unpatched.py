"""A program that calls serve() and has not patched."""
import sys

from apiphant.server import serve

serve(sys.argv[1], '127.0.0.1:0')
