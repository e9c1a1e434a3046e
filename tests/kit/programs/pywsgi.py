"""A product under gevent's own WSGI server."""
import sys

from gevent.monkey import patch_all

patch_all()

from gevent.pywsgi import WSGIServer  # noqa: E402

from apiphant.server import application  # noqa: E402

server = WSGIServer(('127.0.0.1', 0), application(sys.argv[1]), log=None)
server.start()
print(f'pywsgi on http://127.0.0.1:{server.server_port}', flush=True)
server.serve_forever()
