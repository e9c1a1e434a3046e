"""Importing the product's modules in the app process: from source, never from .pyc, keeping what was attempted.

Knows nothing of when or why: `reload` decides what is imported again.
"""
from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader as LoaderBase
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import decode_source, spec_from_file_location
from types import CodeType, ModuleType
from typing import Any

from ...api.around import check_package
from ...modules import is_a
from .attempts import Attempts, Parsed
from .decision import Change
from .files import digest_of
from .graph import importers, imports_of, patches_of
from .registries import Registries
from .side_effects import SideEffects, note_change, note_import, observed


class Finder(MetaPathFinder):
    """Finds modules of the package `name` in `folder`."""

    def __init__(self, name: str, folder: str, attempts: Attempts, discard: Callable[[ModuleType], None]) -> None:
        self.name = name
        self.folder = folder
        self.attempts = attempts
        self.registries = Registries(name)
        self.is_serving = False
        self.discard = discard  # told of a module whose import failed
        self._kept: Mapping[str, Any] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self.name and not fullname.startswith(self.name + '.'):
            return None
        note_import(fullname)
        if failure := self.attempts.failure(fullname):
            raise failure
        if fullname in self._kept:
            return ModuleSpec(fullname, Keeper(fullname, self._kept[fullname]))
        folders: Sequence[str] = [os.path.dirname(self.folder)] if path is None else path
        specs = (self._spec(fullname, folder) for folder in folders if is_a(folder, str))
        return next(filter(None, specs), None)

    def _spec(self, name: str, folder: str) -> ModuleSpec | None:
        base = os.path.join(folder, name.rpartition('.')[2])
        package = os.path.join(base, '__init__.py')
        module = base + '.py'
        if os.path.isfile(package):
            loader = Loader(name, package, self)
            return spec_from_file_location(name, package, loader=loader, submodule_search_locations=[base])
        if os.path.isfile(module):
            return spec_from_file_location(name, module, loader=Loader(name, module, self))
        if os.path.isdir(base):
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [base]
            return spec
        return None

    @contextmanager
    def staging(self, kept: Mapping[str, Any]) -> Iterator[None]:
        """Meanwhile a module that failed to import fails again with the same error, and is not executed again.

        Modules in `kept` are found as they are, once the packages that they are in have been imported anew.
        """
        self._kept = kept
        try:
            with self.attempts.staging():
                yield
        finally:
            self._kept = {}


class Loader(SourceFileLoader):
    """Compiles the source as it is now, and tells the finder."""

    def __init__(self, name: str, path: str, finder: Finder) -> None:
        super().__init__(name, path)
        self._finder = finder

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        attempts = self._finder.attempts
        known = attempts.begin(fullname, digest_of(source))
        parsed = known or self._parse(fullname, source)
        attempts.parsed(fullname, parsed)
        return parsed.code.replace()  # a copy, since by their code generations are told apart

    def _parse(self, name: str, source: bytes) -> Parsed:
        tree: Any = compile(source, self.path, 'exec', ast.PyCF_ONLY_AST, dont_inherit=True)
        imports = imports_of(tree, name, self.is_package(name), self._finder.name)
        self._finder.attempts.imports_are(name, imports)
        code: CodeType = compile(tree, self.path, 'exec', dont_inherit=True)
        _remember_lines(self.path, source)
        return Parsed(code, imports, patches_of(tree, self._finder.name))

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        effects = SideEffects()
        attempts, registries = self._finder.attempts, self._finder.registries
        try:
            with observed(effects):
                code = self.get_code(name)
                if self._finder.is_serving:
                    registries.changes(attempts.imported_by(name))  # what calls have changed is not this import's
                path = list(sys.path)
                exec(code, vars(module))
                if path != sys.path:
                    effects.lasting.add('changes sys.path')
                    note_change()
                check_package(name, module)
        except BaseException as error:
            attempts.fail(name, error)
            self._finder.discard(module)
            raise
        finally:
            attempts.note(name, effects, self._changes(name))
            registries.look_at(name)

    def _changes(self, name: str) -> frozenset[Change]:
        """In what it imports, and in what else imports that: who registers may change what had registered before."""
        attempts, registries = self._finder.attempts, self._finder.registries
        changes = registries.changes(attempts.imported_by(name))
        others = importers((change.module for change in changes), attempts.imports) if changes else set()
        return changes | registries.changes(others - {name})


class Keeper(LoaderBase):
    """'Imports' a module that is there already: it takes the place of the new one, and nothing is set in it."""

    def __init__(self, name: str, module: Any) -> None:
        self._name = name
        self._module = module

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[self._name] = self._module


def _remember_lines(path: str, source: bytes) -> None:
    """Tracebacks show the source that runs; linecache by itself trusts size and time of the file."""
    lines = decode_source(source).splitlines(keepends=True)
    linecache.cache[path] = (len(source), None, lines, path)
