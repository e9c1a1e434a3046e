"""The media type of a file by its name: the same on every machine, whatever that has in /etc/mime.types."""
from __future__ import annotations

from mimetypes import MimeTypes

UNKNOWN = 'application/octet-stream'
NEWER = {  # than the oldest Python that we have, or other there
    '.avif': 'image/avif',
    '.js': 'text/javascript',
    '.map': 'application/json',
    '.md': 'text/markdown',
    '.mjs': 'text/javascript',
    '.opus': 'audio/ogg',
    '.otf': 'font/otf',
    '.rst': 'text/x-rst',
    '.ttf': 'font/ttf',
    '.wasm': 'application/wasm',
    '.webmanifest': 'application/manifest+json',
    '.webp': 'image/webp',
    '.woff': 'font/woff',
    '.woff2': 'font/woff2',
}
PACKED = {'gzip': 'application/gzip', 'bzip2': 'application/x-bzip2', 'xz': 'application/x-xz'}

_known = MimeTypes()
for _end, _type in NEWER.items():
    _known.add_type(_type, _end)


def media_type(name: str) -> str:
    """As Content-Type says it. Text is UTF-8."""
    found, packed = _known.guess_type(name.replace(':', '_').rpartition('/')[2])  # with a colon, it would be a URL
    if packed:
        return PACKED.get(packed, UNKNOWN)
    if found is None:
        return UNKNOWN
    return f'{found}; charset=utf-8' if found.startswith('text/') else found
