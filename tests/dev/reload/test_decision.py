"""Swap or a fresh process, without files: letters for modules."""
import errno

import pytest

from apiphant.dev.reload.decision import Change, Decision, Effects, decide, is_certain, is_in_use, widened

IMPORTS = {'handler': {'plugin', 'registry'}, 'plugin': {'registry'}, 'other': {'registry'}, 'alone': set(),
           'registry': set()}
OWN = Effects(frozenset({Change('registry', 'HOOKS')}))
FOREIGN = Effects(frozenset({Change('registry', 'Base', is_foreign=True)}))
ENVIRONMENT = Effects(lasting=frozenset({'changes the environment'}))


def test_swap_where_nothing_else_is_known():
    assert decide({'handler'}, IMPORTS, {}, {}) == Decision(frozenset({'handler'}))
    assert decide({'handler'}, IMPORTS, {}, {}).is_swap


def test_wider_by_what_it_registered_in():
    """The registry is made anew, and so is whoever imports it."""
    assert widened({'plugin', 'handler'}, IMPORTS, {'plugin': OWN}) == {'plugin', 'handler', 'registry', 'other'}
    assert decide({'plugin'}, IMPORTS, {'plugin': OWN}, {}).is_swap


def test_wider_by_wider():
    effects = {'a': Effects(frozenset({Change('b', 'X')})), 'b': Effects(frozenset({Change('c', 'X')}))}
    assert widened({'a'}, {'a': {'b'}, 'b': {'c'}, 'd': {'c'}}, effects) == {'a', 'b', 'c', 'd'}


@pytest.mark.parametrize(('dirty', 'effects', 'reason'), [
    ({'plugin'}, {'plugin': FOREIGN}, 'registers in Base of registry'),
    ({'plugin'}, {'plugin': ENVIRONMENT}, 'changes the environment'),
    ({'plugin'}, {'plugin': OWN, 'other': ENVIRONMENT}, 'changes the environment'),  # taken along by the registry
    ({'handler', 'plugin', 'registry'}, {'plugin': FOREIGN}, ''),  # made anew, too
    ({'alone'}, {'plugin': ENVIRONMENT}, ''),  # not concerned
])
def test_fresh_process(dirty, effects, reason):
    assert decide(dirty, IMPORTS, effects, {}).reason == reason


def test_learned():
    decision = decide({'plugin', 'handler'}, IMPORTS, {}, {'plugin': 'leaves code in a library'})
    assert (decision.module, decision.reason) == ('plugin', 'leaves code in a library')


def is_missing(name):
    return name == 'shop.gone'


@pytest.mark.parametrize(('error', 'expected'), [
    (SyntaxError('x'), True), (IndentationError('x'), True), (ModuleNotFoundError('x', name='shop.gone'), True),
    (ModuleNotFoundError('x', name='installed_later'), False), (ImportError('x', name='shop.gone'), False),
    (ValueError('x'), False), (KeyboardInterrupt(), True)])
def test_certain_without_a_fresh_process(error, expected):
    assert is_certain(error, is_missing) is expected


class LockTimeout(Exception):
    pass


def caused(error):
    try:
        raise ValueError('no server') from error
    except ValueError as found:
        return found


@pytest.mark.parametrize(('error', 'expected'), [
    (OSError(errno.EADDRINUSE, 'x'), True), (BlockingIOError(errno.EAGAIN, 'x'), True), (LockTimeout(), True),
    (caused(OSError(errno.EADDRINUSE, 'x')), True), (RuntimeError('database is locked'), True),
    (OSError(errno.ENOENT, 'x'), False), (NameError('x'), False), (None, False)])
def test_in_use(error, expected):
    assert is_in_use(error) is expected
