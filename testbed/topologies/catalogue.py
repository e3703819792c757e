"""The topologies that there are, by name."""

from __future__ import annotations

import difflib

from testbed.errors import ScenarioError
from testbed.topologies import two_visited
from testbed.topologies.plan import TopologyPlan

_PLANS = {plan.name: plan for plan in (two_visited.PLAN,)}


def names() -> list[str]:
    """All names, in alphabetical order."""
    return sorted(_PLANS)


def get(name: str) -> TopologyPlan:
    """The plan of this name; raises ``ScenarioError`` that lists what there is and names the closest match."""
    if name in _PLANS:
        return _PLANS[name]
    close = difflib.get_close_matches(name, _PLANS, n=1)
    hint = f"did you mean {close[0]}?" if close else None
    raise ScenarioError(f"unknown topology {name}; there are: {', '.join(names())}", hint=hint)
