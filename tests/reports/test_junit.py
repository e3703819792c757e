"""junit.xml: one suite a step, one case a check, in the form that Ant's and Jenkins' schemas share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from testbed.reports import junit
from testbed.reports.result import RunResult
from tests.reports.golden import assert_golden
from tests.reports.sample import START_NS, failing_check, sample_run


def _suites(run: RunResult) -> list[Element]:
    return list(ElementTree.fromstring(junit.to_xml(run).encode()))


def test_the_report_of_the_sample_run_is_the_golden_one() -> None:
    assert_golden("junit.xml", junit.to_xml(sample_run()))


def test_each_step_is_a_suite_with_a_case_for_each_check_and_counts_that_agree() -> None:
    suites = _suites(sample_run())

    assert [suite.get("name") for suite in suites] == [
        "1. At home",
        "2. In visited network A, filter on",
        "3. Home again",
    ]
    counts = [[suite.get(name) for name in ("tests", "failures", "errors", "skipped")] for suite in suites]
    assert counts == [["1", "0", "0", "0"], ["2", "1", "0", "1"], ["1", "0", "1", "0"]]
    assert [suite.get("id") for suite in suites] == ["0", "1", "2"]


def test_a_failure_says_what_was_expected_what_was_seen_and_where_to_look() -> None:
    failure = _suites(sample_run())[1].find("testcase/failure")

    assert failure is not None
    assert failure.text is not None
    check = failing_check()
    assert failure.get("type") == "ingress-filter"
    assert failure.get("message") == f"expected {check.expected}; observed {check.observed}"
    told = [check.expected, check.observed, check.node, *check.evidence, *check.rules, check.look_closer]
    assert all(part is not None and part in failure.text for part in told)


def test_options_and_environment_are_properties_of_every_suite() -> None:
    for suite in _suites(sample_run()):
        properties = {item.get("name"): item.get("value") for item in suite.iterfind("properties/property")}
        assert properties == {
            "topology": "two-visited",
            "option.ingress": "acl",
            "option.reverse_tunnel": "off",
            "option.prefix": "198.51.100.0/25",
            "option.moves": "3",
            "environment.kernel": "6.18.0",
            "environment.tunnel driver": "ebpf",
        }


def test_a_step_that_broke_is_an_error_of_its_own() -> None:
    error = _suites(sample_run())[2].find("testcase/error")

    assert error is not None
    assert error.get("message") == "mn: the agent ended with status 1 (see mn.log)"


def test_an_interrupted_run_without_steps_is_still_a_report_that_is_not_green() -> None:
    run = RunResult("roam", "Roam", "two-visited", {}, {}, started_ns=START_NS, interrupted=True)
    (suite,) = _suites(run)

    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == "interrupted by the user"
    assert (suite.get("errors"), suite.get("time")) == ("1", "0.000")


def test_characters_that_xml_cannot_hold_are_replaced(tmp_path: Path) -> None:
    run = sample_run()
    run.steps[0].checks = [dataclasses.replace(failing_check(), title="a <title> & a \x1b\udcff\ufffe\U0001f600")]
    junit.write(run, tmp_path / "junit.xml")

    case = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite/testcase")
    assert case is not None
    assert case.get("name") == "a <title> & a \ufffd\ufffd\ufffd\U0001f600"
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]


def test_children_of_a_suite_stand_in_the_order_that_ants_schema_wants() -> None:
    for suite in _suites(sample_run()):
        tags = [child.tag for child in suite]
        assert tags == ["properties", *["testcase"] * (len(tags) - 3), "system-out", "system-err"]
