"""A prompt for a terminal that cannot move the cursor: it gets no escapes."""
from __future__ import annotations

from .. import escapes
from .advice import Advice
from .interrupts import Interrupts


class DumbReader:
    """Reads lines as the terminal gives them."""

    def __init__(self, prompt: str, advice: Advice, interrupts: Interrupts) -> None:
        self._prompt = prompt
        self._advice = advice
        self._interrupts = interrupts

    def read(self, default: str = '') -> str:
        """Raises EOFError, KeyboardInterrupt."""
        try:
            with self._interrupts.allowed():
                return self._read(default)
        except (KeyboardInterrupt, EOFError):
            print()
            raise

    def _read(self, default: str) -> str:
        text = default + input(self._prompt + escapes.shown(default))  # what is typed is put behind it
        while self._advice.is_unfinished(text) and (more := input(' ' * len(self._prompt))):
            text += f'\n{more}'
        return text
