"""The result of a run as plain data: what every renderer is given and nothing else.

Times are Unix nanoseconds. A run holds steps, a step holds checks and paths. Nothing here does I/O or knows a lab.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Verdict(StrEnum):
    """How a check, a step or a run ended."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"  # the lab or the scenario broke: nothing can be said about what was checked
    SKIP = "skip"  # not applicable; ``observed`` says why


_WORST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.PASS, Verdict.SKIP)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict of a whole: the worst of its parts; PASS where there are none."""
    return next((verdict for verdict in _WORST_FIRST if verdict in verdicts), Verdict.PASS)


@dataclass(frozen=True)
class CheckResult:
    """One claim held against packets and kernel state."""

    name: str  # stable identifier, e.g. "path", "proxy-arp"
    title: str  # the claim as a sentence: "packets of cn reach mn through the tunnel"
    verdict: Verdict
    expected: str
    observed: str
    node: str | None = None
    evidence: tuple[str, ...] = ()  # lines: packets with their interface and number, kernel state
    rules: tuple[str, ...] = ()  # ids of the rules and promises it stands for: "H12", "G8"
    look_closer: str | None = None  # a command
    duration_s: float = 0.0


@dataclass(frozen=True)
class PathResult:
    """The way that packets took, as a trace found it."""

    title: str  # "correspondent to mobile node"
    path: str  # "cn → core ⇒ fa-a → mn"
    hops: int
    tunnelled: bool


@dataclass
class StepResult:
    """One step of a scenario."""

    number: int  # from 1
    title: str
    started_ns: int
    ended_ns: int | None = None
    checks: list[CheckResult] = field(default_factory=list)
    paths: list[PathResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str | None = None  # set where the step could not be finished

    @property
    def verdict(self) -> Verdict:
        own = [Verdict.ERROR] if self.error else []
        return worst(own + [check.verdict for check in self.checks])


@dataclass(frozen=True)
class Measure:
    """One figure taken from packets, with its unit."""

    name: str  # "handoff to visited-a"
    value: float
    unit: str  # "ms", "packets"
    detail: str = ""


@dataclass
class RunResult:
    """One execution of a scenario."""

    scenario: str
    title: str
    topology: str
    options: dict[str, Any]
    environment: dict[str, str]  # kernel, tunnel driver, filter flavour, link emulation, python, user
    started_ns: int
    ended_ns: int | None = None
    steps: list[StepResult] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)  # name -> path relative to ``folder``
    folder: str = ""
    error: str | None = None  # set where the run could not be finished
    interrupted: bool = False

    @property
    def verdict(self) -> Verdict:
        own = [Verdict.ERROR] if self.error or self.interrupted else []
        return worst(own + [step.verdict for step in self.steps])

    def checks(self) -> Iterator[CheckResult]:
        for step in self.steps:
            yield from step.checks


class RunListener(Protocol):
    """Told what happens while a run goes on; the console renderers are listeners."""

    def run_started(self, run: RunResult) -> None: ...
    def progress(self, what: str) -> None: ...
    def step_started(self, step: StepResult) -> None: ...
    def check_ended(self, step: StepResult, check: CheckResult) -> None: ...
    def path_found(self, step: StepResult, path: PathResult) -> None: ...
    def step_ended(self, step: StepResult) -> None: ...
    def run_ended(self, run: RunResult) -> None: ...


class SilentListener:
    """A listener that has nothing to say."""

    def run_started(self, run: RunResult) -> None: ...
    def progress(self, what: str) -> None: ...
    def step_started(self, step: StepResult) -> None: ...
    def check_ended(self, step: StepResult, check: CheckResult) -> None: ...
    def path_found(self, step: StepResult, path: PathResult) -> None: ...
    def step_ended(self, step: StepResult) -> None: ...
    def run_ended(self, run: RunResult) -> None: ...
