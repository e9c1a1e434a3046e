"""The servers that ours is measured beside: programs that answer the same JSON echo, and settings to choose from."""
from __future__ import annotations

from dataclasses import dataclass

from tests.bench.servers import ROOT, Candidate

BARE = '''
import re, socket, sys
from gevent import monkey; monkey.patch_all()
from gevent.server import StreamServer
def answer_to(length):
    body = b'x' * (length + len(',"server":"myproduct"'))
    return (b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n'
            b'Date: Sun, 22 Nov 2026 16:05:54 GMT\\r\\n\\r\\n' % len(body)) + body
def echo(client):
    """The first request says how long all are; where each comes alone and whole, none is looked at."""
    first = client.recv(65536)
    if not first:
        return
    head = first.index(b'\\r\\n\\r\\n') + 4
    length = int(re.search(rb'Content-Length: ([0-9]+)', first)[1])
    answer = answer_to(length)
    if len(first) == head + length:
        client.sendall(answer)
        while client.recv(65536):
            client.sendall(answer)
        return
    whole, rest = divmod(len(first), head + length)
    client.sendall(answer * whole)
    while data := client.recv(65536):
        whole, rest = divmod(rest + len(data), head + length)
        if whole:
            client.sendall(answer * whole)
def handle(client, address):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        echo(client)
    except OSError:
        pass
StreamServer(('127.0.0.1', int(sys.argv[1])), handle, backlog=1000).serve_forever()
'''
WSGI = '''
import msgspec
decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
def app(environ, start_response):
    request = decode(environ['wsgi.input'].read(int(environ['CONTENT_LENGTH'])))
    request['server'] = 'myproduct'
    body = encode(request)
    start_response('200 OK', [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))])
    return [body]
'''
ASGI = '''
import msgspec
decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
async def app(scope, receive, send):
    body, more = b'', True
    while more:
        part = await receive()
        body += part['body']
        more = part.get('more_body')
    request = decode(body)
    request['server'] = 'myproduct'
    body = encode(request)
    headers = [(b'content-type', b'application/json'), (b'content-length', b'%d' % len(body))]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': body})
'''
RSGI = '''
import msgspec
decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
async def app(scope, protocol):
    request = decode(await protocol())
    request['server'] = 'myproduct'
    protocol.response_bytes(200, [('content-type', 'application/json')], encode(request))
'''
FLASK = '''
import msgspec
from flask import Flask, request
from flask.json.provider import JSONProvider
class Quick(JSONProvider):
    def dumps(self, value, **options):
        return msgspec.json.encode(value).decode()
    def loads(self, text, **options):
        return msgspec.json.decode(text)
app = Flask(__name__)
app.json = Quick(app)
@app.post('/api/v0/echo/read')
def read():
    return {**request.get_json(), 'server': 'myproduct'}
'''
FALCON = '''
import falcon, falcon.media, msgspec
class Echo:
    def on_post(self, request, response):
        response.media = {**request.get_media(), 'server': 'myproduct'}
app = falcon.App()
quick = falcon.media.JSONHandler(dumps=msgspec.json.encode, loads=msgspec.json.decode)
for handlers in app.req_options.media_handlers, app.resp_options.media_handlers:
    handlers['application/json'] = quick
app.add_route('/api/v0/echo/read', Echo())
'''
FASTAPI = '''
from typing import Any
from fastapi import FastAPI
app = FastAPI()
@app.post('/api/v0/echo/read')
async def read(request: dict[str, Any]):
    return {**request, 'server': 'myproduct'}
'''
PYWSGI = '''
import sys
from gevent import monkey; monkey.patch_all()
import socket
from gevent.pywsgi import WSGIServer
from wsgi import app
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=1000)
if 'nodelay' in sys.argv:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
WSGIServer(listener, app, log=None).serve_forever()
'''
BJOERN = '''
import sys, bjoern
from wsgi import app
bjoern.run(app, '127.0.0.1', int(sys.argv[1]))
'''
MEINHELD = '''
import sys
from meinheld import server
from wsgi import app
server.listen(('127.0.0.1', int(sys.argv[1])))
server.set_access_logger(None)
server.set_keepalive(75)
server.run(app)
'''
APPS = {
    'bare.py': BARE, 'wsgi.py': WSGI, 'asgi.py': ASGI, 'rsgi.py': RSGI, 'flask_app.py': FLASK, 'falcon_app.py': FALCON,
    'fastapi_app.py': FASTAPI, 'pywsgi.py': PYWSGI, 'bjoern_app.py': BJOERN, 'meinheld_app.py': MEINHELD}

