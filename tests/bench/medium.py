"""A product of medium size that can be edited in realistic ways: what it is made of, and the files that come of it."""
from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

MODELS = ('user', 'order', 'item')
FIXED = (
    'join', 'struct', 'decode', 'plugins', 'applied', 'settings', 'limit', 'page', 'mail', 'price', 'total', 'task',
    'known', 'version')

SQLALCHEMY_BASE = '''
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import StaticPool

engine = create_engine('sqlite://', poolclass=StaticPool, connect_args={'check_same_thread': False})


class Base(DeclarativeBase):
    pass


def columns(model):
    return sorted(column.name for column in model.__table__.columns)


def kept(model, **values):
    """What a row holds after it was written and read; nothing of it stays."""
    with engine.connect() as connection:
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
        with Session(bind=connection) as session:
            row = model(**values)
            session.add(row)
            session.flush()
            session.refresh(row)
            found = {name: getattr(row, name) for name in columns(model)}
            session.rollback()
    return found
'''
SQLALCHEMY = {
    'user': '''
from sqlalchemy.orm import Mapped, mapped_column, relationship
from shop.db import Base


class User(Base):
    __tablename__ = 'users'
    id: Mapped[int] = mapped_column(primary_key=True)
    orders: Mapped[list['Order']] = relationship(back_populates='user')
''',
    'order': '''
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship
from shop.db import Base


class Order(Base):
    __tablename__ = 'orders'
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey('users.id'))
    user: Mapped['User'] = relationship(back_populates='orders')
    items: Mapped[list['Item']] = relationship(back_populates='order')
''',
    'item': '''
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship
from shop.db import Base


class Item(Base):
    __tablename__ = 'items'
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey('orders.id'))
    order: Mapped['Order'] = relationship(back_populates='items')
'''}
SQLALCHEMY_FIELD = '    {name}: Mapped[int] = mapped_column(default={value})\n'
PEEWEE_BASE = '''
from peewee import Model, SqliteDatabase

database = SqliteDatabase(':memory:')
MODELS = []


class Base(Model):
    class Meta:
        database = database

    def __init_subclass__(cls):
        super().__init_subclass__()
        MODELS.append(cls)


def columns(model):
    return sorted(model._meta.columns)


def kept(model, **values):
    """What a row holds after it was written and read; nothing of it stays."""
    with database.connection_context():
        database.create_tables(MODELS)
        number = model.create(**values).id
        return {name: getattr(model.get_by_id(number), model._meta.columns[name].name) for name in columns(model)}
'''
PEEWEE = {
    'user': '''
from shop.db import Base


class User(Base):
''',
    'order': '''
from peewee import ForeignKeyField
from shop.db import Base
from shop.models.user import User


class Order(Base):
    user = ForeignKeyField(User, backref='orders', null=True)
''',
    'item': '''
from peewee import ForeignKeyField
from shop.db import Base
from shop.models.order import Order


class Item(Base):
    order = ForeignKeyField(Order, backref='items', null=True)
'''}
PEEWEE_FIELD = '    {name} = IntegerField(default={value})\n'
FILES = {
    '__init__.py': '', 'api/__init__.py': '', 'models/__init__.py': '',
    'config.py': '''
import tomllib
from functools import cache
from pathlib import Path


@cache
def settings():
    return tomllib.loads((Path(__file__).parent / 'config.toml').read_text())
''',
    'templates.py': '''
from pathlib import Path
from jinja2 import Environment, FileSystemLoader

environment = Environment(loader=FileSystemLoader(Path(__file__).parent / 'templates'))
PAGE = environment.get_template('page.txt')
''',
    'registry.py': '''
REGISTRY = {}


class Plugin:
    def __init__(self, name, function):
        self.name, self.function = name, function


def plugin(name):
    def register(function):
        if name in REGISTRY:
            raise ValueError(f'{name} is registered already')
        REGISTRY[name] = Plugin(name, function)
        return function
    return register
''',
    'plugins/__init__.py': '''
import pkgutil
from importlib import import_module

for found in pkgutil.iter_modules(__path__):
    import_module(f'{__name__}.{found.name}')
''',
    'api/v0/join.py': '''
from shop.db import columns, kept
from shop.models.item import Item
from shop.models.order import Order
from shop.models.user import User


def read(request):
    return {'value': [columns(model) for model in (User, Order, Item)], 'row': kept(Item)}
''',
    'api/v0/struct.py': '''
import msgspec
from shop.structs import Product


def read(request):
    return {'value': msgspec.to_builtins(Product(name='x'))}
''',
    'api/v0/decode.py': '''
import msgspec
from shop.structs import Product, decoder


def read(request):
    found = decoder.decode(b'{"name": "y"}')
    return {'value': msgspec.to_builtins(found), 'same': isinstance(found, Product)}
''',
    'api/v0/plugins.py': '''
import shop.plugins
from shop.registry import REGISTRY, Plugin


def read(request):
    return {'value': sorted(REGISTRY), 'same': all(isinstance(found, Plugin) for found in REGISTRY.values())}
''',
    'api/v0/applied.py': '''
import shop.plugins
from shop import registry


def read(request):
    return {'value': {name: registry.REGISTRY[name].function(10) for name in sorted(registry.REGISTRY)}}
''',
    'api/v0/settings.py': '''
from shop.config import settings


def read(request):
    return {'value': settings()}
''',
    'api/v0/limit.py': '''
from shop import config

LIMIT = config.settings()['limit']


def read(request):
    return {'value': LIMIT}
''',
    'api/v0/page.py': '''
from shop.config import settings
from shop.templates import PAGE


def read(request):
    return {'value': PAGE.render(settings())}
''',
    'api/v0/mail.py': '''
from shop.templates import environment


def read(request):
    return {'value': environment.get_template('mail.txt').render(name='x')}
''',
    'api/v0/task.py': '''
from shop.api.background import EVERY, gather


def read(request):
    return {'value': EVERY, 'name': gather.__qualname__}
''',
    'api/v0/known.py': '''
import shop.api.background
from apiphant.background.tasks import tasks


def read(request):
    return {'value': sorted(f'{task.name} {task.schedule}' for task in tasks())}
'''}


