"""How things are said: numbers of things, reasons of errors, and text with control characters."""
from __future__ import annotations

from ssl import SSLCertVerificationError


def printable(text: str) -> str:
    """Control bytes and what is not ASCII as escapes."""
    return text if text.isprintable() and text.isascii() else ''.join(
        character if character.isprintable() and character.isascii() else f'\\x{ord(character):02x}' for character in text)


def reason(error: BaseException) -> str:
    """In a few words: of the system's error if there is one in the chain."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SSLCertVerificationError):
            return f'its certificate is not trusted: {cause.verify_message}'
        if isinstance(cause, OSError) and cause.strerror:
            return _in_a_sentence(cause.strerror)
        if isinstance(cause, TimeoutError):
            return 'timed out'
        cause = cause.__cause__ or cause.__context__
    return _in_a_sentence((str(error).strip().splitlines() or [type(error).__name__])[0])


def sentence(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]


def _in_a_sentence(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip('.')


def count(number: int, noun: str) -> str:
    """'1 action', '2 actions'"""
    return f'{number} {noun}{"" if number == 1 else "s"}'
