"""``testbed schema``: the JSON schemas of what the testbed reads and writes."""

from __future__ import annotations

import json

from testbed.cli import output, suggestions
from testbed.errors import UsageError

KINDS = ("agent", "report")


def schema(kind: str) -> int:
    """Print a schema to standard output.

    :raises UsageError: there is none of that kind.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown schema '{kind}'", hint=suggestions.hint(kind, KINDS))
    if kind == "report":
        from testbed.reports import json_report

        found = json_report.schema()
    else:
        from testbed.agents import config_schema

        found = config_schema.schema()
    output.say_utf8(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return 0