@dataclass
class Source:
    """What the product is made of."""
    orm: str
    fields: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {'number': 1} for name in MODELS})
    struct: dict[str, int] = field(default_factory=lambda: {'size': 1})
    plugins: dict[str, int] = field(default_factory=lambda: {'double': 2, 'triple': 3})
    config: dict[str, int] = field(default_factory=lambda: {'limit': 10})
    templates: dict[str, int] = field(default_factory=lambda: {'page': 1, 'mail': 1})
    helper: str = 'money'
    function: str = 'price'
    rate: int = 3
    every: int = 60
    version: int = 1
    extra: dict[str, int] = field(default_factory=dict)  # targets that were added
    lines: dict[str, int] = field(default_factory=dict)  # comments by file
    broken: dict[str, str] = field(default_factory=dict)  # what is wrong, by file

    def copy(self) -> Source:
        return deepcopy(self)

    @property
    def targets(self) -> list[str]:
        return [*MODELS, *FIXED, *self.extra]

    @property
    def files(self) -> dict[str, str]:
        """The text of each, by path."""
        files = {**FILES, **self._models(), **self._plugins(), **self._helpers(), **self._others()}
        files |= {f'api/v0/{name}.py': _reads(value) for name, value in self.extra.items()}
        files |= {name: files[name] + f'# {number}\n' for name, number in self.lines.items() if name in files}
        return files | {name: _break(files[name], how) for name, how in self.broken.items() if name in files}

    def _models(self) -> dict[str, str]:
        is_peewee = self.orm == 'peewee'
        texts, line = (PEEWEE, PEEWEE_FIELD) if is_peewee else (SQLALCHEMY, SQLALCHEMY_FIELD)
        head = 'from peewee import IntegerField\n' if is_peewee else ''
        files = {'db.py': PEEWEE_BASE if is_peewee else SQLALCHEMY_BASE}
        for model in MODELS:
            added = ''.join(line.format(name=name, value=value) for name, value in self.fields[model].items())
            files[f'models/{model}.py'] = head + texts[model] + added
            files[f'api/v0/{model}.py'] = _of_model(model)
        return files

    def _plugins(self) -> dict[str, str]:
        return {f'plugins/{name}.py': _plugin(name, factor) for name, factor in self.plugins.items()}

    def _helpers(self) -> dict[str, str]:
        module, name = self.helper, self.function
        uses = f'from shop.lib.{module} import {name}\n\n\ndef read(request):\n    return {{"value": {name}(7)}}\n'
        total = (
            f'from shop.lib import {module}\nfrom shop.config import settings\n\n\ndef read(request):\n'
            f'    return {{"value": {module}.{name}(settings()["limit"])}}\n')
        return {
            'lib/__init__.py': '',
            f'lib/{module}.py': f'RATE = {self.rate}\n\n\ndef {name}(number):\n    return number * RATE\n',
            'api/v0/price.py': uses, 'api/v0/total.py': total}

    def _others(self) -> dict[str, str]:
        struct = ''.join(f'    {name}: int = {value}\n' for name, value in self.struct.items())
        return {
            'structs.py': (
                f'import msgspec\n\n\nclass Product(msgspec.Struct):\n    name: str\n{struct}\n\n'
                'decoder = msgspec.json.Decoder(Product)\n'),
            'config.toml': ''.join(f'{name} = {value}\n' for name, value in self.config.items()),
            'templates/page.txt': f'Page {self.templates["page"]}: {{{{ limit }}}}\n',
            'templates/mail.txt': f'Mail {self.templates["mail"]}: {{{{ name }}}}\n',
            'api/background.py': (
                'from apiphant.background import seconds\n\n'
                f'EVERY = {self.every}\n\n\n@seconds(EVERY)\ndef gather():\n    pass\n'),
            'api/v0/version.py': _reads(self.version)}


