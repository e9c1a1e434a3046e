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
from dataclasses import replace
from importlib.abc import Loader as LoaderBase
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import decode_source, spec_from_file_location
from types import CodeType, ModuleType
from typing import Any

from ...api.around import check_package
from ...modules import is_a
from ...tracebacks import format_error
from .attempts import Attempt, Parsed
from .files import digest_of
from .graph import imports_of, patches_of
from .side_effects import Doings, observed


class Finder(MetaPathFinder):
    """Finds modules of the package `name` in `folder`."""

    def __init__(self, name: str, folder: str, discard: Callable[[ModuleType], None]) -> None:
        self.name = name
        self.folder = folder
        self.discard = discard  # told of a module whose import failed
        self.attempts: dict[str, Attempt] = {}
        self.executed: list[str] = []
        self._failed: dict[str, BaseException] | None = None
        self._kept: Mapping[str, Any] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self.name and not fullname.startswith(self.name + '.'):
            return None
        if self._failed and fullname in self._failed:
            raise self._failed[fullname]
        if fullname in self._kept:
            return ModuleSpec(fullname, Keeper(fullname, self._kept[fullname]))
        folders = [os.path.dirname(self.folder)] if path is None else [folder for folder in path if is_a(folder, str)]
        return next(filter(None, (self._spec(fullname, folder) for folder in folders)), None)

    def _spec(self, name: str, folder: str) -> ModuleSpec | None:
        base = os.path.join(folder, name.rpartition('.')[2])
        package = os.path.join(base, '__init__.py')
        if os.path.isfile(package):
            return spec_from_file_location(name, package, loader=Loader(name, package, self), submodule_search_locations=[base])
        if os.path.isfile(base + '.py'):
            return spec_from_file_location(name, base + '.py', loader=Loader(name, base + '.py', self))
        if os.path.isdir(base):
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [base]
            return spec
        return None

    @contextmanager
    def staging(self, kept: Mapping[str, Any]) -> Iterator[None]:
        """Meanwhile a module that failed to import fails again with the same error, without being executed for each importer.

        Modules in `kept` are found as they are, once the packages that they are in have been imported anew.
        """
        self._failed, self._kept = {}, kept
        try:
            yield
        finally:
            self._failed, self._kept = None, {}

    def fail(self, name: str, error: BaseException) -> None:
        """Note that an import failed, with a report the first time that this error is seen."""
        causes = frozenset(other for other, attempt in self.attempts.items() if attempt.error is error)
        attempt = self.attempts.get(name, Attempt(''))
        if self._failed is not None:
            self._failed[name] = error
        self.attempts[name] = replace(attempt, imports=attempt.imports | causes, error=error, report='' if causes else format_error(error))

    def note(self, name: str, doings: Doings) -> None:
        """Note what came of executing a module, besides what it defines."""
        attempt = self.attempts[name]
        imports = {imported for imported in doings.imports if imported.startswith(self.name + '.')}
        self.attempts[name] = replace(attempt, imports=attempt.imports | imports, reads=doings.reads, left=frozenset(doings.left),
                                      grown=frozenset(doings.grown), held=doings.held)
        self.executed.append(name)


class Loader(SourceFileLoader):
    """Compiles the source as it is now, and tells the finder."""

    def __init__(self, name: str, path: str, finder: Finder) -> None:
        super().__init__(name, path)
        self._finder = finder

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        before, digest = self._finder.attempts.get(fullname), digest_of(source)
        known = before.parsed if before and before.digest == digest else None
        self._finder.attempts[fullname] = Attempt(digest, before.imports if before else frozenset())  # the best guess while it has no syntax
        parsed = known or self._parse(fullname, source)
        self._finder.attempts[fullname] = Attempt(digest, parsed.imports, parsed)
        return parsed.code.replace()  # a copy, since by their code generations are told apart

    def _parse(self, name: str, source: bytes) -> Parsed:
        tree: Any = compile(source, self.path, 'exec', ast.PyCF_ONLY_AST, dont_inherit=True)
        imports = imports_of(tree, name, self.is_package(name), self._finder.name)
        self._finder.attempts[name] = replace(self._finder.attempts[name], imports=imports)
        code: CodeType = compile(tree, self.path, 'exec', dont_inherit=True)
        _remember_lines(self.path, source)
        return Parsed(code, imports, patches_of(tree, self._finder.name))

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        doings = Doings()
        try:
            with observed(doings):
                code = self.get_code(name)
                with doings.growth(self._finder.attempts[name].imports):
                    exec(code, vars(module))
                check_package(name, module)
        except BaseException as error:
            self._finder.fail(name, error)
            self._finder.discard(module)
            raise
        finally:
            self._finder.note(name, doings)


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
