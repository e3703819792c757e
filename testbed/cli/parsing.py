"""Command lines that cannot be parsed, told in the testbed's own words: one line, with what may have been meant.

Typer finds such errors with the parser of click, which it either requires or carries inside, depending on its version.
Therefore the parser's errors are known here by what Typer exports, and by the attributes that they have in both.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from testbed.cli import suggestions
from testbed.errors import UsageError

# BadParameter is the one of the parser's errors that Typer exports; its base is the base of all errors of usage.
ParserError: type[Exception] = typer.BadParameter.__bases__[0]

_EXTRA_ARGUMENTS = re.compile(r"unexpected extra argument\S* \((.*)\)")


class _PlainHelp:
    """Gives ``--help`` a default that is a bool.

    Typer from 0.29 on imports pydantic (0.15 s) for any value that is none, and by default help's is None.
    """

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False
        return option


class OneCommand(_PlainHelp, TyperCommand):
    """A single command."""


class Commands(_PlainHelp, TyperGroup):
    """All commands; names the closest one where a command is not known."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            raise UsageError(f"unknown command '{args[0]}'", hint=suggestions.hint(args[0], self.commands))
        return super().resolve_command(ctx, args)


def usage_error(error: Exception) -> UsageError:
    """The parser's error as one of ours."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "testbed"
    option = getattr(error, "option_name", None)
    kind = type(error).__name__
    if kind == "NoSuchOption":
        known = [name for parameter in context.command.params for name in parameter.opts] if context else []
        options = [name for name in known if name.startswith("-")]  # the others are arguments
        hint = suggestions.hint(str(option), [*options, "--help"])
        return UsageError(f"unknown option '{option}' of {command}", hint=hint)
    if kind == "MissingParameter":
        missing = getattr(error, "param", None)
        name = (missing.metavar or missing.name) if missing else "argument"
        return UsageError(f"missing {name}", hint=f"see {command} --help")
    return UsageError(_clause(str(getattr(error, "message", error))), hint=f"see {command} --help" if context else None)


def _clause(sentence: str) -> str:
    """The parser's sentence in a form that may stand after a colon, and that does not depend on the version."""
    if extra := _EXTRA_ARGUMENTS.search(sentence):
        return f"unexpected argument '{extra[1]}'"
    return sentence[:1].lower() + sentence[1:].rstrip(".")
