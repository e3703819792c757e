"""A scenario that costs nothing, a runner that builds nothing, and a way to call the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from testbed.cli.app import main
from testbed.errors import MachineError
from testbed.network import world
from testbed.reports.result import CheckResult, RunListener, RunResult, StepResult, Verdict
from testbed.scenarios import catalogue
from testbed.scenarios.catalogue import Scenario
from testbed.scenarios.options import option

_RUN_IN_WORLD = world.run_in_world


@dataclass(frozen=True)
class StrollOptions:
    """Options of the scenario ``stroll``."""

    ingress: str = option("off", choices=("off", "acl"), help="the filter")
    laps: int = option(2, minimum=1, maximum=9, help="how often around")
    reverse_tunnel: bool = option(False, help="tunnel both ways")


async def _stroll(lab: Any, options: Any) -> None:
    raise AssertionError("the fake runner tells no story")


STROLL = Scenario(
    "stroll", "A node goes for a stroll", "It walks, → and returns.", "two-visited", StrollOptions, _stroll
)


@dataclass
class FakeRunner:
    """Stands for ``testbed.scenarios.runner``: notes what it is called with and gives the result it is set to."""

    verdict: Verdict = Verdict.PASS
    interrupted: bool = False
    refuses: Exception | None = None  # raised by check_machine
    breaks: BaseException | None = None  # raised by run_scenario
    calls: list[str] = field(default_factory=list)
    asked_for: dict[str, Any] = field(default_factory=dict)

    def check_machine(self, scenario: Scenario, tunnel: str) -> None:
        self.calls.append("check_machine")
        if self.refuses:
            raise self.refuses

    def run_scenario(
        self, scenario: Scenario, options: Any, *, out: Path | None, tunnel: str, listener: RunListener
    ) -> RunResult:
        self.calls.append("run_scenario")
        self.asked_for = {"scenario": scenario.name, "options": options, "out": out, "tunnel": tunnel}
        if self.breaks:
            raise self.breaks
        check = CheckResult("path", "packets arrive", self.verdict, expected="5 of 5", observed="as the verdict says")
        step = StepResult(1, "Around the block", started_ns=0, ended_ns=10**9, checks=[check])
        run = RunResult("stroll", scenario.title, "two-visited", {}, {}, 0, 10**9, interrupted=self.interrupted)
        listener.run_started(run)
        listener.step_started(step)
        listener.check_ended(step, check)
        listener.step_ended(step)
        run.steps.append(step)
        listener.run_ended(run)
        return run


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    """The scenario ``stroll`` next to the real ones, a fake runner, and this process in place of a private world."""
    fake = FakeRunner()
    module = ModuleType("testbed.scenarios.runner")
    module.__dict__.update(check_machine=fake.check_machine, run_scenario=fake.run_scenario)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    stories = ModuleType("tests.cli.stroll")
    stories.__dict__["SCENARIO"] = STROLL
    monkeypatch.setitem(sys.modules, stories.__name__, stories)
    monkeypatch.setattr(catalogue, "_MODULES", {"roam": "testbed.scenarios.roam", "stroll": stories.__name__})

    def run_here(call: Callable[[], int]) -> int:
        fake.calls.append("run_in_world")
        return call()

    monkeypatch.setattr(world, "run_in_world", run_here)
    for variable in ("TESTBED_OUT", "TESTBED_TUNNEL"):
        monkeypatch.delenv(variable, raising=False)
    return fake


@pytest.fixture
def real_world(runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake runner in a private world of its own; skips where this user may not have one."""
    try:
        _RUN_IN_WORLD(lambda: 0)
    except MachineError as error:
        pytest.skip(f"no private world here: {error}")
    monkeypatch.setattr(world, "run_in_world", _RUN_IN_WORLD)


@dataclass(frozen=True)
class Outcome:
    """What a command line came to."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def testbed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Call the command line in a folder of its own: ``testbed("run", "stroll")``."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Outcome:
        status = main(list(words))
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call
