"""Edits of a medium product, drawn by a seed, under clients: each is compared with a fresh start of the same tree.

    .venv/bin/python tests/bench/edits.py [--seeds 10] [--first 1] [--edits 150] [--clients 4]

Even seeds have models of SQLAlchemy, odd ones of peewee. Prints a line for each divergence and each failed call that
the tree on disk does not explain, and a table: edits, divergences, failed calls, and the ms from a save to the right
answers of all targets, for swaps and for fresh processes.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench import medium
from tests.bench.medium import Source
from tests.kit.running import Server, clean_environment, dev, write_tree
from tests.kit.saves import SAVES

BOUND = 10.0  # seconds from a save to the right answers, from which on it is a divergence
BROKEN_BOUND = 1.0  # seconds in which what is broken is seen
REST = 0.25  # seconds for which a right answer is to stay right
BREAKS = 0.15  # of all edits
REVERTS = 0.06
COMMITS = 0.15
LOOKS = 0.002  # seconds between two looks at the answers that are to change
PAUSE = 0.03  # seconds between two calls of a client
MISSING = 'status 404'
BROKEN = 'broken'

ORACLE = '''
import importlib, json, os, sys
import apiphant.background, apiphant.server, jinja2, msgspec, peewee, sqlalchemy.orm, tomllib

def answer(module):
    try:
        found = importlib.import_module(module)
    except BaseException:
        return 'broken'
    try:
        return found.read({})
    except Exception:
        return 'status 500'

for line in sys.stdin:
    if not os.fork():
        folder, targets = json.loads(line)
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        answers = {target: answer(f'shop.api.v0.{target}') for target in targets}
        print(json.dumps(answers), flush=True)
        os._exit(0)
    os.wait()
'''


class Oracle:
    """What a fresh start of a tree answers: a process that has imported the packages, not the product, forks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, '-c', ORACLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=clean_environment())

    def answers(self, source: Source) -> dict[str, Any]:
        """By target; of one that cannot be imported, BROKEN."""
        assert self._process.stdin and self._process.stdout
        sync(self._folder / 'shop', source.files)
        self._process.stdin.write(json.dumps([str(self._folder), source.targets]) + '\n')
        self._process.stdin.flush()
        answers: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def sync(folder: Path, files: dict[str, str]) -> None:
    """Have these files there and no others."""
    for path in [path for path in folder.rglob('*') if path.is_file()]:
        if str(path.relative_to(folder)) not in files:
            path.unlink()
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            write_tree(folder, {name: text})


def differing(folder: Path, files: dict[str, str]) -> list[str]:
    """Files that are not as they should be."""
    paths = [path for path in folder.rglob('*') if path.is_file() and '__pycache__' not in path.parts]
    found = {str(path.relative_to(folder)): path.read_text() for path in paths}
    return [name for name in found.keys() | files.keys() if found.get(name) != files.get(name)]


