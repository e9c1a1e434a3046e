"""When tasks are due: no clock is read here."""
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from apiphant.background.schedule import Cron, Every, back_off, fault_of, has_next, next_run

BERLIN = 'Europe/Berlin'


@pytest.mark.parametrize(('now', 'expected'), [
    (0, 10), (9.9, 10), (10, 20), (10.1, 20), (35, 40), (-5, 0), (1e6, 1e6 + 10)])
def test_grid(now, expected):
    assert next_run(0, 10, now) == expected


def test_no_drift():
    """However late a run is noticed, the next is on the grid."""
    due = 0.0
    for number in range(1, 1001):
        due = Every(0.5).following(due, due + 0.013)
        assert due == number * 0.5


@pytest.mark.parametrize(('last', 'expected'), [(None, 100), (30, 100), (70, 130), (100, 160), (500, 100)], ids=str)
def test_first_run_of_a_period(last, expected):
    """At once if it never ran, or should have run meanwhile, or ran in the future: then the clock was wrong."""
    assert Every(60).first(100, last) == expected


def at(text, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN), fold=fold).timestamp()


def runs(line, start, count):
    """Local times, with the offset to UTC in hours."""
    schedule, now, found = Cron(line, BERLIN), start, []
    for _ in range(count):
        now = schedule.following(now, now)
        time = datetime.fromtimestamp(now, ZoneInfo(BERLIN))
        found.append(f'{time:%d %H:%M} {time.utcoffset().seconds // 3600}')
    return found


@pytest.mark.parametrize(('line', 'start', 'expected'), [
    ('30 2 * * *', '2026-03-28 12:00', ['29 03:00 2', '30 02:30 2']),  # no 02:30 on the 29th
    ('30 2 * * *', '2026-10-24 12:00', ['25 02:30 2', '26 02:30 1']),  # two of them on the 25th
    ('30 * * * *', '2026-03-29 01:00', ['29 01:30 1', '29 03:30 2']),
    ('30 * * * *', '2026-10-25 02:00', ['25 02:30 2', '25 02:30 1', '25 03:30 1']),
    ('0 0 29 2 *', '2026-01-01 00:00', ['29 00:00 1']),
    ('*/20 2 * * *', '2026-10-25 02:30', ['25 02:40 2', '26 02:00 1']),  # not at the second 02:00 and 02:20
    ('30 0-23 * * *', '2026-10-25 02:00', ['25 02:30 2', '25 02:30 1', '25 03:30 1']),  # each hour, without a *
    ('0 */2 * * *', '2026-10-25 01:00', ['25 02:00 2', '25 04:00 1']),  # with a *, and not each hour
])
def test_days_when_clocks_change(line, start, expected):
    assert runs(line, at(start), len(expected)) == expected


@pytest.mark.parametrize(('line', 'expected'), [
    ('0 0 1,8 * thu', ['01 00:00 1', '08 00:00 1', '15 00:00 1']),  # either
    ('0 0 */2 * thu', ['01 00:00 1', '15 00:00 1', '29 00:00 1']),  # both, as cron does where one begins with *
    ('0 0 1-15 * */4', ['01 00:00 1', '04 00:00 1', '08 00:00 1']),
    ('0 0 * * thu', ['01 00:00 1', '08 00:00 1', '15 00:00 1']),
])
def test_day_and_weekday(line, expected):
    assert runs(line, at('2025-12-31 12:00'), len(expected)) == expected


def test_first_run_of_a_line():
    now = at('2026-05-05 12:00')
    daily = Cron('30 2 * * *', BERLIN)
    assert daily.first(now, None) == at('2026-05-06 02:30')
    assert daily.first(now, at('2026-05-05 02:30')) == at('2026-05-06 02:30')
    assert daily.first(now, at('2026-05-03 02:30')) == now  # one was missed while nothing ran


@pytest.mark.parametrize('now', [0.0, 1e5, 1.9e9, 1.9e9 + 0.123])
def test_has_next(now):
    for period in (0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.7, 1, 2.5, 60, 86400, 1e9):
        assert has_next(Every(period), now), period
    for period in (1e300, 1e12, 1e-310):
        assert not has_next(Every(period), now), period
    assert has_next(Cron('0 0 29 2 *', BERLIN), now)
    assert has_next(Cron('0 0 31 2 1'), now)  # each Monday of February, too
    assert not has_next(Cron('0 0 31 2 *', BERLIN), now)


@pytest.mark.parametrize(('failures', 'expected'), [(0, 60), (1, 120), (2, 240), (3, 480), (4, 600), (99, 600)])
def test_back_off(failures, expected):
    assert back_off(60, failures, 600) == expected


def test_back_off_of_a_rare_task():
    assert back_off(86400, 5, 600) == 86400


@pytest.mark.parametrize(('schedule', 'expected'), [
    (Every(60), 'every 60 s'),
    (Every(0.5, 2.5), 'every 0.5 s and up to 2.5 s later'),
    (Cron('30 2 * * *'), "at '30 2 * * *' UTC"),
    (Cron('30 2 * * *', BERLIN), "at '30 2 * * *' Europe/Berlin"),
    (Cron('30 2 * * *', BERLIN, 5), "at '30 2 * * *' Europe/Berlin and up to 5 s later"),
])
def test_in_words(schedule, expected):
    assert str(schedule) == expected


def test_line_that_ran_in_the_future():
    """The clock was wrong then: nothing was missed."""
    now = at('2026-05-05 12:00')
    assert Cron('30 2 * * *', BERLIN).first(now, at('2026-07-01 00:00')) == at('2026-05-06 02:30')


@pytest.mark.parametrize(('line', 'fault'), [
    ('30 2 * * *', ''),
    ('*/5 8-17 1,15 jan-mar mon-fri', ''),
    ('0 0 l * *', ''),
    ('* * * thu', 'should be five fields: minute, hour, day, month, day of week'),
    ('', 'should be five fields: minute, hour, day, month, day of week'),
    ('61 * * * *', "has the minute '61', which makes no sense: 0 to 59"),
    ('* 24 * * *', "has the hour '24', which makes no sense: 0 to 23"),
    ('* * 0 * *', "has the day '0', which makes no sense: 1 to 31"),
    ('* * * june *', "has the month 'june', which makes no sense: 1 to 12, or jan to dec"),
    ('* * * * 8', "has the day of week '8', which makes no sense: 0 to 7, or sun to sat"),
    ('*/0 * * * *', "has the minute '*/0', which makes no sense: 0 to 59"),
    ('R R * * *', "has the minute 'R', which would be another one at each start"),
    ('0 r(2-4) * * *', "has the hour 'r(2-4)', which would be another one at each start"),
    ('0 H * * *', "has the hour 'H', which would be another one at each start"),
])
def test_fault(line, fault):
    assert fault_of(line) == fault


def test_back_off_of_countless_failures():
    assert back_off(60, 10_000, 600) == 600
