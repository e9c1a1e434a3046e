"""What `help` says, on all commands, on one, or on what an action takes."""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ...api.actions import ACTIONS
from ..source.field_call import hint
from ..source.fields import Description
from .context import BadLine, Context, first_word
from .effect import Effect, Show

FOOTNOTE = """

A request is JSON or items, or both:
  read echo {"a": 1}
  read echo key=text key="two words" key:=JSON a.b=text list[]=text key=@file
The last answer, or a part of it:         read item id=$.items[0].id
Its way to other programs and files:      read items | jq .items > items.json
Ctrl-C cancels a call, Tab completes, Ctrl-R searches the history.
Saved files are live at once."""


@dataclass(frozen=True, slots=True)
class Command:
    """A word that may begin a line, what may follow it, and what that does."""
    name: str
    arguments: str
    help: str
    act: Callable[[str, Context], Effect]

    @property
    def usage(self) -> str:
        return f'{self.name} {self.arguments}'.rstrip()


def help_on(topic: str, context: Context, commands: Mapping[str, Command]) -> Show:
    word, rest = first_word(topic)
    if not word:
        return Show(_overview(commands), is_table=True)
    if word in ACTIONS and rest:
        return Show(_on_target(rest, word, context, commands), is_table=True)
    if word in commands:
        return Show(f'{commands[word].usage}\n  {commands[word].help}', is_table=True)
    return Show(_on_target(word, '', context, commands), is_table=True)


def _on_target(target: str, action: str, context: Context, commands: Collection[str]) -> str:
    described = context.describe(context.version, target)
    actions = [name for name in context.routes.actions(context.version, target) if action in ('', name)]
    if not actions:
        _refuse(target, action, context, commands)
    return '\n'.join(_on_action(name, target, described.get(name)) for name in actions)


def _refuse(target: str, action: str, context: Context, commands: Collection[str]) -> None:
    known = {target: '' for action in ACTIONS for target in context.routes.targets(context.version, action)}
    near = get_close_matches(target, [*commands, *known], 1)
    meant = f'; did you mean {near[0]!r}?' if near else ''
    raise BadLine(f'there is no {f"{action} {target}".strip()!r} to help with{meant}')


def _on_action(action: str, target: str, description: Description | None) -> str:
    lines = [f'{action} {target}']
    if description:
        lines += [f'  {line}' for line in description.doc.splitlines()]
        width = max((len(field.name) for field in description.fields), default=0)
        lines += [f'    {field.name:{width}}  {hint(field)}'.rstrip() for field in description.fields]
    return '\n'.join(lines)


def _overview(commands: Mapping[str, Command]) -> str:
    shown = [command for name, command in commands.items() if name == command.name]  # without other names of one
    width = max(len(command.usage) for command in shown)
    return '\n'.join(f'{command.usage:{width}}  {command.help}' for command in shown) + FOOTNOTE
