"""Begins and ends a run: network, captures, story, and the lab taken down again, whatever happened.

Called inside the private world (testbed.network.world), except for :func:`check_machine`, which is asked before. What
happens in between is the scenario's; what it may do to the lab is ``lab.py``; what is written is ``run_folder.py``.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from testbed.evidence.capture import Capture
from testbed.network.netns import Namespace
from testbed.reports.result import RunListener, RunResult, Verdict
from testbed.scenarios.catalogue import Scenario
from testbed.scenarios.lab import Lab
from testbed.scenarios.machine import check_machine, choose_driver
from testbed.scenarios.options import render
from testbed.scenarios.run_folder import new_folder, recorded, write
from testbed.scenarios.signals import ended_by_signals
from testbed.topologies.lab import build_lab
from testbed.topologies.plan import TopologyPlan

__all__ = ["check_machine", "run_scenario"]

_SMALLEST_CLOCK_STEP_S = 0.1  # slewing (adjtime) changes a clock by 0.5 ms a second at the most


def run_scenario(
    scenario: Scenario,
    options: Any,
    *,
    out: Path | None,
    tunnel: str,
    listener: RunListener,
    agent_programs: Mapping[str, Sequence[str]] | None = None,
) -> RunResult:
    """Run a scenario and write its folder: reports, merged packets, events and the agents' logs.

    :param out: the folder to write to; None makes one below ``runs`` named after the time and the scenario.
    :param tunnel: the tunnel driver, or ``auto`` for the one that this kernel has.
    :param agent_programs: by role (home, foreign, mobile), a program to start instead of our agent.

    What goes wrong in the lab, or when it is taken down, is in the result (``error``); an interrupt (SIGINT, SIGTERM,
    SIGHUP) too (``interrupted``). Other exceptions come through once the folder is written.
    """
    folder = out or new_folder(scenario.name)
    folder.mkdir(parents=True, exist_ok=True)
    driver = choose_driver(tunnel)
    plan: TopologyPlan = options.plan()
    run = RunResult(
        scenario=scenario.name,
        title=scenario.title,
        topology=plan.name,
        options={name: render(value) for name, value in vars(options).items()},
        environment=_environment(driver),
        started_ns=time.time_ns(),
        folder=str(folder),
    )
    clock_offset_ns = _clock_offset_ns()
    listener.run_started(run)
    # scapy takes its time to import, and checks need it: let that pass while the lab is built.
    threading.Thread(target=import_module, args=("testbed.evidence.mobile_ip_reader",), daemon=True).start()
    lab: Lab | None = None
    with _without_collector(), ended_by_signals():
        try:
            # Recorded twice: the story's own error comes first, and one of taking the lab down is not lost either.
            with recorded(run), ExitStack() as undo, recorded(run):
                lab = _open_lab(undo, plan, run, folder, listener, driver, agent_programs)
                asyncio.run(_tell(scenario, lab, options))
        finally:
            run.ended_ns = time.time_ns()
            _judge_clock(run, clock_offset_ns)
            write(run, lab, folder, clock_offset_ns)
            listener.run_ended(run)
    return run


def _open_lab(
    undo: ExitStack,
    plan: TopologyPlan,
    run: RunResult,
    folder: Path,
    listener: RunListener,
    driver: str,
    agent_programs: Mapping[str, Sequence[str]] | None,
) -> Lab:
    listener.progress(f"building {plan.name}")
    net = build_lab(plan)
    undo.callback(net.stop)
    capture = Capture(folder / "captures")
    undo.callback(capture.stop)
    lab = Lab(plan, net, capture, run, folder, listener, tunnel_driver=driver, agent_programs=agent_programs)
    undo.callback(lab.stop_agents)
    undo.callback(lab.at_the_end.close)
    listener.progress("starting captures")
    places: list[tuple[Namespace, str]] = [
        (lab.namespace(node.name), interface.name) for node in plan.nodes for interface in node.interfaces
    ]
    capture.start(places)
    return lab


async def _tell(scenario: Scenario, lab: Lab, options: Any) -> None:
    await scenario.story(lab, options)
    lab.refresh()


@contextmanager
def _without_collector() -> Iterator[None]:
    """No search for garbage in cycles: packets only become more during a run, and searching them all takes as long as
    reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _clock_offset_ns() -> int:
    """What the system clock is ahead of the one that nobody sets; it changes when somebody sets the former."""
    return time.time_ns() - time.monotonic_ns()


def _judge_clock(run: RunResult, offset_before_ns: int) -> None:
    """Checks compare the system clock's times: where that was set during the run, no failure means anything."""
    step_s = (_clock_offset_ns() - offset_before_ns) / 1e9
    if abs(step_s) < _SMALLEST_CLOCK_STEP_S:
        return
    run.environment["system clock"] = f"set by {step_s:+.3f} s during the run"
    if run.verdict is Verdict.FAIL:
        run.error = f"the system clock was set by {step_s:+.3f} s during the run, so that times do not compare"


def _environment(driver: str) -> dict[str, str]:
    return {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "tunnel driver": driver,
        "ingress filter flavour": "nftables",
        "link emulation": "none",
        "user": "root" if os.environ.get("SUDO_UID") or os.geteuid() == 0 else "ordinary",
    }
