"""DESIGN.md: arrows only point down, and what only the dev console needs is imported in one module each."""
import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / 'apiphant'
LAYERS = [
    ['cli', 'dev.__main__'],
    ['dev.app_process', 'dev.session', 'dev.console', 'dev.script', 'dev.prompt'],
    ['dev.reload', 'dev.supervise', 'dev.watch', 'dev.highlight', 'dev.completion', 'dev.client', 'dev.stage', 'dev.loader', 'dev.graph', 'dev.tree', 'dev.control', 'dev.client', 'dev.command',
     'dev.plan', 'dev.report', 'dev.unload', 'dev.observe', 'dev.greenlets', 'dev.fixed',
     'dev.debug', 'dev.evaluate', 'dev.calls', 'dev.routes', 'dev.record', 'dev.pipeline', 'dev.request_text', 'dev.bad_text', 'dev.reply_path', 'dev.request_tree', 'dev.reply', 'dev.effect', 'dev.signals', 'dev.table', 'dev.failure'],
    ['cluster', 'cluster_alarm', 'cluster_app', 'cluster_beat', 'cluster_failures', 'cluster_lock', 'cluster_watch', 'cluster_worker'],
    ['check', 'scaffold'],
    ['server', 'background', 'describe'],
    ['arbiter'],
    ['worker'],
    ['acceptor'],
    ['tls'],
    ['connection'],
    ['wsgi', 'runner', 'access'],
    ['app', 'http1'],
    ['routing', 'test', 'address', 'options', 'takeover'],
    ['scheduler'],
    ['state', 'tasks', 'engine', 'masking', 'pulse'],
    ['product', 'schedule', 'alarm', 'template'],
    ['validation', 'request', 'logs', 'reload', 'names', 'origin'],
    ['', 'dev'],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules():
    for path in sorted(ROOT.rglob('*.py')):
        yield '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('__init__').rstrip('.'), path


def imports(name, path):
    """Absolute names of what a module imports, anywhere in it."""
    package = ['apiphant', *name.split('.')[:-1]] if path.name != '__init__.py' else ['apiphant', *filter(None, [name])]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join([*package[:len(package) + 1 - node.level], *filter(None, [node.module])]) if node.level else node.module
            yield base
            yield from (f'{base}.{alias.name}' for alias in node.names)


def ours(name, path):
    found = {imported.removeprefix('apiphant.') for imported in imports(name, path) if imported.startswith('apiphant.')}
    return found & LEVEL.keys() - {name, 'dev'}


@pytest.mark.parametrize(('name', 'path'), list(modules()), ids=lambda value: str(value) if isinstance(value, str) else '')
def test_arrows_point_down(name, path):
    assert name in LEVEL, 'a new module needs its layer'
    within = {name for name in LEVEL if name.startswith('cluster')} | {'dev.reload', 'dev.console', 'dev.script', 'dev.supervise', 'dev.highlight', 'dev.completion', 'dev.client', 'dev.stage', 'dev.loader', 'dev.plan', 'dev.report', 'dev.observe', 'dev.fixed', 'dev.debug', 'dev.calls', 'dev.command', 'dev.pipeline',
              'dev.request_text', 'dev.reply_path', 'dev.request_tree', 'dev.failure'}
    for imported in ours(name, path):
        assert LEVEL[imported] > LEVEL[name] or (name in within and LEVEL[imported] == LEVEL[name]), f'{name} imports {imported}'


def test_no_cycles():
    graph = {name: ours(name, path) for name, path in modules()}

    def visit(name, above):
        assert name not in above, f'cycle: {[*above, name]}'
        for imported in graph[name]:
            visit(imported, [*above, name])
    for name in graph:
        visit(name, [])


@pytest.mark.parametrize(('library', 'home'), [('prompt_toolkit', 'dev.prompt'), ('pygments', 'dev.highlight'), ('watchdog', 'dev.watch')])
def test_one_module_each(library, home):
    assert [name for name, path in modules() if any(imported.split('.')[0] == library for imported in imports(name, path))] == [home]


def test_production_without_dev():
    for name, path in modules():
        if not name.startswith('dev'):
            assert not any(imported.startswith('apiphant.dev') for imported in imports(name, path))
