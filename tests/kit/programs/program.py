"""A program that calls serve() itself."""
import sys

from gevent.monkey import patch_all

from apiphant.server.start import serve

if sys.argv[2] == 'patched':
    patch_all()
    serve(sys.argv[1], '127.0.0.1:0')
serve(sys.argv[1], '127.0.0.1:0', workers=int(sys.argv[2]))
