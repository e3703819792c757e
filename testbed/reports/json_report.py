"""``report.json``: a run's result as JSON, written and read back.

The layout is versioned and described by ``report.schema.json`` next to this file; docs/report-json.md explains it.
Verdicts and the summary are written for readers, and computed anew when a report is loaded. Where the file lies is
the caller's business.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any

from testbed import __version__
from testbed.errors import UsageError
from testbed.reports.result import CheckResult, Measure, PathResult, RunResult, StepResult, Verdict

FORMAT = "mobileip-testbed-report"
VERSION = 1

_DERIVED = {"format", "version", "generator", "verdict", "summary"}


def to_json(run: RunResult) -> dict[str, Any]:
    """The report as plain JSON values; times are Unix nanoseconds, durations seconds."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "generator": f"mobileip-testbed {__version__}",
        "verdict": run.verdict.value,
        "summary": _summary(run),
        **_plain({name: value for name, value in vars(run).items() if name != "steps"}),
        "steps": [{"verdict": step.verdict.value, **_plain(asdict(step))} for step in run.steps],
    }


def dumps(run: RunResult) -> str:
    """The report as text that UTF-8 can hold, ending in a newline."""
    text = json.dumps(to_json(run), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Evidence may quote bytes that are no text: a lone surrogate must not cost us the report.
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def write(run: RunResult, path: Path) -> None:
    """Write the report to ``path``, which never holds half of one: it is moved into place when it is whole."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(dumps(run), encoding="utf-8")
    unfinished.replace(path)


def load(path: Path) -> RunResult:
    """Read a report back.

    :raises UsageError: the file cannot be read, is not a report, or is of a version that this testbed does not know.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise UsageError(f"{path}: 'format' is not '{FORMAT}'", hint="expected a report.json of a run")
    if report.get("version") != VERSION:
        raise UsageError(f"{path}: 'version' is {report.get('version')!r}, this testbed reads {VERSION}")
    try:
        return from_json(report)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: not a whole report: {error}", hint="see testbed schema report") from error


def from_json(report: dict[str, Any]) -> RunResult:
    """The result that :func:`to_json` made this report of.

    :raises KeyError, TypeError, ValueError: the report does not follow the schema.
    """
    run = {name: value for name, value in report.items() if name not in _DERIVED}
    run["steps"] = [_step(step) for step in run["steps"]]
    run["measures"] = [_measure(measure) for measure in run["measures"]]
    return RunResult(**run)


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a report."""
    text = resources.files("testbed.reports").joinpath("report.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _summary(run: RunResult) -> dict[str, int]:
    counted = Counter(check.verdict for check in run.checks())
    return {"steps": len(run.steps), "checks": counted.total()} | {
        verdict.value: counted[verdict] for verdict in Verdict
    }


def _measure(measure: dict[str, Any]) -> Measure:
    return Measure(**measure | {"value": math.nan if measure["value"] is None else measure["value"]})


def _step(step: dict[str, Any]) -> StepResult:
    fields = {name: value for name, value in step.items() if name != "verdict"}
    fields["checks"] = [_check(check) for check in step["checks"]]
    fields["paths"] = [PathResult(**path) for path in step["paths"]]
    return StepResult(**fields)


def _check(check: dict[str, Any]) -> CheckResult:
    whole = check | {
        "verdict": Verdict(check["verdict"]),
        "evidence": tuple(check["evidence"]),
        "rules": tuple(check["rules"]),
    }
    return CheckResult(**whole)


def _plain(value: Any) -> Any:
    """The value in what JSON knows: whatever it does not know, an address or a path, becomes a word."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Measure):
        return _plain(asdict(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
