"""Lines from `-c` or a pipe: one answer a line on standard output, everything else on standard error."""
from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable

from .client import CallError, Reply
from .command import BadLine, Call, Leave, Show
from .session import Session

CALL_FAILED = 1
BAD_LINE = 2


def run(session: Session, lines: Iterable[str]) -> int:
    """Run the lines. Returns the exit status: 0 if all calls were answered with 200, 1 if some was not, 2 for a line that means nothing."""
    try:
        return _run(session, lines)
    except BrokenPipeError:  # whoever reads the answers has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CALL_FAILED


def _run(session: Session, lines: Iterable[str]) -> int:
    worst = 0
    for number, line in enumerate(lines, 1):
        try:
            effect = session.interpret(line)
        except BadLine as error:
            print(f'apiphant dev: line {number}: {error}', file=sys.stderr)
            worst = BAD_LINE
            continue
        if isinstance(effect, Leave):
            break
        if isinstance(effect, Show):
            print(effect.text, flush=True)
        if isinstance(effect, Call):
            worst = max(worst, _call(session, effect))
    return worst


def _call(session: Session, call: Call) -> int:
    try:
        answer = session.call(call)
    except CallError as error:
        print(f'apiphant dev: {error}', file=sys.stderr)
        return CALL_FAILED
    session.settle()
    print(_one_line(answer), flush=True)
    return 0 if answer.status == 200 else CALL_FAILED


def _one_line(answer: Reply) -> str:
    """What we send is one line as it is; a raw response may be anything."""
    text = answer.body.decode('utf-8', 'replace').rstrip('\n')
    try:
        return json.dumps(json.loads(text), ensure_ascii=False) if '\n' in text else text
    except ValueError:
        return text
