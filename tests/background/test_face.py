"""What it costs to import the decorators."""
import subprocess
import sys

HEAVY = {
    'argparse', 'celery', 'croniter', 'gevent', 'greenlet', 'gunicorn', 'json', 'kombu', 'msgspec', 'redbeat', 'redis',
    'requests',
}


def imported_by(source):
    """The packages that a fresh process has imported after it ran the source."""
    program = f'{source}\nimport sys\nprint(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    return {name.split('.')[0] for name in done.stdout.split()}


def test_decorators_are_light():
    assert not HEAVY & imported_by('from apiphant.background import seconds')


def test_cron_lines_alone_need_croniter():
    source = 'from apiphant.background import cron, seconds\n@{}\ndef f(): pass\n'
    assert 'croniter' not in imported_by(source.format('seconds(1)'))
    assert 'croniter' in imported_by(source.format('cron("* * * * *")'))
