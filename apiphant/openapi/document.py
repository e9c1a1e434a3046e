"""The OpenAPI document of a product, from its routes, what is known of its actions, and examples. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..api.actions import Action
from ..dev.source.fields import Description
from ..validation import status_line
from .examples import Example
from .schema import request_schema

JSON = 'application/json'
ERROR = {'$ref': '#/components/schemas/Error'}
COMPONENTS = {'schemas': {'Error': {
    'type': 'object',
    'description': 'What went wrong: a text, or the field that is missing or invalid.',
    'required': ['error'],
    'properties': {'error': {'anyOf': [
        {
            'type': 'object',
            'required': ['field', 'state'],
            'properties': {'field': {'type': 'string'}, 'state': {'enum': ['missing', 'invalid']}, 'explain': {}},
        },
        {},
    ]}},
}}}


class Route(NamedTuple):
    """One action: its URL path, and what is known of it."""
    path: str
    action: Action
    description: Description


def document(title: str, version: str, routes: Iterable[Route], examples: Sequence[Example]) -> dict[str, Any]:
    return {
        'openapi': '3.1.0',
        'info': {'title': title, 'version': version},
        'servers': [{'url': '/'}],
        'paths': {route.path: {'post': _operation(route, _of(route.path, examples))} for route in routes},
        'components': COMPONENTS,
    }


def _of(path: str, examples: Iterable[Example]) -> list[Example]:
    return [example for example in examples if example.path == path]


def _operation(route: Route, examples: Sequence[Example]) -> dict[str, Any]:
    _, _, version, *names, action = route.path.split('/')
    summary, _, more = route.description.doc.partition('\n')
    texts = {'summary': summary.strip(), 'description': more.strip()}
    return {
        'operationId': '_'.join((version, *names, action)),
        'tags': ['/'.join(names)],
        **{key: text for key, text in texts.items() if text},
        'requestBody': _body(route, examples),
        'responses': _responses(route.action, examples),
    }


def _body(route: Route, examples: Sequence[Example]) -> dict[str, Any]:
    if route.action.raw_environ:
        return {'content': {'*/*': {}}}
    shown = {
        f'{number} {status_line(example.status)}': {'value': example.request}
        for number, example in enumerate(examples, 1) if isinstance(example.request, Mapping)
    }
    content = {'schema': request_schema(route.description.fields)} | ({'examples': shown} if shown else {})
    return {'required': True, 'content': {JSON: content}}


def _responses(action: Action, examples: Sequence[Example]) -> dict[str, Any]:
    """Of the statuses that any action may have, and those of the examples."""
    if action.raw_response:
        return {'default': {'description': 'as the handler answers', 'content': {'*/*': {}}}}
    statuses = sorted({200, *([] if action.raw_environ else [400]), 500, *(example.status for example in examples)})
    return {str(status): _response(status, [one for one in examples if one.status == status]) for status in statuses}


def _response(status: int, examples: Sequence[Example]) -> dict[str, Any]:
    shown = {str(number): {'value': example.answer} for number, example in enumerate(examples, 1)}
    content = {'schema': ERROR if status >= 400 else {}} | ({'examples': shown} if shown else {})
    return {'description': status_line(status).partition(' ')[2], 'content': {JSON: content}}
