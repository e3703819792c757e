"""report.json: follows its schema, comes back as it was, and is refused in one line when it is not one."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.reports import json_report
from testbed.reports.result import CheckResult, Measure, PathResult, RunResult, StepResult, Verdict
from tests.reports.golden import assert_golden
from tests.reports.json_schema import violations
from tests.reports.sample import failing_check, sample_run


def test_the_report_of_the_sample_run_is_the_golden_one() -> None:
    assert_golden("report.json", json_report.dumps(sample_run()))


def test_the_report_follows_the_schema_that_is_shipped() -> None:
    assert violations(json_report.schema(), json_report.to_json(sample_run())) == []


def test_the_schema_refuses_what_a_report_is_not() -> None:
    report = json_report.to_json(sample_run())
    report["steps"][1]["checks"][0] |= {"verdict": "maybe", "mood": "good"}
    report["steps"][0]["number"] = 0
    del report["scenario"]

    assert set(violations(json_report.schema(), report)) == {
        "$: no 'scenario'",
        "$.steps[0].number: less than 1",
        "$.steps[1].checks[0].verdict: not one of ['pass', 'fail', 'error', 'skip']",
        "$.steps[1].checks[0]: unknown 'mood'",
    }


@pytest.mark.parametrize(
    ("of_class", "definition"),
    [(RunResult, None), (StepResult, "step"), (CheckResult, "check"), (PathResult, "path"), (Measure, "measure")],
)
def test_every_field_of_a_result_is_in_the_schema(of_class: Any, definition: str | None) -> None:
    schema = json_report.schema()
    described = schema["$defs"][definition] if definition else schema

    assert {field.name for field in dataclasses.fields(of_class)} <= set(described["properties"])
    assert set(described["required"]) == set(described["properties"])


def test_a_written_report_is_read_back_as_the_same_result(tmp_path: Path) -> None:
    run = sample_run()
    run.options = {"ingress": "acl", "reverse_tunnel": False, "moves": 3, "rate": 2.5}
    json_report.write(run, tmp_path / "report.json")

    assert json_report.load(tmp_path / "report.json") == run
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_run_that_broke_before_its_first_step_is_read_back(tmp_path: Path) -> None:
    run = RunResult("roam", "Roam", "two-visited", {}, {}, started_ns=5, error="core: no veth", interrupted=True)
    json_report.write(run, tmp_path / "report.json")

    assert json_report.load(tmp_path / "report.json") == run
    assert violations(json_report.schema(), json_report.to_json(run)) == []


def test_evidence_that_is_no_text_and_a_figure_that_is_no_number_do_not_cost_the_report(tmp_path: Path) -> None:
    run = sample_run()
    run.steps[0].checks.append(dataclasses.replace(failing_check(), evidence=("payload \udcff\x00",)))
    run.measures = [Measure("handoff", math.nan, "ms")]
    json_report.write(run, tmp_path / "report.json")

    loaded = json_report.load(tmp_path / "report.json")
    assert loaded.steps[0].checks[-1].evidence == ("payload \udcff\x00",)
    assert math.isnan(loaded.measures[0].value)
    assert violations(json_report.schema(), json_report.to_json(run)) == []


def test_the_summary_counts_checks_by_verdict() -> None:
    assert json_report.to_json(sample_run())["summary"] == {
        "steps": 3,
        "checks": 3,
        Verdict.PASS: 1,
        Verdict.FAIL: 1,
        Verdict.ERROR: 0,
        Verdict.SKIP: 1,
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "{path}: not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "{path}: 'format' is not 'mobileip-testbed-report' (expected a report.json of a run)"),
        ('{"format": "mobileip-testbed-report", "version": 2}', "{path}: 'version' is 2, this testbed reads 1"),
        (
            '{"format": "mobileip-testbed-report", "version": 1}',
            "{path}: not a whole report: 'steps' (see testbed schema report)",
        ),
    ],
)
def test_a_file_that_is_no_report_is_refused_in_one_line(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)

    with pytest.raises(UsageError) as refused:
        json_report.load(path)
    assert str(refused.value) == complaint.format(path=path)


def test_a_report_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json: cannot be read: No such file or directory$"):
        json_report.load(tmp_path / "nowhere.json")


def test_an_unknown_verdict_is_refused(tmp_path: Path) -> None:
    report = json_report.to_json(sample_run())
    report["steps"][0]["checks"][0]["verdict"] = "maybe"
    (tmp_path / "report.json").write_text(json.dumps(report))

    with pytest.raises(UsageError, match="'maybe' is not a valid Verdict"):
        json_report.load(tmp_path / "report.json")
