"""``testbed run``: everything is read and validated first, then the lab is built in a private world and the story told.

What happens in the world, and what is written to the run's folder, is the business of ``testbed.scenarios.runner``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from testbed.cli import output
from testbed.errors import OptionError, UsageError
from testbed.reports.result import RunResult, Verdict

if TYPE_CHECKING:
    from testbed.reports.console import RunConsole
    from testbed.scenarios.catalogue import Scenario

TUNNEL_DRIVERS = ("auto", "netdev", "ebpf")

_HOLDS, _FAILED, _BROKEN = 0, 1, 2


def run(
    scenario_name: str, *, settings: Sequence[str], out: str | None, tunnel: str, as_json: bool, quiet: bool
) -> int:
    """Run a scenario; the exit status says how it ended.

    :raises UsageError: something was asked for that cannot be; nothing has been built.
    :raises MachineError: this machine cannot run it; nothing has been built.
    """
    from testbed.scenarios import catalogue, options

    scenario = catalogue.get(scenario_name)
    chosen: Any = options.parse_settings(scenario.options, settings)
    if tunnel not in TUNNEL_DRIVERS:
        raise OptionError(f"--tunnel: '{tunnel}' is not one of {', '.join(TUNNEL_DRIVERS)}")
    folder = usable_folder(out)

    from testbed.network.world import run_in_world
    from testbed.scenarios.runner import check_machine

    check_machine(scenario, tunnel)
    if folder:
        # Made before the world is: in there, what is created at the top of /run would go with the world.
        _make(folder)
    tell_story = partial(_run_here, scenario, chosen, out=folder, tunnel=tunnel, as_json=as_json, quiet=quiet)
    return run_in_world(lambda: output.guarded(tell_story))


def usable_folder(out: str | None) -> Path | None:
    """The folder for the run's files, checked but not made; None where the runner is to choose one below ``runs``.

    :raises UsageError: it holds something already, is no folder, or cannot be written to.
    """
    if out == "":
        raise UsageError("--out: the name is empty", hint="expected a folder that is new or empty")
    folder = Path(out) if out else None
    if folder and os.path.lexists(folder):
        if not folder.is_dir():
            raise UsageError(f"--out {folder}: is a file", hint="expected a folder that is new or empty")
        if not os.access(folder, os.R_OK):
            raise UsageError(f"--out {folder}: no permission to read it", hint="expected a folder that is new or empty")
        if any(folder.iterdir()):
            raise UsageError(f"--out {folder}: is not empty", hint="expected a folder that is new or empty")
    place = folder or Path("runs")
    existing = next(parent for parent in (place.absolute(), *place.absolute().parents) if os.path.exists(parent))
    if not existing.is_dir():
        raise UsageError(f"{place}: {existing} is a file", hint="give another folder with --out")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{place}: no permission to write in {existing}", hint="give another folder with --out")
    return folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a read-only or special file system, a name that is too long
        raise UsageError(f"--out {folder}: cannot be made: {error.strerror}", hint="give another folder") from error


def exit_status(result: RunResult) -> int:
    """0 where all checks hold, 1 where one does not, 2 where the run broke, 130 where the user ended it."""
    if result.interrupted:
        return output.INTERRUPTED
    return {Verdict.FAIL: _FAILED, Verdict.ERROR: _BROKEN}.get(result.verdict, _HOLDS)


def _run_here(scenario: Scenario, options: Any, *, out: Path | None, tunnel: str, as_json: bool, quiet: bool) -> int:
    """Inside the world: tell the story on the console, and the report on standard output where it is asked for."""
    from testbed.reports import json_report
    from testbed.scenarios.runner import run_scenario

    with run_console(sys.stderr if as_json else sys.stdout, quiet=quiet) as console:
        result = run_scenario(scenario, options, out=out, tunnel=tunnel, listener=console)
    if as_json:
        output.say_utf8(json_report.dumps(result))
    return exit_status(result)


def run_console(stream: TextIO, *, quiet: bool) -> RunConsole:
    """Live on a terminal that can be written to anywhere, plain lines otherwise."""
    from rich.console import Console

    from testbed.reports.console import LiveConsole, PlainConsole
    from testbed.reports.wording import marks_for

    terminal = Console(file=stream, highlight=False)
    if terminal.is_terminal and not terminal.is_dumb_terminal and not quiet:
        return LiveConsole(terminal)
    return PlainConsole(partial(output.say, stream=stream), marks_for(stream.encoding), quiet=quiet)
