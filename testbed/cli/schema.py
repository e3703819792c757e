"""``testbed schema``: the JSON schemas of what the testbed reads and writes."""

from __future__ import annotations

from importlib import resources

from testbed.cli import output, suggestions
from testbed.errors import UsageError

_FILES = {
    "agent": ("testbed.agents", "schema.json"),
    "report": ("testbed.reports", "report.schema.json"),
}


def schema(kind: str) -> int:
    """Print a schema to standard output.

    :raises UsageError: there is none of that kind.
    """
    if kind not in _FILES:
        raise UsageError(f"unknown schema '{kind}'", hint=suggestions.hint(kind, _FILES))
    package, file = _FILES[kind]
    output.say_utf8(resources.files(package).joinpath(file).read_text(encoding="utf-8"))
    return 0
