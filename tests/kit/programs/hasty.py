"""hasty.py PRODUCT [CERTIFICATE]: serves with time limits of a second."""
from gevent import monkey

monkey.patch_all()

import socket  # noqa: E402
import ssl  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402

from apiphant.api import product  # noqa: E402
from apiphant.api.application import Application  # noqa: E402
from apiphant.api.routing import load_product  # noqa: E402
from apiphant.http.acceptor import Acceptor  # noqa: E402
from apiphant.http.settings import Settings  # noqa: E402

listener = socket.create_server(('127.0.0.1', 0), backlog=1000)
application = Application(load_product(product.find(sys.argv[1])))
settings = Settings(head_timeout=1.0, body_timeout=1.0, send_timeout=1.0, silence=1)
tls = None
if sys.argv[2:]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[2])
Acceptor(listener, application, settings, tls=tls).start()
print(f'Serving on http://127.0.0.1:{listener.getsockname()[1]}', file=sys.stderr, flush=True)
gevent.get_hub().join()
