"""What a user can mend: one base of all errors that a command tells in a line."""
from __future__ import annotations


class UserError(Exception):
    """Something given to apiphant cannot be used. The text says what, where, and what to do, for a person.

    `tracebacks` are of the user's own code, where that is what failed.
    """

    tracebacks = ''
