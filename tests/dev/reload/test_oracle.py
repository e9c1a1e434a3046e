"""The oracle: after any edits that end in a good tree, each route answers as a fresh server on that tree does.

Hypothesis writes, breaks, moves, deletes and restores modules that import each other in every form, while one
`apiphant dev` serves them. At the end of each example what is broken is mended, and `apiphant PRODUCT` is asked
what the answers are.

The examples are the same each time. More of them, new ones each time:

    APIPHANT_ORACLE_EXAMPLES=500 .venv/bin/python -m pytest tests/test_oracle.py

Nothing is shrunk: what fails depends on timing.
"""
from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import resolve_name
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.kit.running import Server, clean_environment, production
from tests.kit.saves import SAVES
from tests.kit.shop import PID, Shop, handler, shop_with

pytestmark = pytest.mark.once

EXAMPLES = int(os.environ.get('APIPHANT_ORACLE_EXAMPLES', '0'))
PROFILE = settings(
    derandomize=not EXAMPLES, max_examples=EXAMPLES or 20, database=None, deadline=None, stateful_step_count=12,
    phases=[Phase.generate], print_blob=False, suppress_health_check=list(HealthCheck))
LATE = 30.0  # seconds in which the live answers should have become the fresh ones
KEPT = handler('pid')

# Each form of import: its lines in the module, its lines in a function, and whether it needs the name at import
# ('eager'), only that the module can be imported ('late'), takes it if it is there ('maybe'), or imports nothing at
# import ('never').
# {label} is unique, {name} the module, {parent} and {tail} its two parts.
FORMS = {
    'import': ('import {name}\nx_{label} = {name}.X', '', 'eager'),
    'import as': ('import {name} as i_{label}\nx_{label} = i_{label}.X', '', 'eager'),
    'import, used late': ('import {name}', 'x |= {name}.X', 'late'),
    'import as, used late': ('import {name} as m_{label}', '', 'late'),
    'from package': ('from {parent} import {tail} as i_{label}\nx_{label} = i_{label}.X', '', 'eager'),
    'from package, used late': ('from {parent} import {tail} as m_{label}', '', 'late'),
    'value': ('from {name} import X as x_{label}', '', 'eager'),
    'function': ('from {name} import f as f_{label}', '', 'eager'),
    'relative value': ('from {name} import X as x_{label}', '', 'eager'),
    'relative function': ('from {name} import f as f_{label}', '', 'eager'),
    'relative module': ('from {parent} import {tail} as m_{label}', '', 'late'),
    'star': ('from {name} import *', '', 'eager'),
    'relative star': ('from {name} import *', '', 'eager'),
    'fallback': (
        'try:\n    from {name} import X as x_{label}\nexcept ImportError:\n    x_{label} = {{"without {name}"}}',
        '', 'maybe'),
    'fallback to module': (
        'try:\n    import {name} as m_{label}\nexcept ImportError:\n    x_{label} = {{"without {name}"}}',
        '', 'maybe'),
    'types': ('if TYPE_CHECKING:\n    from {name} import X as x_{label}', '', 'never'),
    'dynamic': ('PART = {inner!r}\nx_{label} = import_module(f"shop{{PART}}").X', '', 'eager'),
    'lazy': (
        '',
        ('try:\n        from {name} import X as y\n'
         '    except ImportError:\n        y = {{"without {name}"}}\n    x |= y'),
        'never'),
    'lazy module': (
        '',
        'try:\n        import {name} as y\n    except ImportError:\n        return {{"without {name}"}}\n    x |= y.X',
        'never'),
    'lazy dynamic': (
        '', ('try:\n        x |= import_module("shop" + {inner!r}).X\n'
             '    except ImportError:\n        x.add("without {name}")'),
        'never'),
}
FAULTS = {
    'syntax': '{text}\ndef (:\n',
    'cut': '{half}',
    'empty': '',
    'raises first': 'raise RuntimeError\n{text}',
    'raises last': '{text}\nraise ValueError\n',
    'leaves': 'raise SystemExit\n{text}',
    'no import': '{text}\nraise ImportError\n',
    'missing module': 'import shop.nowhere\n{text}',
    'missing name': '{text}\nfrom shop import nothing\n',
}
MODULE = '''\
from importlib import import_module
from typing import TYPE_CHECKING
{top}

X = {{'{label}'}}.union(*(value for name, value in list(globals().items()) if name.startswith('x_')))


def f():
    x = set(X)
    for name, value in list(globals().items()):
        x |= value() if name.startswith('f_') else getattr(value, 'X', {{'no X'}}) if name.startswith('m_') else set()
    {inside}
    return x


def read(request):
    return {{'value': sorted(f())}}
'''
PACKAGES = ('', 'lib', 'api', 'api.v0')  # always folders
PLACES = (*PACKAGES, 'lib.a', 'lib.a.k', 'lib.b', 'lib.c', 'util', 'other.a', 'api.v0._h', 'api.v0.t', 'api.v0.u',
          'api.v0.n', 'api.v0.n.w', 'api.v1.t')
