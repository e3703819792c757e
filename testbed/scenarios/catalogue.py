"""The scenarios that come with the testbed, by name.

A scenario is declared where it is told, with :func:`scenario`; listing them imports nothing but their declarations.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.errors import ScenarioError

if TYPE_CHECKING:
    from testbed.scenarios.lab import Lab

Story = Callable[["Lab", Any], Awaitable[None]]

_MODULES = {"roam": "testbed.scenarios.roam"}


@dataclass(frozen=True)
class Scenario:
    """What happens in a lab, and the options that change it."""

    name: str
    title: str  # one line
    description: str
    topology: str  # a name of testbed.topologies.catalogue
    options: type  # a frozen dataclass of options.option() fields
    story: Story


def scenario(name: str, *, title: str, topology: str, options: type) -> Callable[[Story], Scenario]:
    """Declare the decorated async function ``(lab, options)`` to be a scenario; its docstring is the description."""

    def declare(story: Story) -> Scenario:
        return Scenario(name, title, (story.__doc__ or "").strip(), topology, options, story)

    return declare


def names() -> list[str]:
    """All scenarios' names, sorted."""
    return sorted(_MODULES)


def get(name: str) -> Scenario:
    """The scenario of that name.

    :raises ScenarioError: there is none.
    """
    if name not in _MODULES:
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(names())
        raise ScenarioError(f"unknown scenario '{name}'", hint=hint)
    module = importlib.import_module(_MODULES[name])
    found: Scenario = module.SCENARIO
    return found
