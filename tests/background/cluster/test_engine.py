import io
import logging
import sys
from datetime import UTC, datetime

import pytest

from apiphant.background.cluster import masking
from apiphant.background.cluster.engine import BadEngine, parse


@pytest.mark.parametrize(('url', 'shown', 'password', 'database'), [
    ('redis://10.0.0.5', 'redis://10.0.0.5:6379/0', None, 0),
    ('redis://10.0.0.5:7000/3', 'redis://10.0.0.5:7000/3', None, 3),
    ('redis://:pass@host/1', 'redis://host:6379/1', 'pass', 1),
    ('redis://me:p%40s%2Fs@host/1', 'redis://host:6379/1', 'p@s/s', 1),
    ('rediss://:pass@host:1/0?ssl_ca_certs=/x', 'rediss://host:1/0', 'pass', 0),
    ('redis://[::1]:6380/2', 'redis://[::1]:6380/2', None, 2),
    ('sentinel://:pass@a,b:1/mine/4', 'sentinel://a:26379,b:1/mine/4', 'pass', 4),
    ('sentinel://a', 'sentinel://a:26379/mymaster/0', None, 0),
])
def test_store(url, shown, password, database):
    engine = parse(url)
    assert engine.broker is engine.store
    assert (str(engine.store), engine.store.password, engine.store.database) == (shown, password, database)


def test_broker_and_store():
    engine = parse('amqp://me:guess@rabbit/tasks,sentinel://:pass@a,b/mine/0')
    assert [*map(str, engine.endpoints)] == ['amqp://rabbit:5672/tasks', 'sentinel://a:26379,b:26379/mine/0']
    assert engine.secrets == {'guess', 'pass'}


@pytest.mark.parametrize('url', [
    '', 'redis', 'http://:secret@host', 'redis://:secret@host/x', 'redis://:secret@host:port/0',
    'redis://:secret@host:99999/0', 'redis://:secret@a,b/0', 'amqp://me:secret@host',
    'redis://:secret@a/0,redis://:secret@b/0', 'amqp://a,amqp://b,redis://:secret@c',
    'redis://:secret@[::1/0', 'sentinel://:secret@a/b/c/d', 'redis://:secret@host/mine/0',
])
def test_refused(url):
    with pytest.raises(BadEngine) as caught:
        parse(url)
    assert 'secret' not in str(caught.value)
    assert 'redis://HOST:PORT/DB' in str(caught.value)


@pytest.fixture
def said(monkeypatch):
    """What reaches the terminal: of the log, and of what is written past it."""
    def begin(*secrets):
        stream = io.StringIO()
        monkeypatch.setattr(logging.getLogger(), 'handlers', [logging.StreamHandler(stream)])
        monkeypatch.setattr(sys, 'stdout', stream)
        monkeypatch.setattr(sys, 'stderr', stream)
        masking.hide(secrets)
        return stream
    return begin


@pytest.mark.parametrize('text', [
    'redis://:pass%40word@host/0', 'redis://me:other@host', '{"password": "pass@word"}', "{'password': 'abc'}",
    'pass%40word',
])
def test_masked(said, text):
    stream = said('pass@word', 'pass%40word', 'abc')
    logging.getLogger('kombu').error('it is %s', text)
    print(text)
    sys.stderr.writelines([text])
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger('celery').exception('failed')
    assert stream.getvalue().count('***') == 4
    assert not [secret for secret in ('word', 'other', "'abc'") if secret in stream.getvalue().replace('password', '')]


def test_short_secrets(said):
    stream = said('1')
    print('Error 111 at 1')
    assert stream.getvalue() == 'Error 111 at 1\n'


beat = pytest.importorskip('apiphant.background.cluster.due_times', reason='needs Celery')
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(('schedule', 'last', 'expected'), [
    (beat.Every(10), NOON, NOON + 10),
    (beat.Every(10), NOON + 0.2, NOON + 10),
    (beat.Every(10), NOON - 3600, NOON - 3590),
    (beat.Every(0.1), NOON + 0.01, NOON + 0.1),
    (beat.Every(10), NOON + 3600, NOON + 10),
    (beat.Cron('30 2 * * *', 'Europe/Berlin'), NOON, datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp()),
    (beat.Cron('0 * * * *'), NOON, NOON + 3600),
])
def test_due(schedule, last, expected):
    assert beat.following('task', schedule, last, NOON) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize('schedule', [beat.Every(60, 10), beat.Cron('* * * * *', 'UTC', 10), beat.Every(1, 5)])
def test_jitter(schedule):
    last, times = NOON, []
    for _ in range(50):
        last = beat.following('task', schedule, last, last)
        times.append(last)
    assert times == sorted(set(times))
    assert all(0 <= (time - NOON) % 60 <= 10 for time in times) or schedule == beat.Every(1, 5)
    assert len({round(time % 1, 3) for time in times}) > 40


@pytest.mark.parametrize('period', [0.1, 0.3, 1 / 3, 0.7, 1.1, 60])
def test_every_period_goes_on(period):
    last = NOON
    for _ in range(1000):
        due = beat.following('task', beat.Every(period), last, last)
        assert last < due < last + period + 0.002
        last = due


@pytest.mark.parametrize(('schedule', 'expected'), [
    (beat.Every(0.2), 1), (beat.Every(60), 60), (beat.Cron('* * * * *'), 60), (beat.Cron('0 2 * * *'), 3600),
])
def test_lifetime(schedule, expected):
    assert beat.lifetime(schedule, NOON) == expected


@pytest.mark.parametrize('schedule', [beat.Every(0.5, 1), beat.Cron('30 2 * * *', 'Europe/Berlin', 3)])
def test_json(schedule):
    assert beat.from_json(beat.to_json(schedule)) == schedule
