"""A run's folder: where it is, and what is written to it at the end, whatever happened."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from testbed.errors import LabError, TestbedError
from testbed.evidence.merge import write_merged
from testbed.reports import json_report, junit
from testbed.reports.result import RunResult
from testbed.scenarios.lab import Lab
from testbed.scenarios.signals import undisturbed

RUNS_FOLDER = Path("runs")


def new_folder(name: str) -> Path:
    """A folder that nobody has: two runs of the same second get different ones."""
    stem = time.strftime("%Y%m%d-%H%M%S") + f"-{name}"
    for attempt in range(1, 1000):
        folder = RUNS_FOLDER / (stem if attempt == 1 else f"{stem}-{attempt}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise LabError(f"no free folder {RUNS_FOLDER / stem}-…", hint="give one with --out")


@contextmanager
def recorded(run: RunResult) -> Iterator[None]:
    """Keep in the result what broke the run first; errors that are not ours go on as well."""
    try:
        yield
    except KeyboardInterrupt:
        run.interrupted = True
        run.error = run.error or "interrupted"
    except TestbedError as error:
        run.error = run.error or str(error)
    except Exception as error:
        run.error = run.error or f"{type(error).__name__}: {error}"
        Path(run.folder, "traceback.txt").write_text(traceback.format_exc())
        run.artifacts["traceback"] = "traceback.txt"
        raise


def write(run: RunResult, lab: Lab | None, folder: Path, clock_offset_ns: int) -> None:
    """Everything that belongs into the run's folder; the reports come last, so that they name what is there.

    They are written whatever becomes of the rest: it is then that they are needed. Ctrl-C ends the merging of packets,
    which may take a while, and nothing else. ``clock_offset_ns`` is what the system clock was ahead of the monotonic
    one.
    """
    try:
        if lab is not None:
            with recorded(run):
                _write_packets(run, lab, folder)
    finally:
        with undisturbed():
            _write_reports(run, lab, folder, clock_offset_ns)


def _write_reports(run: RunResult, lab: Lab | None, folder: Path, clock_offset_ns: int) -> None:
    try:
        if lab is not None:
            with recorded(run):
                _write_events(run, lab, folder / "events.jsonl", clock_offset_ns)
    finally:
        run.artifacts.update({"report": "report.json", "junit": "junit.xml"})
        json_report.write(run, folder / "report.json")
        junit.write(run, folder / "junit.xml")
        _give_to_caller(folder)


def _write_packets(run: RunResult, lab: Lab, folder: Path) -> None:
    statistics = lab.capture.statistics
    run.environment["packets missed by captures"] = str(sum(one.dropped for one in statistics))
    broken = [f"{one.node}:{one.interface}: {one.complaint}" for one in statistics if one.complaint]
    if broken:
        run.environment["captures that broke"] = "; ".join(broken)
    lab.packets.refresh()
    comments = [(step.started_ns, f"step {step.number}: {step.title}") for step in run.steps]
    frames = write_merged(lab.packets, folder / "packets.pcapng", comments)
    run.artifacts["packets"] = "packets.pcapng"
    run.environment["packets captured"] = str(frames)


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
        if agent.log_path.exists():
            run.artifacts[f"log of {agent.node}"] = str(agent.log_path.relative_to(lab.folder))
        for told in agent.events():
            monotonic_ns = told.get("monotonic_ns")
            time_ns = monotonic_ns + clock_offset_ns if isinstance(monotonic_ns, int) else run.started_ns
            # Ours hold, whatever the agent calls its own facts: these are where and when it told them.
            ours = {"time_ns": time_ns, "node": agent.node, "role": agent.role}
            events.append(ours | told | ours)
    events.sort(key=lambda event: event["time_ns"])
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    run.artifacts["events"] = "events.jsonl"


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