def _reads(value: int) -> str:
    return f'def read(request):\n    return {{"value": {value}}}\n'


def _plugin(name: str, factor: int) -> str:
    return (
        f'from shop.registry import plugin\n\n\n@plugin({name!r})\n'
        f'def apply(number):\n    return number * {factor}\n')


def _of_model(model: str) -> str:
    others = ''.join(f'import shop.models.{other}\n' for other in MODELS)
    return (
        f'{others}from shop.db import columns, kept\nfrom shop.models.{model} import {model.title()}\n\n\n'
        f'def read(request):\n    return {{"value": columns({model.title()}), "row": kept({model.title()})}}\n')


def _break(text: str, how: str) -> str:
    if how == 'syntax':
        return text + 'def broken(:\n'
    if how == 'import':
        return 'import shop.missing_module\n' + text
    if how == 'error':
        return text + '\nbroken = 1 / 0\n'
    if how == 'middle':
        middle = text.find('\n', len(text) // 2)
        return text[:middle] + '\n<<<<<<< HEAD\n' + text[middle:]
    return text.replace('def read(request):\n', 'def read(request):\n    raise ValueError\n')  # when it is called


# Edits: each changes the source, and says what it did; '' if there was nothing to do

def add_field(source: Source, random: Random) -> str:
    model, name = random.choice(MODELS), f'field{random.randrange(1000)}'
    source.fields[model][name] = random.randrange(100)
    return f'add {model}.{name}'


def rename_field(source: Source, random: Random) -> str:
    model = random.choice(MODELS)
    if not source.fields[model]:
        return ''
    old, new = random.choice(list(source.fields[model])), f'field{random.randrange(1000)}'
    source.fields[model][new] = source.fields[model].pop(old)
    return f'rename {model}.{old} to {new}'


def remove_field(source: Source, random: Random) -> str:
    model = random.choice(MODELS)
    if len(source.fields[model]) < 2:  # a class body of peewee needs one
        return ''
    name = random.choice(list(source.fields[model]))
    del source.fields[model][name]
    return f'remove {model}.{name}'


def change_struct(source: Source, random: Random) -> str:
    if len(source.struct) > 2 and random.random() < 0.5:
        name = random.choice(list(source.struct))
        del source.struct[name]
        return f'remove Product.{name}'
    name = f'field{random.randrange(1000)}'
    source.struct[name] = random.randrange(100)
    return f'add Product.{name}'


def add_plugin(source: Source, random: Random) -> str:
    name = f'plugin{random.randrange(1000)}'
    source.plugins[name] = random.randrange(100)
    return f'add plugins/{name}.py'


def delete_plugin(source: Source, random: Random) -> str:
    return _delete('plugins', source.plugins, random)


def _delete(folder: str, modules: dict[str, int], random: Random) -> str:
    if not modules:
        return ''
    name = random.choice(list(modules))
    del modules[name]
    return f'delete {folder}/{name}.py'


def rename_plugin(source: Source, random: Random) -> str:
    if not source.plugins:
        return ''
    old, new = random.choice(list(source.plugins)), f'plugin{random.randrange(1000)}'
    source.plugins[new] = source.plugins.pop(old)
    return f'rename plugins/{old}.py to {new}.py'


def edit_plugin(source: Source, random: Random) -> str:
    if not source.plugins:
        return ''
    name = random.choice(list(source.plugins))
    source.plugins[name] += 1 + random.randrange(50)
    return f'edit plugins/{name}.py'


def change_config(source: Source, random: Random) -> str:
    source.config['limit'] = random.randrange(10_000)
    if random.random() < 0.3:
        source.config[f'key{random.randrange(100)}'] = 1
    return f'edit config.toml: {source.config["limit"]}'


def edit_template(source: Source, random: Random) -> str:
    name = random.choice(list(source.templates))
    source.templates[name] += 1
    return f'edit templates/{name}.txt'


def rename_function(source: Source, random: Random) -> str:
    old, source.function = source.function, f'price{random.randrange(1000)}'
    return f'rename {old}() to {source.function}() in three files'


def move_module(source: Source, random: Random) -> str:
    old, source.helper = source.helper, f'money{random.randrange(1000)}'
    return f'move lib/{old}.py to {source.helper}.py'


def edit_helper(source: Source, random: Random) -> str:
    source.rate += 1 + random.randrange(50)
    return 'edit lib: RATE'


def edit_task(source: Source, random: Random) -> str:
    source.every += 1 + random.randrange(50)
    return 'edit api/background.py'


def edit_target(source: Source, random: Random) -> str:
    source.version += 1
    return 'edit api/v0/version.py'


def add_target(source: Source, random: Random) -> str:
    name = f'target{random.randrange(1000)}'
    source.extra[name] = random.randrange(1000)
    return f'add api/v0/{name}.py'


def delete_target(source: Source, random: Random) -> str:
    return _delete('api/v0', source.extra, random)


def edit_comment(source: Source, random: Random) -> str:
    name = random.choice([name for name in source.files if name.endswith('.py') and name not in source.broken])
    source.lines[name] = source.lines.get(name, 0) + 1
    return f'a comment in {name}'


EDITS = (
    add_field, add_field, rename_field, remove_field, change_struct, add_plugin, delete_plugin, rename_plugin,
    edit_plugin, change_config, edit_template, rename_function, move_module, edit_helper, edit_task, edit_target,
    edit_target, add_target, delete_target, edit_comment, edit_comment)
BREAKS = ('syntax', 'import', 'error', 'middle', 'call')


def break_file(source: Source, random: Random) -> str:
    """Of a file that can be broken so."""
    how = random.choice(BREAKS)
    files = source.files
    name = random.choice([name for name in files if name.endswith('.py') and files[name]])
    if how == 'call' and 'def read(request)' not in files[name]:
        return ''
    source.broken[name] = how
    return f'break {name} ({how})'


def mend(source: Source, random: Random) -> str:
    names = ', '.join(source.broken)
    source.broken.clear()
    return f'mend {names}'
