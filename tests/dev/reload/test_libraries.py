"""Products that use libraries which keep what modules register: after each edit they answer as a fresh start does.

Each is edited in several ways while somebody calls it. What a fresh start answers is asked of a Python of its own.
"""
from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kit.running import DEADLINE, clean_environment, wait_for
from tests.kit.shop import Poller, Shop, handler, shop_with

FRESH = '''
import importlib, json, sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder.parent))
found = {}
for path in sorted((folder / 'api/v0').glob('*.py')):
    if path.stem not in ('pid', 'a_fence'):
        try:
            found[path.stem] = importlib.import_module('shop.api.v0.' + path.stem).read({})['value']
        except Exception as error:
            found[path.stem] = None
print('answers:' + json.dumps(found))
'''


@dataclass(frozen=True)
class Product:
    """Files, and edits one after the other: a file, and what is replaced in it by what; None for a file that is new."""
    needs: str
    files: dict[str, str]
    edits: tuple[tuple[str, str | None, str], ...]


PRODUCTS = {
    'sqlalchemy': Product('sqlalchemy', {
        'db.py': '''
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Session

class Base(DeclarativeBase):
    pass

engine = create_engine('sqlite://')
''',
        'users.py': '''
from sqlalchemy.orm import Mapped, mapped_column, relationship
from shop.db import Base

class User(Base):
    __tablename__ = 'users'
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default='one')
    orders: Mapped[list['Order']] = relationship(back_populates='user')
''',
        'orders.py': '''
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship
from shop.db import Base

class Order(Base):
    __tablename__ = 'orders'
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(default=1)
    user_id: Mapped[int] = mapped_column(ForeignKey('users.id'))
    user: Mapped['User'] = relationship(back_populates='orders')
''',
        handler('shop'): '''
from sqlalchemy import select
from sqlalchemy.orm import Session
from shop.db import Base, engine
from shop.orders import Order
from shop.users import User

def read(request):
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(User(orders=[Order()]))
        session.flush()
        user = session.scalars(select(User)).first()
        return {'value': [user.name, [order.number for order in user.orders], sorted(Base.metadata.tables)]}
'''},
        (('users.py', "'one'", "'two'"), ('orders.py', 'default=1', 'default=2'), ('users.py', "'two'", "'three'"),
         ('orders.py', 'number: Mapped[int] = mapped_column(default=2)',
          'number: Mapped[int] = mapped_column(default=3)\n    note: Mapped[str] = mapped_column(default="n")'),
         ('db.py', 'pass', 'AUDITED = True'), (handler('shop'), 'user.name, [', 'user.name.upper(), ['))),
    'peewee': Product('peewee', {
        'db.py': 'import peewee\n\ndatabase = peewee.SqliteDatabase(":memory:")\n',
        'users.py': '''
import peewee
from shop.db import database

class User(peewee.Model):
    name = peewee.CharField(default='one')

    class Meta:
        database = database
''',
        'orders.py': '''
import peewee
from shop.db import database
from shop.users import User

class Order(peewee.Model):
    user = peewee.ForeignKeyField(User, backref='orders')
    number = peewee.IntegerField(default=1)

    class Meta:
        database = database
''',
        handler('shop'): '''
from shop.db import database
from shop.orders import Order
from shop.users import User

def read(request):
    database.connect(reuse_if_open=True)
    database.create_tables([User, Order])
    user = User.create()
    Order.create(user=user)
    found = [user.name, [order.number for order in user.orders], len(User._meta.backrefs)]
    database.drop_tables([User, Order])
    return {'value': found}
'''},
        (('orders.py', 'default=1', 'default=2'), ('users.py', "'one'", "'two'"),
         ('orders.py', 'default=2', 'default=3'))),
    'prometheus': Product('prometheus_client', {
        'metrics.py': "from prometheus_client import Counter\n\nCALLS = Counter('shop_calls', 'one')\n",
        handler('metrics'): '''
from prometheus_client import REGISTRY
from shop.metrics import CALLS

def read(request):
    CALLS.inc(0)
    return {'value': sorted(metric.documentation for metric in REGISTRY.collect() if metric.name.startswith('shop'))}
'''},
        (('metrics.py', "'one'", "'two'"), ('metrics.py', "'two'", "'three'"),
         ('metrics.py', "'three')", "'four')\nMORE = Counter('shop_more', 'more')"),
         ('metrics.py', "\nMORE = Counter('shop_more', 'more')", ''))),
    'pluggy': Product('pluggy', {
        'manager.py': '''
import pluggy

spec, impl = pluggy.HookspecMarker('shop'), pluggy.HookimplMarker('shop')

class Spec:
    @spec
    def price(self): ...

manager = pluggy.PluginManager('shop')
manager.add_hookspecs(Spec)
''',
        'one.py': (
            'from shop.manager import impl, manager\n\nclass One:\n    @impl\n    def price(self):\n'
            '        return 1\n\nmanager.register(One())\n'),
        'two.py': (
            'from shop.manager import impl, manager\n\nclass Two:\n    @impl\n    def price(self):\n'
            '        return 10\n\nmanager.register(Two())\n'),
        handler('prices'): '''
import shop.one, shop.two
from shop.manager import manager

def read(request):
    return {'value': manager.hook.price()}
'''},
        (('one.py', 'return 1', 'return 2'), ('two.py', 'return 10', 'return 20'), ('one.py', 'return 2', 'return 3'))),
    'dramatiq': Product('dramatiq', {
        'tasks.py': '''
import dramatiq
from dramatiq.brokers.stub import StubBroker

broker = StubBroker()
''',
        'mail.py': 'import dramatiq\nfrom shop.tasks import broker\n\n'
                   '@dramatiq.actor(broker=broker)\ndef send():\n    return 1\n',
        handler('mail'): '''
from shop.mail import send
from shop.tasks import broker

def read(request):
    return {'value': [send.fn(), sorted(broker.actors), broker.get_actor('send') is send]}
'''},
        (('mail.py', 'return 1', 'return 2'), ('mail.py', 'return 2', 'return 3'))),
    'celery': Product('celery', {
        'celery_app.py': "from celery import Celery\n\napp = Celery('shop')\napp.conf.task_always_eager = True\n",
        'mail.py': 'from shop.celery_app import app\n\n@app.task\ndef send():\n    return 1\n',
        handler('mail'): '''
from shop.celery_app import app
from shop.mail import send

def read(request):
    names = sorted(name for name in app.tasks if not name.startswith('celery'))
    return {'value': [send.delay().get(), names, [app.tasks[name].run() for name in names]]}
'''},
        (('mail.py', 'return 1', 'return 2'), ('mail.py', 'return 2', 'return 3'))),
    'pydantic': Product('pydantic', {
        'schema.py': '''
from pydantic import BaseModel

class Item(BaseModel):
    price: int = 1
''',
        'cart.py': '''
from pydantic import BaseModel
from shop.schema import Item

class Cart(BaseModel):
    items: list[Item] = []
''',
        handler('cart'): '''
from shop.cart import Cart
from shop.schema import Item

def read(request):
    return {'value': Cart(items=[Item(), {}]).model_dump()}
'''},
        (('schema.py', 'price: int = 1', 'price: int = 2'),
         ('schema.py', 'price: int = 2', 'price: int = 3\n    name: str = "n"'),
         ('cart.py', '= []', '= []\n    total: int = 0'))),
    'msgspec': Product('msgspec', {
        'schema.py': 'import msgspec\n\nclass Item(msgspec.Struct, tag=True):\n    price: int = 1\n',
        'more.py': 'from shop.schema import Item\n\nclass More(Item):\n    count: int = 1\n',
        handler('item'): '''
import msgspec
from shop.more import More
from shop.schema import Item

def read(request):
    values = Item(), More(), msgspec.convert({"type": "More"}, Item | More)
    return {'value': [msgspec.to_builtins(value) for value in values]}
'''},
        (('schema.py', '= 1', '= 2'), ('more.py', '= 1', '= 5'), ('schema.py', '= 2', '= 3'))),
    'attrs': Product('attrs', {
        'schema.py': 'import attrs\n\n@attrs.define\nclass Item:\n    price: int = 1\n',
        handler('item'): '''
import attrs
from shop.schema import Item

def read(request):
    return {'value': [attrs.asdict(Item()), len(Item.__mro__[1].__subclasses__()) > 0]}
'''},
        (('schema.py', '= 1', '= 2'), ('schema.py', '= 2', '= 3\n    name: str = "n"'))),
    'protobuf': Product('google.protobuf', {
        'schema.py': '''
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

file = descriptor_pb2.FileDescriptorProto(name='shop.proto', package='shop')
message = file.message_type.add(name='Item')
field = message.field.add(name='one', number=1, type=5, label=1)
pool = descriptor_pool.Default()
pool.Add(file) if hasattr(pool, 'Add') else pool.AddSerializedFile(file.SerializeToString())
Item = message_factory.GetMessageClass(pool.FindMessageTypeByName('shop.Item'))
''',
        handler('item'): '''
from shop.schema import Item

def read(request):
    return {'value': [field.name for field in Item.DESCRIPTOR.fields]}
'''},
        (('schema.py', "name='one'", "name='two'"), ('schema.py', "name='two'", "name='three'"))),
    'jinja2': Product('jinja2', {
        'pages.py': '''
from jinja2 import Environment

environment = Environment()
''',
        'filters.py': 'from shop.pages import environment\n\n'
                      "environment.filters['money'] = lambda value: f'{value} one'\n",
        handler('page'): '''
import shop.filters
from shop.pages import environment

def read(request):
    return {'value': environment.from_string('{{ 5 | money }}').render()}
'''},
        (('filters.py', ' one', ' two'), ('filters.py', "['money']", "['other'] = environment.filters['money']"))),
}


