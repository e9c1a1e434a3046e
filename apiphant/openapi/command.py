"""`apiphant openapi`: print the document of a product, or compare it with one that was kept."""
from __future__ import annotations

import ast
import json
import sys
from difflib import unified_diff
from pathlib import Path
from typing import Any

from .. import server  # noqa: F401  # handlers import it; see add_to_path
from ..api.product import Product
from ..api.product import find as find_product
from ..api.routing import load_targets, url
from ..dev.source.fields import Description, describe
from ..dev.source.names import UNREADABLE, parse
from ..errors import UserError
from .document import Route, document
from .examples import examples_of

NOT_KNOWN = '0'  # the version of a product that says none


def openapi(path: str | Path, check: str | None = None) -> int:
    """Print the document as JSON, or with `check` how it differs from that file. Returns the exit status.

    Raises ProductError, BrokenProduct, UserError.
    """
    product = find_product(path)
    text = json.dumps(_document(product), indent=2, ensure_ascii=False) + '\n'
    if check is None:
        sys.stdout.write(text)
        return 0
    return _compare(Path(check), text)


def _document(product: Product) -> dict[str, Any]:
    routes = [
        Route(url(target, name), action, described.get(name, Description()))
        for target, actions in load_targets(product)
        for described in [describe(_text(target.path))]
        for name, action in actions.items()
    ]
    return document(product.name, _version(product), routes, examples_of(product))


def _text(path: Path) -> str:
    return path.read_text('utf-8', 'replace')


def _version(product: Product) -> str:
    """What the product's __init__.py says: `__version__ = '1.2'`."""
    try:
        body = parse(_text(product.path / '__init__.py')).body
    except (*UNREADABLE, OSError):
        return NOT_KNOWN
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            if '__version__' in names:
                return str(statement.value.value)
    return NOT_KNOWN


def _compare(kept: Path, text: str) -> int:
    try:
        before = kept.read_text('utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'cannot read {kept}: {error}') from None
    if before == text:
        return 0
    sys.stderr.writelines(unified_diff(before.splitlines(True), text.splitlines(True), str(kept), 'the product'))
    raise UserError(f'{kept} is not what the product is: write it anew with apiphant openapi PRODUCT > {kept}')
