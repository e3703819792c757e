"""``python -m testbed.agents home|foreign|mobile --config FILE``: one agent, until SIGTERM.

Exit status: 0 left on request, 1 an unforeseen error (traceback on standard error), 2 wrong usage or configuration, or
the node is not as the configuration says, 3 the machine lacks something.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agents.config import ROLES, read_config
from testbed.agents.event_log import EventLog
from testbed.agents.settings import ForeignSettings, HomeSettings, MobileSettings, Settings
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from testbed.agents.launching import Launched

USAGE = f"usage: python -m testbed.agents {'|'.join(ROLES)} --config FILE"


def main(arguments: list[str]) -> int:
    """Run an agent and return its exit status. No argument parser: it would cost a tenth of the time to start."""
    match arguments:
        case [role, "--config", file] if role in ROLES:
            pass
        case ["-h" | "--help"]:
            print(USAGE)
            return 0
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    try:
        settings = read_config(Path(file), role)
        with ExitStack() as undo:
            process, told = _launch(settings, lambda: read_config(Path(file), role), undo)
            gc.freeze()  # what exists by now stays; the collector need not look at it again and again
            process.run(**told)
    except TestbedError as failure:
        print(f"{role} agent: {failure}", file=sys.stderr)
        return failure.exit_code
    except BrokenPipeError:
        # Nobody reads our events any more: whoever started us is gone. Kernel state has been undone on the way here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _launch(settings: Settings, reload: Callable[[], Settings], undo: ExitStack) -> Launched:
    # Imported when the role is known: an agent that loads only its own role starts a third sooner.
    log = EventLog(sys.stdout.fileno())
    match settings:
        case HomeSettings():
            from testbed.agents import launch_home

            return launch_home.launch(settings, reload, log, undo)
        case ForeignSettings():
            from testbed.agents import launch_foreign

            return launch_foreign.launch(settings, reload, log, undo)
        case MobileSettings():
            from testbed.agents import launch_mobile

            return launch_mobile.launch(settings, reload, log, undo)


if __name__ == "__main__":
    # Until the agent is at work: nothing to read again yet, and leaving must undo what is there already.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main(sys.argv[1:]))
