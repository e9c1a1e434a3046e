"""How things are said: numbers of things, reasons of errors, and text with control characters."""
from __future__ import annotations


def printable(text: str) -> str:
    """Control bytes and what is not ASCII as escapes."""
    if text.isprintable() and text.isascii():
        return text
    return ''.join(map(_escaped, text))


def _escaped(character: str) -> str:
    is_plain = character.isprintable() and character.isascii()
    return character if is_plain else f'\\x{ord(character):02x}'


def reason(error: BaseException) -> str:
    """An error in a few words: those of the system's error, if there is one in the chain of causes."""
    cause: BaseException | None = error
    while cause is not None:
        if hasattr(cause, 'verify_message'):  # ssl.SSLCertVerificationError; to import ssl takes 10 ms
            return f'its certificate is not trusted: {cause.verify_message}'
        if isinstance(cause, OSError) and cause.strerror:
            return _in_a_sentence(cause.strerror)
        if isinstance(cause, TimeoutError):
            return 'timed out'
        cause = cause.__cause__ or cause.__context__
    lines = str(error).strip().splitlines()
    return _in_a_sentence(lines[0]) if lines else type(error).__name__


def sentence(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]


def _in_a_sentence(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip('.')


def count(number: int, noun: str) -> str:
    """'1 action', '2 actions'"""
    return f'{number} {noun}{"" if number == 1 else "s"}'
