"""Texts made to fit the width of a terminal."""
import pytest

from apiphant.dev.console.table import fit, joined

HELP = 'read TARGET  call the read of a target\nuse VERSION  the version to call\n\n  read echo {"a": 1}'


def test_what_fits_stays():
    assert fit(HELP, 80) == HELP


def test_last_column_goes_on_below_itself():
    assert fit(HELP, 34).splitlines() == [
        'read TARGET  call the read of a', '             target', 'use VERSION  the version to call', '',
        '  read echo {"a": 1}']


def test_last_column_goes_below_the_first_where_there_is_no_room():
    assert fit('read TARGET  call the read of a target', 24).splitlines() == [
        'read TARGET', '    call the read of a', '    target']


@pytest.mark.parametrize('columns', range(12, 60))
def test_nothing_is_lost_nor_too_wide(columns):
    lines = fit(HELP, columns).splitlines()
    assert ' '.join(lines).split() == HELP.split()
    assert all(len(line) <= columns for line in lines)


@pytest.mark.parametrize('columns, text', [
    (80, 'shop | 1 broken | v0 | http://127.0.0.1:8888 | 2 actions'),
    (50, 'shop | 1 broken | v0 | http://127.0.0.1:8888'),
    (40, 'shop | 1 broken | http://127.0.0.1:8888'), (30, 'shop | 1 broken'), (8, 'shop | 1')])
def test_joined(columns, text):
    assert joined(['shop', '1 broken', 'v0', 'http://127.0.0.1:8888', '2 actions', ''], (4, 2, 3), columns) == text
