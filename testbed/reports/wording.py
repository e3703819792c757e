"""The words in which a run is told, shared by the renderers: marks, figures, and what is said of a failed check.

Also what becomes of them on a terminal that knows nothing but ASCII. Where the words go is each renderer's business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.reports.result import CheckResult, Measure, RunResult, StepResult, Verdict

BROKEN = (Verdict.FAIL, Verdict.ERROR)


@dataclass(frozen=True)
class Marks:
    """What stands before a line for each verdict, and the signs that are not letters."""

    verdicts: dict[Verdict, str]
    spinner: str  # a name of rich.spinner
    ascii_only: bool

    def text(self, words: str) -> str:
        """The words in signs that the terminal can show, with nothing in them that would drive it."""
        printable = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in words)
        return to_ascii(printable) if self.ascii_only else printable


UNICODE = Marks(
    verdicts={Verdict.PASS: "✔", Verdict.FAIL: "✘", Verdict.ERROR: "!", Verdict.SKIP: "-"},
    spinner="dots",
    ascii_only=False,
)
ASCII = Marks(
    verdicts={Verdict.PASS: "+", Verdict.FAIL: "X", Verdict.ERROR: "!", Verdict.SKIP: "-"},
    spinner="line",
    ascii_only=True,
)

_IN_ASCII = str.maketrans(
    {"→": "->", "⇒": "=>", "←": "<-", "⇐": "<=", "↔": "<->", "×": "x", "≤": "<=", "≥": ">=", "…": "...", "·": "-"}
    | {"–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "µ": "u", "∘": "o", "✔": "+", "✘": "X"}
)


def marks_for(encoding: str | None) -> Marks:
    """Unicode where the terminal's encoding has our signs, ASCII otherwise."""
    try:
        "✔✘→⇒·".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def to_ascii(words: str) -> str:
    """Our own signs in their ASCII spelling; any other sign that is not ASCII as an escape."""
    return words.translate(_IN_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def seconds(started_ns: int, ended_ns: int | None) -> float | None:
    """The time between, in seconds; None where the end never came."""
    return None if ended_ns is None else (ended_ns - started_ns) / 1e9


def duration(started_ns: int, ended_ns: int | None) -> str:
    elapsed = seconds(started_ns, ended_ns)
    return "unfinished" if elapsed is None else f"{elapsed:.1f} s"


def count(number: int, noun: str) -> str:
    """``1 check``, ``2 checks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def option_text(value: Any) -> str:
    """An option's value as a user would write it after ``--set key=``."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def options_line(run: RunResult) -> str:
    return " ".join(f"{name}={option_text(value)}" for name, value in run.options.items())


def figure(measure: Measure) -> str:
    """The measured value with its unit; at most one digit after the point from ten on, two below."""
    value = measure.value
    if not math.isfinite(value):
        return "not measured"
    precision = 0 if value == int(value) else 1 if abs(value) >= 10 else 2
    unit = measure.unit.removesuffix("s") if value == 1 and len(measure.unit) > 3 else measure.unit  # "ms" stays
    return f"{value:.{precision}f} {unit}".rstrip()


def failure_lines(check: CheckResult) -> list[tuple[str, str]]:
    """All that is said of a check that does not hold, as (word, text) pairs; a word is empty where the last goes on."""
    told = [("expected", check.expected), ("observed", check.observed)]
    if check.node:
        told.append(("where", check.node))
    told += [("evidence" if position == 0 else "", line) for position, line in enumerate(check.evidence)]
    if check.rules:
        told.append(("rules", " ".join(check.rules)))
    if check.look_closer:
        told.append(("closer", check.look_closer))
    return told


def broken_checks(run: RunResult) -> Iterator[tuple[StepResult, CheckResult]]:
    """Every check that does not hold, or could not be made, with its step."""
    for step in run.steps:
        yield from ((step, check) for check in step.checks if check.verdict in BROKEN)


def unfinished(run: RunResult) -> str:
    """Why the run has no end of its own."""
    return run.error or "interrupted by the user"


def step_summary(step: StepResult) -> str:
    """``4 checks hold`` or ``1 of 4 checks does not hold``."""
    return _tally([check.verdict for check in step.checks])


def run_summary(run: RunResult) -> str:
    """One sentence on the whole run."""
    told = _tally([check.verdict for check in run.checks()])
    summary = f"{told} in {count(len(run.steps), 'step')}, {duration(run.started_ns, run.ended_ns)}"
    broken = [f"step {step.number} could not be finished" for step in run.steps if step.error]
    if run.interrupted or run.error:
        broken.append(f"the run was not finished: {unfinished(run)}")
    return "; ".join([summary, *broken])


def _tally(verdicts: list[Verdict]) -> str:
    counted = Counter(verdicts)
    judged = len(verdicts) - counted[Verdict.SKIP]
    wrong = counted[Verdict.FAIL] + counted[Verdict.ERROR]
    if not judged:
        told = "nothing checked"
    elif wrong:
        told = f"{wrong} of {count(judged, 'check')} {'does' if wrong == 1 else 'do'} not hold"
    else:
        told = f"{count(judged, 'check')} {'holds' if judged == 1 else 'hold'}"
    return f"{told} ({counted[Verdict.SKIP]} not applicable)" if counted[Verdict.SKIP] else told