FOLDERS = ('lib', 'lib.a', 'lib.b', 'other', 'api.v0.n', 'api.v1', 'api.v2')
ROUTES = [f'/api/{target}/read' for target in ('v0/t', 'v0/u', 'v0/n', 'v0/n/w', 'v1/t', 'v1/w', 'v1', 'v2/t', 'v2/w',
                                               'v2/n', 'v1/a', 'v1/b', 'v2/a', 'v2/k')]
numbers = count(1)


@dataclass(frozen=True)
class Import:
    """A form and the module as the source names it: 'shop.lib.a', '..a', '.'."""
    form: str
    name: str

    def lines(self, place: int, label: str) -> str:
        parent, _, tail = self.name.rpartition('.')
        if self.name.startswith('.') and not parent.strip('.'):
            parent = self.name[:len(self.name) - len(tail)]
        return FORMS[self.form][place].format(name=self.name, parent=parent, tail=tail,
                                              inner=self.name.removeprefix('shop'), label=label)

    @property
    def need(self) -> str:
        return FORMS[self.form][2]


@dataclass(frozen=True)
class Source:
    """What a file holds. Its label tells each version of it from all others."""
    label: str
    imports: tuple[Import, ...] = ()
    fault: str = ''

    @property
    def text(self) -> str:
        top, inside = (
            [lines for number, item in enumerate(self.imports)
             if (lines := item.lines(place, f'{self.label}_{number}'))] for place in (0, 1))
        text = MODULE.format(label=self.label, top='\n'.join(top), inside='\n    '.join(inside))
        return FAULTS[self.fault].format(text=text, half=text[:len(text) // 2]) if self.fault else text


@dataclass(frozen=True)
class File:
    source: Source
    is_package: bool


def module(place: str) -> str:
    return f'shop.{place}' if place else 'shop'


def relative(place: str, package: str) -> str:
    """A module as it is named from within a package."""
    names, packages = module(place).split('.'), package.split('.')
    shared = next((number for number, (one, other) in enumerate(zip(names, packages, strict=False)) if one != other),
                  min(len(names), len(packages)))
    return '.' * (len(packages) + 1 - shared) + '.'.join(names[shared:])


def ancestors(name: str) -> list[str]:
    parts = name.split('.')
    return ['.'.join(parts[:size]) for size in range(1, len(parts))]


@dataclass
class Model:
    """The tree as it should be on disk, by place, and what of it cannot be imported."""
    files: dict[str, File] = field(default_factory=dict)

    def path(self, place: str) -> str:
        name = place.replace('.', '/')
        return f'{name}/__init__.py'.lstrip('/') if self.files[place].is_package else f'{name}.py'

    def package(self, place: str) -> str:
        return module(place) if self.files[place].is_package else module(place).rpartition('.')[0]

    def source(self, place: str, imports: list[tuple[str, str]], is_package: bool) -> Source:
        """A new version of what is at a place."""
        package = module(place) if is_package else module(place).rpartition('.')[0]
        label = f'{place.replace(".", "_") or "shop"}_{next(numbers)}'
        names = (Import(form, relative(name, package) if form.startswith('relative') else module(name))
                 for form, name in imports)
        return Source(label, tuple(item for item in names if is_writable(item)))

    def edges(self, place: str) -> Iterator[str]:
        """What is imported while this module is; the packages that it is in have been before."""
        mine = set(ancestors(module(place)))
        for item in self.files[place].source.imports:
            if item.need != 'never':
                name = self.resolved(place, item)
                yield name
                yield from (parent for parent in ancestors(name) if parent not in {*mine, module(place)})

    def resolved(self, place: str, item: Import) -> str:
        try:
            return resolve_name(item.name, self.package(place))
        except ImportError:  # beyond the top
            return 'nowhere'

    def bad_import(self) -> tuple[str, Import] | None:
        """An import that fails, or that depends on which module comes first."""
        modules = {module(place): place for place, file in self.files.items() if self.is_reachable(place)}
        for place in sorted(self.files):
            for item in self.files[place].source.imports:
                name = self.resolved(place, item)
                if name not in modules and item.need in ('eager', 'late'):
                    return place, item
                wanted = [name, *ancestors(name)[1:]] if item.form == 'import' else [name]
                if item.need in ('eager', 'maybe') and any(self.is_cycle(each, place, modules) for each in wanted):
                    return place, item
        return None

    def is_cycle(self, start: str, end: str, modules: dict[str, str]) -> bool:
        found, pending = set(), [start]
        while pending:
            name = pending.pop()
            if name == module(end):
                return True
            if name in modules and name not in found:
                found.add(name)
                pending += self.edges(modules[name])
        return False

    def is_reachable(self, place: str) -> bool:
        return all(self.files[above].is_package for above in ('', *ancestors(place)) if above in self.files
                   and above != place)

    def below(self, folder: str) -> list[str]:
        return [place for place, file in self.files.items() if place.startswith(folder + '.')
                or (place == folder and file.is_package)]


def is_writable(item: Import) -> bool:
    """`from .. import` needs something to name, and so does `from parent import tail`."""
    needs_tail = '{tail}' in FORMS[item.form][0]
    return not needs_tail or (item.name != 'shop' and not item.name.endswith('.'))


places = st.sampled_from(PLACES)
folders = st.sampled_from(FOLDERS)
saves = st.sampled_from(list(SAVES))
some_imports = st.lists(st.tuples(st.sampled_from(list(FORMS)), places), max_size=3)
trees = st.dictionaries(places, st.tuples(some_imports, st.booleans()), min_size=2, max_size=12)


class Oracle(RuleBasedStateMachine):
    """One example: edits, then a comparison."""
    shared: Shared

    def __init__(self) -> None:
        super().__init__()
        self.shop = self.shared.shop()
        self.model = Model()
        self.before: dict[str, File] = {}
        self.mends_by_adding = False

    @initialize(tree=trees, adds=st.booleans())
    def begin(self, tree, adds):
        self.mends_by_adding = adds
        for place, (imports, is_package) in tree.items():
            self.put(place, imports, is_package, 'in_place')
        self.mend()
        self.shop.fence()

    @rule(place=places, imports=some_imports, is_package=st.booleans(), save=saves)
    def write(self, place, imports, is_package, save):
        kept = self.model.files.get(place)
        self.put(place, imports, kept.is_package if kept else is_package, save)

    @rule(place=places, save=saves)
    def edit(self, place, save):
        if place in self.model.files:
            file = self.model.files[place]
            label = f'{file.source.label.rpartition("_")[0]}_{next(numbers)}'
            self.save(place, replace(file, source=replace(file.source, label=label)), save)

    @rule(place=places, fault=st.sampled_from(list(FAULTS)), save=saves)
    def damage(self, place, fault, save):
        if place in self.model.files:
            file = self.model.files[place]
            self.save(place, replace(file, source=replace(file.source, fault=fault)), save)

    @rule(place=places, save=saves)
    def mend_one(self, place, save):
        if place in self.model.files and self.model.files[place].source.fault:
            self.mend_file(place, save)

    @rule(place=places, save=saves)
    def undo(self, place, save):
        file = self.before.get(place)
        if file and self.can_hold(place, file):
            self.save(place, file, save)

    @rule(place=places)
    def delete(self, place):
        if place in self.model.files:
            (self.shop.folder / self.model.path(place)).unlink()
            self.before[place] = self.model.files.pop(place)

    @rule(folder=folders)
    def delete_folder(self, folder):
        if (self.shop.folder / on_disk(folder)).is_dir():
            shutil.rmtree(self.shop.folder / on_disk(folder))
            self.before.update((place, self.model.files.pop(place)) for place in self.model.below(folder))

    @rule(old=places, new=places)
    def rename(self, old, new):
        files = self.model.files
        if old in files and self.can_hold(new, files[old]):
            source = self.shop.folder / self.model.path(old)
            files[new] = files.pop(old)
            target = self.shop.folder / self.model.path(new)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)

    @rule(old=folders, new=folders)
    def rename_folder(self, old, new):
        source, target = (self.shop.folder / on_disk(folder) for folder in (old, new))
        if source.is_dir() and not target.exists() and new not in self.model.files and not new.startswith(old + '.'):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            for place in self.model.below(old):
                self.model.files[new + place[len(old):]] = self.model.files.pop(place)

    @rule(place=st.sampled_from(sorted(set(PLACES) - set(PACKAGES))), is_old_first=st.booleans(), save=saves)
    def turn(self, place, is_old_first, save):
        """A module becomes a package, or a package a module."""
        if place in self.model.files:
            old, file = self.shop.folder / self.model.path(place), self.model.files[place]
            if is_old_first:
                old.unlink()
            self.save(place, File(file.source, not file.is_package), save)
            old.unlink(missing_ok=True)

    @rule(seconds=st.sampled_from((0.004, 0.02, 0.06, 0.15)))
    def pause(self, seconds):
        time.sleep(seconds)

    @rule()
    def call(self):
        """Lazy imports are made, whatever comes of them."""
        answers(self.shop.server)

    def can_hold(self, place: str, file: File) -> bool:
        return self.model.files.get(place, file).is_package == file.is_package >= (place in PACKAGES)

    def put(self, place: str, imports: list[tuple[str, str]], is_package: bool, save: str) -> None:
        is_package = is_package or place in PACKAGES
        self.save(place, File(self.model.source(place, imports, is_package), is_package), save)

    def save(self, place: str, file: File, save: str) -> None:
        if place in self.model.files:
            self.before[place] = self.model.files[place]
        self.model.files[place] = file
        self.shop.save(self.model.path(place), file.source.text, SAVES[save])

    def mend(self, save: str = 'outside') -> None:
        for place, file in list(self.model.files.items()):
            if file.source.fault:
                self.mend_file(place, save)
        while found := self.model.bad_import():
            place, item = found
            missing = self.model.resolved(place, item).removeprefix('shop').removeprefix('.')
            if self.mends_by_adding and missing not in self.model.files and self.model.is_reachable(missing):
                self.put(missing, [], False, save)
            else:
                file = self.model.files[place]
                rest = tuple(other for other in file.source.imports if other is not item)
                self.save(place, replace(file, source=Source(f'{file.source.label}_less', rest)), save)

    def mend_file(self, place: str, save: str) -> None:
        file = self.model.files[place]
        self.save(place, replace(file, source=replace(file.source, fault='')), save)

    def teardown(self):
        """The comparison; a server that failed is not used again."""
        try:
            self.mend()
            self.shop.settle()
            self.compare()
            self.shared.clean()
        except BaseException:
            self.shared.leave()
            raise

    def compare(self) -> None:
        with production(self.shop.folder, env=clean_environment(PYTHONDONTWRITEBYTECODE='1')) as server:
            fresh = answers(server)
        end = time.monotonic() + LATE
        while (live := answers(self.shop.server)) != fresh and time.monotonic() < end:
            time.sleep(0.05)
        different = {route: f'{live[route]} instead of {fresh[route]}' for route in ROUTES
                     if live[route] != fresh[route]}
        assert not different, '\n'.join([*(f'{route}: {words}' for route, words in different.items()),
                                         *self.shop.server.lines[-40:]])


class Shared:
    """The server of all examples, started anew after a failure."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._shop: Shop | None = None

    def shop(self) -> Shop:
        if not self._shop:
            folder = Path(self._stack.enter_context(TemporaryDirectory(prefix='apiphant-oracle-')))
            self._shop = self._stack.enter_context(shop_with(folder, {KEPT: PID}))
            self._shop.answer('pid')  # so what follows is a change, and not what is found at the start
            self.clean()
        return self._shop

    def clean(self) -> None:
        """Nothing but the target `pid`."""
        for path in self._shop.folder.iterdir():
            if path.name != 'api':
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in (self._shop.folder / 'api').rglob('*'):
            if path.is_file() and path != self._shop.folder / KEPT:
                path.unlink()
        for path in sorted((self._shop.folder / 'api').rglob('*'), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        self._shop.settle()

    def leave(self) -> None:
        self._shop = None
        self._stack.close()


def on_disk(place: str) -> str:
    return place.replace('.', '/')


def answers(server: Server) -> dict[str, tuple[int, object]]:
    found = {route: server.post(route) for route in ROUTES}
    return {route: (status, content if status == 200 else '') for route, (status, content) in found.items()}


@pytest.mark.timeout(0 if EXAMPLES else 120)
def test_oracle():
    Oracle.shared = Shared()
    try:
        run_state_machine_as_test(Oracle, settings=PROFILE)
    finally:
        Oracle.shared.leave()
