"""Begins and ends a run: folder, network, captures, story, and what is written at the end, whatever happened.

Called inside the private world (testbed.network.world), except for :func:`check_machine`, which is asked before. What
happens in between is the scenario's; what it may do to the lab is ``lab.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from testbed.errors import LabError, TestbedError
from testbed.evidence.capture import Capture
from testbed.evidence.merge import write_merged
from testbed.network.netns import Namespace
from testbed.reports import json_report, junit
from testbed.reports.result import RunListener, RunResult
from testbed.scenarios.catalogue import Scenario
from testbed.scenarios.lab import Lab
from testbed.scenarios.machine import check_machine, choose_driver
from testbed.scenarios.options import render
from testbed.topologies.lab import build_lab
from testbed.topologies.plan import TopologyPlan

__all__ = ["check_machine", "run_scenario"]

RUNS_FOLDER = Path("runs")


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

    What goes wrong in the lab is in the result (``error``); an interrupt too (``interrupted``). Other exceptions come
    through once the folder is written.
    """
    folder = out or _new_folder(scenario.name)
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
    clock_offset_ns = time.time_ns() - time.monotonic_ns()
    listener.run_started(run)
    # scapy takes its time to import, and checks need it: let that pass while the lab is built.
    threading.Thread(target=import_module, args=("testbed.evidence.mobile_ip_reader",), daemon=True).start()
    lab: Lab | None = None
    try:
        with ExitStack() as undo, _recorded(run):
            lab = _open_lab(undo, plan, run, folder, listener, driver, agent_programs)
            asyncio.run(_tell(scenario, lab, options))
    finally:
        run.ended_ns = time.time_ns()
        _write(run, lab, folder, clock_offset_ns)
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
    undo.callback(_run_all, lab.at_the_end)
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
def _recorded(run: RunResult) -> Iterator[None]:
    """Keep in the result what broke the run; errors that are not ours go on as well."""
    try:
        yield
    except KeyboardInterrupt:
        run.interrupted = True
        run.error = "interrupted"
    except TestbedError as error:
        run.error = str(error)
    except Exception as error:
        run.error = f"{type(error).__name__}: {error}"
        Path(run.folder, "traceback.txt").write_text(traceback.format_exc())
        raise


def _run_all(callbacks: list[Any]) -> None:
    for callback in reversed(callbacks):
        callback()


def _write(run: RunResult, lab: Lab | None, folder: Path, clock_offset_ns: int) -> None:
    """Everything that belongs into the run's folder; the reports come last, so that they name what is there."""
    if lab is not None:
        lab.packets.refresh()
        comments = [(step.started_ns, f"step {step.number}: {step.title}") for step in run.steps]
        frames = write_merged(lab.packets, folder / "packets.pcapng", comments)
        run.artifacts["packets"] = "packets.pcapng"
        run.environment["packets captured"] = str(frames)
        dropped = sum(statistics.dropped for statistics in lab.capture.statistics)
        run.environment["packets missed by captures"] = str(dropped)
        _write_events(run, lab, folder / "events.jsonl", clock_offset_ns)
        run.artifacts["events"] = "events.jsonl"
        for agent in lab.agents.values():
            run.artifacts[f"log of {agent.node}"] = str(agent.log_path.relative_to(folder))
    run.artifacts.update({"report": "report.json", "junit": "junit.xml"})
    json_report.write(run, folder / "report.json")
    junit.write(run, folder / "junit.xml")
    _give_to_caller(folder)


def _write_events(run: RunResult, lab: Lab, path: Path, clock_offset_ns: int) -> None:
    """One line for each event, in time order: steps and checks of the run, and what the agents told."""
    events: list[dict[str, Any]] = []
    for step in run.steps:
        events.append({"time_ns": step.started_ns, "event": "step", "number": step.number, "title": step.title})
        ended_ns = step.ended_ns or run.ended_ns or step.started_ns
        events += [
            {"time_ns": ended_ns, "event": "check", "step": step.number, "name": c.name, "verdict": c.verdict.value}
            for c in step.checks
        ]
    for agent in lab.agents.values():
        for told in agent.events():
            time_ns = int(told.get("monotonic_ns", 0)) + clock_offset_ns
            events.append({"time_ns": time_ns, "node": agent.node, "role": agent.role, **told})
    events.sort(key=lambda event: event["time_ns"])
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def _environment(driver: str) -> dict[str, str]:
    return {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "tunnel driver": driver,
        "ingress filter flavour": "nftables",
        "link emulation": "none",
        "user": "root" if os.environ.get("SUDO_UID") or os.geteuid() == 0 else "ordinary",
    }


def _new_folder(name: str) -> Path:
    """A folder that nobody has: two runs of the same second get different ones."""
    stem = time.strftime("%Y%m%d-%H%M%S") + f"-{name}"
    for attempt in range(1, 1000):
        folder = RUNS_FOLDER / (stem if attempt == 1 else f"{stem}-{attempt}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise LabError(f"no free folder {RUNS_FOLDER / stem}-…", hint="give one with --out")


def _give_to_caller(folder: Path) -> None:
    """Files made through sudo belong to the user who called it."""
    if os.geteuid() != 0 or "SUDO_UID" not in os.environ:
        return
    uid, gid = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1"))
    paths = [folder, *folder.rglob("*")]
    if folder.parent == RUNS_FOLDER:
        paths.append(RUNS_FOLDER)
    for path in paths:
        os.chown(path, uid, gid, follow_symlinks=False)
