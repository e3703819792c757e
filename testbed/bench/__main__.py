"""``python -m testbed.bench [--json] [--list] [NAME…]``: run benchmarks, print a table or JSON.

Exit status 0 also where a target is missed: a benchmark tells, it does not judge. 2 and 3 as everywhere.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from testbed.bench.rows import Row, number
from testbed.errors import TestbedError

# By module, in the order in which they run; imported when they do.
BENCHMARKS = {
    "many_hosts": "a lab of 100 hosts, ours against plain Mininet",
    "tunnel_throughput": "TCP through a tunnel against TCP without it",
    "agent_start": "an agent's start and memory",
    "registrations": "a home agent's registrations per second",
    "handoffs": "handoff latency over 20 moves",
}


_WIDTH_OF_A_FILE = 120


def main(arguments: list[str]) -> int:
    """The exit status."""
    options = _parser().parse_args(arguments)
    if options.list:
        for name, title in BENCHMARKS.items():
            print(f"{name:20}{title}")
        return 0
    rows: dict[str, list[Row]] = {}
    for name in options.names or BENCHMARKS:
        print(f"{name}: {BENCHMARKS[name]} …", file=sys.stderr, flush=True)
        try:
            rows[name] = importlib.import_module(f"testbed.bench.{name}").measure()
        except TestbedError as error:
            print(f"testbed: {name}: {error}", file=sys.stderr)
            return error.exit_code
    machine = f"Linux {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if options.json:
        results = {name: [row.plain() for row in found] for name, found in rows.items()}
        print(json.dumps({"machine": machine, "benchmarks": results}, indent=2, ensure_ascii=False))
    else:
        width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
        Console(highlight=False, width=width).print(_table(machine, (row for found in rows.values() for row in found)))
    return 0


def _table(machine: str, rows: Iterable[Row]) -> Table:
    table = Table(title=machine, title_justify="left")
    for heading in ("what", "value", "target", "met", "how"):
        table.add_column(heading, justify="right" if heading in ("value", "target") else "left")
    for row in rows:
        met = {None: "", True: "yes", False: "NO"}[row.met]
        table.add_row(row.name, f"{number(row.value)} {row.unit}".strip(), str(row.target or ""), met, row.detail)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="testbed bench", description="Measure what the design promises.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *BENCHMARKS], help=", ".join(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="print JSON to standard output, and nothing else there")
    parser.add_argument("--list", action="store_true", help="say which benchmarks there are")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