@pytest.mark.parametrize('name', PRODUCTS)
def test_as_a_fresh_start(tmp_path: Path, name: str) -> None:
    product = PRODUCTS[name]
    pytest.importorskip(product.needs)
    with shop_with(tmp_path, product.files) as shop, Poller(shop.server, '/api/v0/pid/read', (200,)) as poller:
        assert answers(shop) == fresh(shop.folder)
        for file, old, new in product.edits:
            edit(shop, file, old, new)
            becomes(shop, fresh(shop.folder), f'after {file}')
        poller.polls()
    assert poller.failures == []


def edit(shop: Shop, file: str, old: str | None, new: str) -> None:
    text = (shop.folder / file).read_text() if old else ''
    assert not old or old in text
    shop.save(file, text.replace(old, new) if old else new)


def log(shop: Shop) -> str:
    return '\n'.join(line for line in shop.server.lines if ' POST ' not in line)


def becomes(shop: Shop, expected: dict[str, Any], when: str) -> None:
    try:
        wait_for(lambda: answers(shop) == expected, f'the answers of a fresh start {when}')
    except AssertionError as error:
        raise AssertionError(f'{error}: {answers(shop)} instead of {expected}\n{log(shop)}') from None


def answers(shop: Shop) -> dict[str, Any]:
    names = [path.stem for path in (shop.folder / 'api/v0').glob('*.py') if path.stem not in ('pid', 'a_fence')]
    return {name: value if not str(value := shop.answer(name)).startswith('status') else None for name in sorted(names)}


def fresh(folder: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, '-B', '-c', FRESH, str(folder)], capture_output=True, text=True,
                          timeout=DEADLINE, check=False, env=clean_environment())
    line = next((line for line in done.stdout.splitlines() if line.startswith('answers:')), None)
    assert line, done.stderr
    found: dict[str, Any] = json.loads(line.removeprefix('answers:'))
    return found