class Caller:
    """Calls over one connection, made anew when the server closes it."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection('127.0.0.1', port, timeout=60)

    def answer(self, target: str) -> Any:
        """The JSON that it answers with, or 'status 404', or what went wrong."""
        try:
            status, content = self._ask(target)
        except (OSError, HTTPException) as error:
            self._connection.close()
            return repr(error)
        return json.loads(content) if status == 200 else f'status {status}'

    def _ask(self, target: str) -> tuple[int, bytes]:
        headers = {'Content-Type': 'application/json'}
        self._connection.request('POST', f'/api/v0/{target}/read', b'{}', headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True)
class Failure:
    began: float
    ended: float
    target: str
    answer: str


class Client:
    """Calls all the time from a thread. Every other call is on a new connection."""

    def __init__(self, port: int, seed: int, source: Source) -> None:
        self.failures: list[Failure] = []
        self.count = 0
        self.targets = source.targets
        self._port = port
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        caller = Caller(self._port)
        while not self._stopped.wait(PAUSE):
            self._call(caller, self._random.choice(self.targets))
            if self._random.random() < 0.5:
                caller.close()
        caller.close()

    def _call(self, caller: Caller, target: str) -> None:
        began = time.monotonic()
        answer = caller.answer(target)
        self.count += 1
        if isinstance(answer, str):
            self.failures.append(Failure(began, time.monotonic(), target, answer))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()


@dataclass
class Figures:
    """Of one seed."""
    seed: int
    edits: int = 0
    broken: int = 0
    divergences: int = 0
    failed: int = 0
    explained: int = 0
    calls: int = 0
    swaps: list[float] = field(default_factory=list)  # ms
    restarts: list[float] = field(default_factory=list)

    def row(self) -> str:
        numbers = (self.edits, self.broken, self.divergences, self.calls, self.failed, self.explained)
        return f'{self.seed:>5}' + ''.join(f'{number:>9}' for number in numbers) + _times(self.swaps, self.restarts)


HEAD = f'{"seed":>5}' + ''.join(f'{word:>9}' for word in (
    'edits', 'broken', 'diverge', 'calls', 'failed', 'expl.', 'swaps', 'median', 'p90', 'max', 'restarts', 'median',
    'p90', 'max'))


def _times(*kinds: list[float]) -> str:
    text = ''
    for times in kinds:
        found = (median(times), quantiles(times, n=10, method='inclusive')[-1], max(times)) if len(times) > 1 else ()
        text += f'{len(times):>9}' + ''.join(f'{value:>9.0f}' for value in found or (float('nan'),) * 3)
    return text


@dataclass
class Step:
    """An edit: when it was saved and had its right answers, and what a fresh start answers before and after it."""
    what: str
    before: dict[str, Any]
    after: dict[str, Any]
    saved: float = 0.0
    ended: float = 0.0

    def explains(self, failure: Failure) -> bool:
        """What a fresh start does not answer either, at the time."""
        return failure.ended >= self.saved and any(
            isinstance(answers.get(failure.target, MISSING), str) for answers in (self.before, self.after))


class Run:
    """One seed: a product, its server, the clients and the edits."""

    def __init__(self, seed: int, folder: Path, oracle: Oracle) -> None:
        self.figures = Figures(seed)
        self.folder = folder
        self.source = Source('peewee' if seed % 2 else 'sqlalchemy')
        self._random = random.Random(seed)
        self._oracle = oracle
        self._commits: list[tuple[str, Source]] = []
        self._steps: list[Step] = []
        sync(folder, self.source.files)
        self._git('init', '-q')
        self._git('config', 'user.email', 'a@b')
        self._git('config', 'user.name', 'a')
        (folder.parent / '.gitignore').write_text('.outside\n__pycache__\n')
        self._commit(self.source)
        self._expected = oracle.answers(self.source)

    # Edits

    def _git(self, *words: str) -> str:
        done = subprocess.run(['git', *words], cwd=self.folder.parent, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def _commit(self, source: Source) -> None:
        self._git('add', '-A')
        self._git('commit', '-q', '--allow-empty', '-m', 'x')
        self._commits.append((self._git('rev-parse', 'HEAD'), source.copy()))

    def _draw(self) -> tuple[str, Source, str]:
        """What is done, what comes of it, and the commit to check out, '' for saves."""
        chance = self._random.random()
        if not self.source.broken and chance < REVERTS:
            commit, source = self._random.choice(self._commits[-4:])
            return f'git checkout {commit[:7]}', source.copy(), commit
        while True:
            source = self.source.copy()
            if source.broken:
                edit = medium.mend if self._random.random() < 0.7 else self._random.choice(medium.EDITS)
            else:
                edit = medium.break_file if chance < REVERTS + BREAKS else self._random.choice(medium.EDITS)
            if what := edit(source, self._random):
                return what, source, ''

    def _apply(self, source: Source, commit: str) -> None:
        if commit:
            self._git('add', '-A')  # what is not known to git stays else
            self._git('checkout', '-qf', commit)
            return
        self._save(self.source.files, source.files)
        if not source.broken and self._random.random() < COMMITS:
            self._commit(source)

    def _save(self, old: dict[str, str], new: dict[str, str]) -> None:
        name = self._random.choice(list(SAVES))
        for path in [path for path in new if new[path] != old.get(path)]:
            (self.folder / path).parent.mkdir(exist_ok=True)
            SAVES[name](self.folder / path, new[path])
        for path in old.keys() - new.keys():
            (self.folder / path).unlink()

    # Compare

    def play(self, edits: int, clients: int) -> None:
        """With a server anew after each divergence, so that each is counted once."""
        while self.figures.edits < edits:
            with dev(self.folder) as server, ExitStack() as stack:
                callers = [stack.enter_context(Client(server.port, number, self.source)) for number in range(clients)]
                caller = Caller(server.port)
                stack.callback(caller.close)
                self._play(server, caller, callers, edits)

    def _play(self, server: Server, caller: Caller, callers: list[Client], edits: int) -> None:
        found = self.figures.divergences
        start = Step('start', {}, self._expected)
        self._steps.append(start)
        wait_until_right(caller, start, list(start.after), time.monotonic() + BOUND)
        while self.figures.edits < edits and self.figures.divergences == found:
            self._step(server, caller, callers)

    def _step(self, server: Server, caller: Caller, callers: list[Client]) -> None:
        what, source, commit = self._draw()
        step = Step(what, self._expected, self._oracle.answers(source))
        since = len(server.lines)
        for client in callers:
            client.targets = [target for target in source.targets if target in self.source.targets]
        step.saved = time.monotonic()
        self._apply(source, commit)
        assert not differing(self.folder, source.files), (what, differing(self.folder, source.files))
        self.source, self._expected = source, step.after
        self._settle(server, caller, step, since)
        for client in callers:
            client.targets = source.targets
        self._report_failures(callers, server, since)

    def _settle(self, server: Server, caller: Caller, step: Step, since: int) -> None:
        self._steps.append(step)
        bound = time.monotonic() + (BROKEN_BOUND if BROKEN in step.after.values() else BOUND)
        began = time.monotonic()
        changed = [target for target, answer in step.after.items() if step.before.get(target) != answer]
        wrong, milliseconds = wait_until_right(caller, step, changed, bound), (time.monotonic() - began) * 1000
        if not wrong and wrongly(caller, step, list(step.after)):  # what was owed while something was broken, perhaps
            wait_until_right(caller, step, list(step.after), bound)
            milliseconds = (time.monotonic() - began) * 1000
        time.sleep(REST)
        wrong = wrongly(caller, step, list(step.after))
        if wrong:
            time.sleep(REST * 4)
            wrong = wrongly(caller, step, wrong)
        step.ended = time.monotonic()
        self._note(server, step, since, milliseconds, {target: caller.answer(target) for target in wrong})

    def _note(self, server: Server, step: Step, since: int, milliseconds: float, wrong: dict[str, Any]) -> None:
        figures, lines = self.figures, told(server, since)
        figures.edits += 1
        figures.broken += bool(self.source.broken)
        if wrong:
            figures.divergences += 1
            print(f'seed {figures.seed} edit {figures.edits}: {step.what}: DIVERGES')
            for target, answer in wrong.items():
                print(f'    {target} answers {answer}, fresh {step.after[target]}, before {step.before.get(target)}')
            print(*lines, sep='\n', flush=True)
        elif BROKEN not in step.after.values() and step.before != step.after:
            is_restart = any('Restarted in' in line for line in lines)
            (figures.restarts if is_restart else figures.swaps).append(milliseconds)
            if os.environ.get('VERBOSE') or milliseconds > 500:
                print(f'    {milliseconds:6.0f} ms, {step.what}: {" | ".join(lines)[:1500]}', flush=True)

    def _report_failures(self, callers: list[Client], server: Server, since: int) -> None:
        for client in callers:
            failures, client.failures = client.failures, []
            self.figures.calls += client.count
            client.count = 0
            for failure in failures:
                self._judge(failure, server, since)

    def _judge(self, failure: Failure, server: Server, since: int) -> None:
        if any(step.explains(failure) for step in self._steps[-2:]):
            self.figures.explained += 1
            return
        self.figures.failed += 1
        step = self._steps[-1]
        after = (failure.ended - step.saved) * 1000
        print(f'seed {self.figures.seed} edit {self.figures.edits}: {step.what}: FAILED {failure.target} '
              f'{failure.answer}, {after:.0f} ms after the save')
        print(*told(server, since), sep='\n', flush=True)


def told(server: Server, since: int) -> list[str]:
    """The log, less the lines of calls."""
    lines = [line for line in server.lines[since:] if ' POST ' not in line and 'calls more in the last' not in line]
    return ['    | ' + line for line in lines[-30:]]


def wait_until_right(caller: Caller, step: Step, targets: list[str], end: float) -> list[str]:
    """Those that are not by then."""
    wrong = targets
    while wrong and time.monotonic() < end:
        wrong = wrongly(caller, step, wrong)
        time.sleep(LOOKS)
    return wrong


def wrongly(caller: Caller, step: Step, targets: list[str]) -> list[str]:
    """Those that do not answer as a fresh start does; what is broken there may go on as it was."""
    return [target for target in targets if not is_right(caller.answer(target), step, target)]


def is_right(answer: Any, step: Step, target: str) -> bool:
    expected = step.after[target]
    if expected == BROKEN:
        return step.before.get(target) in (None, BROKEN) or answer != 'status 404'
    return bool(answer == expected) or (BROKEN in step.after.values() and answer == step.before.get(target))


@contextmanager
def made(seed: int) -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other, Oracle(Path(other)) as oracle:
        folder = Path(name) / 'repository/shop'
        folder.mkdir(parents=True)
        yield Run(seed, folder, oracle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (('seeds', 10), ('first', 1), ('edits', 150), ('clients', 4)):
        parser.add_argument(f'--{name}', type=int, default=value)
    given = parser.parse_args()
    rows = []
    for seed in range(given.first, given.first + given.seeds):
        with made(seed) as run:
            run.play(given.edits, given.clients)
            rows.append(run.figures)
            print(HEAD, run.figures.row(), sep='\n', flush=True)
    print('', HEAD, *(figures.row() for figures in rows), sep='\n')


if __name__ == '__main__':
    main()
