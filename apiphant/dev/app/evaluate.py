"""`py EXPRESSION`: Python in the live app, typed at the console. Its names stay from one line to the next."""
from __future__ import annotations

import importlib
from pprint import pformat
from types import CodeType
from typing import Any

WIDTH = 100  # columns


class Evaluator:
    """`name` is the product's, which is there to be used, always as it is now."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._names: dict[str, Any] = {'__name__': '__console__', '__builtins__': __builtins__}

    def evaluate(self, text: str, last: Any) -> str:
        """What the expression is, or '' for a statement. `_` is the last answer. Raises whatever the text does."""
        self._names.update({'_': last, self._name: importlib.import_module(self._name)})
        code = _expression(text)
        if code is None:
            exec(compile(text, '<py>', 'exec'), self._names)
            return ''
        value = eval(code, self._names)
        return '' if value is None else pformat(value, width=WIDTH, sort_dicts=False)


def _expression(text: str) -> CodeType | None:
    """None if it is none: then it is a statement, or wrong."""
    try:
        return compile(text, '<py>', 'eval')
    except SyntaxError:
        return None
