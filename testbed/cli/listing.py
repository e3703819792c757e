"""``testbed list``: the scenarios that can be run."""

from __future__ import annotations

import json
import sys

from testbed.cli import output
from testbed.cli.tables import table
from testbed.scenarios import catalogue


def list_scenarios(*, as_json: bool) -> int:
    """Print each scenario's name and title."""
    scenarios = [catalogue.get(name) for name in catalogue.names()]
    if as_json:
        listed = [{"name": one.name, "title": one.title, "topology": one.topology} for one in scenarios]
        output.say_utf8(json.dumps(listed, indent=2, ensure_ascii=False) + "\n")
        return 0
    rows = [(one.name, one.title) for one in scenarios]
    for line in table(rows, width=output.terminal_width(sys.stdout)):
        output.say(line)
    return 0
