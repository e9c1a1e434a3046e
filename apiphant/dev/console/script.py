"""Lines from `-c` or a pipe: one answer a line on standard output, everything else on standard error."""
from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable

from ..escapes import StreamOut
from ..line.context import BadLine
from ..line.effect import Ask, Call, Do, Edit, Effect, Open, Save, Show, Watch
from . import shell
from .failure import failed
from .reply import CallError, Reply
from .session import Session

CALL_FAILED = 1
BAD_LINE = 2


class Leaving(Exception):
    """The line says that it was the last."""


def run(session: Session, lines: Iterable[str]) -> int:
    """Run the lines. Returns the exit status.

    0 if all calls were answered with 200, 1 if some was not or a line could not be done, 2 for a line without meaning.
    """
    try:
        return _run(session, lines)
    except BrokenPipeError:  # whoever reads the answers has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CALL_FAILED


def _run(session: Session, lines: Iterable[str]) -> int:
    worst = 0
    for number, line in enumerate(lines, 1):
        try:
            worst = max(worst, _run_line(session, line))
        except Leaving:
            break
        except BadLine as error:
            _say(f'apiphant dev: line {number}: {error}')
            worst = BAD_LINE
        except BrokenPipeError:
            raise
        except Exception as error:
            _say(f'apiphant dev: line {number}: {failed(line, error)}')
            worst = max(worst, CALL_FAILED)
    return worst


def _run_line(session: Session, line: str) -> int:
    effect = session.interpret(line)
    if effect == Do('quit'):
        raise Leaving
    return _do(session, effect)


def _do(session: Session, effect: Effect) -> int:
    """The exit status that comes of it."""
    if isinstance(effect, Call):
        return _call(session, effect)
    if isinstance(effect, Show):
        return _print(effect.text, effect.output)
    if isinstance(effect, Ask):
        return _ask(session, effect)
    if isinstance(effect, Save):
        return _save(session, effect)
    if isinstance(effect, (Edit, Open, Watch)):
        _say(f'apiphant dev: {type(effect).__name__.lower()} is for a terminal')
        return BAD_LINE
    return 0


def _save(session: Session, effect: Save) -> int:
    try:
        _say(session.save(effect))
    except BadLine as error:
        _say(f'apiphant dev: {error}')
        return CALL_FAILED
    return 0


def _say(text: str) -> None:
    StreamOut(sys.stderr).say(text)


def _print(text: str, output: str) -> int:
    if output:
        return _pipe(f'{text}\n'.encode(errors='backslashreplace'), output)
    StreamOut(sys.stdout).say(text)
    return 0


def _pipe(data: bytes, output: str) -> int:
    return CALL_FAILED if shell.feed(output, data) else 0


def _ask(session: Session, question: Ask) -> int:
    try:
        answer = session.ask(question)
    except CallError as error:
        _say(str(error))
        return CALL_FAILED
    session.settle()
    return _print(answer, question.output) if answer else 0


def _call(session: Session, call: Call) -> int:
    try:
        answer = session.call(call)
    except CallError as error:
        _say(f'apiphant dev: {error}')
        return CALL_FAILED
    session.settle()
    failed = _pipe(answer.output, call.output) if call.output else _print(_one_line(answer), '')
    if hint := session.suggestion(call, answer):
        _say(f'apiphant dev: {hint}')
    return failed if answer.status == 200 else CALL_FAILED


def _one_line(answer: Reply) -> str:
    """What we send is one line as it is; a raw response may be anything."""
    text = answer.body.decode('utf-8', 'replace').rstrip('\n')
    try:
        return json.dumps(json.loads(text), ensure_ascii=False) if '\n' in text else text
    except (ValueError, RecursionError):
        return text