OURS = '-m apiphant.cli PRODUCT 127.0.0.1:PORT'
GRANIAN = '-m granian --port PORT --no-log --no-ws --http 1 --backlog 4096'
UVICORN = '-m uvicorn --port PORT --log-level error --no-access-log --lifespan off'
GUNICORN = '-m gunicorn -b 127.0.0.1:PORT --log-level error --keep-alive 75 --backlog 2048 --worker-tmp-dir /dev/shm'
BLOCKING = (
    '', '--blocking-threads 1', '--blocking-threads 2', '--blocking-threads 1 --runtime-mode st',
    '--blocking-threads 1 --runtime-mode mt')
LOOPS = (
    '--loop asyncio', '--loop uvloop', '--loop uvloop --runtime-mode st', '--loop uvloop --runtime-mode mt',
    '--loop uvloop --task-impl rust')
POOLS = ('-k gevent', '-k gthread --threads 1', '-k gthread --threads 4', '-k gthread --threads 32')
WAYS = ('--loop uvloop --http httptools', '--loop asyncio --http httptools', '--loop asyncio --http h11')


@dataclass(frozen=True)
class Rival:
    """A name, the part of its command that is always there, and the settings that are tried."""
    name: str
    command: str
    settings: tuple[str, ...] = ('',)
    app: str = ''
    needs: str = ''  # a package that may be missing

    @property
    def candidates(self) -> list[Candidate]:
        return [Candidate(setting, self._words(setting), is_ours=self.command is OURS) for setting in self.settings]

    def _words(self, setting: str) -> tuple[str, ...]:
        words = f'{self.command} {setting} {self.app}'.split()
        return tuple(str(ROOT / 'tests/myproduct') if word == 'PRODUCT' else word for word in words)


RIVALS = (
    Rival('apiphant', OURS),
    Rival('apiphant, 2 workers', OURS, ('--workers 2',)),
    Rival('bare gevent loop', 'bare.py PORT'),
    Rival('bjoern, bare WSGI', 'bjoern_app.py PORT', needs='bjoern'),
    Rival('meinheld, bare WSGI', 'meinheld_app.py PORT', needs='meinheld'),
    Rival('granian, bare WSGI', f'{GRANIAN} --interface wsgi', BLOCKING, 'wsgi:app'),
    Rival('granian, bare RSGI', f'{GRANIAN} --interface rsgi', LOOPS, 'rsgi:app'),
    Rival('granian, bare ASGI', f'{GRANIAN} --interface asginl', LOOPS, 'asgi:app'),
    Rival('granian + Falcon', f'{GRANIAN} --interface wsgi', BLOCKING, 'falcon_app:app'),
    Rival('uvicorn, bare ASGI', UVICORN, WAYS, 'asgi:app'),
    Rival('uvicorn + FastAPI', UVICORN, WAYS, 'fastapi_app:app'),
    Rival('gevent.pywsgi, bare', 'pywsgi.py PORT', ('', 'nodelay')),
    Rival('gunicorn, bare WSGI', GUNICORN, POOLS, 'wsgi:app'),
    Rival('gunicorn + Falcon', GUNICORN, POOLS, 'falcon_app:app'),
    Rival('gunicorn + Flask', GUNICORN, POOLS, 'flask_app:app'),
)
