"""``junit.xml``: a run's result for build servers. A test suite for each step, a test case for each check.

It holds what both schemas in wide use accept, Ant's (``JUnit.xsd``) and the Jenkins xUnit plugin's (``junit-10.xsd``):
attributes that either requires are always there, and none that either forbids. A step, or a run, that could not be
finished is a test case of its own with an ``error``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from testbed.reports.result import CheckResult, RunResult, StepResult, Verdict
from testbed.reports.wording import failure_lines, option_text, seconds, unfinished

# XML 1.0 has no way to write these characters, not even as references.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_xml(run: RunResult) -> str:
    """The report as an XML document, ending in a newline."""
    root = Element("testsuites")
    for step in run.steps:
        _add_step(root, run, step)
    if run.error or run.interrupted:
        suite = _add_suite(root, run, run.title, run.started_ns, run.ended_ns)
        _add_broken(suite, run.scenario, "the run is finished", unfinished(run))
        _close(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def write(run: RunResult, path: Path) -> None:
    """Write the report to ``path``; it is moved into place when it is whole."""
    incomplete = path.with_name(path.name + ".part")
    incomplete.write_text(to_xml(run), encoding="utf-8")
    incomplete.replace(path)


def _add_step(root: Element, run: RunResult, step: StepResult) -> None:
    suite = _add_suite(root, run, f"{step.number}. {step.title}", step.started_ns, step.ended_ns)
    class_name = f"{run.scenario}.step{step.number}"
    for check in step.checks:
        _add_check(suite, class_name, check)
    if step.error:
        _add_broken(suite, class_name, "the step is finished", step.error)
    _close(suite, said=[f"{path.title}: {path.path}" for path in step.paths] + step.notes)


def _add_suite(root: Element, run: RunResult, name: str, started_ns: int, ended_ns: int | None) -> Element:
    suite = SubElement(
        root,
        "testsuite",
        name=_clean(name),
        package=_clean(run.scenario),
        id=str(len(root)),
        hostname=_clean(run.environment.get("host", "localhost")),
        timestamp=datetime.fromtimestamp(started_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        time=f"{seconds(started_ns, ended_ns) or 0.0:.3f}",
    )
    properties = SubElement(suite, "properties")
    facts = [(f"option.{name}", option_text(value)) for name, value in run.options.items()]
    facts += [(f"environment.{name}", value) for name, value in run.environment.items()]
    for key, value in [("topology", run.topology), *facts]:
        SubElement(properties, "property", name=_clean(key), value=_clean(value))
    return suite


def _add_check(suite: Element, class_name: str, check: CheckResult) -> None:
    case = SubElement(
        suite, "testcase", name=_clean(check.title), classname=_clean(class_name), time=f"{check.duration_s:.3f}"
    )
    if check.verdict is Verdict.SKIP:
        SubElement(case, "skipped", message=_clean(check.observed))
    elif check.verdict is not Verdict.PASS:
        kind = "failure" if check.verdict is Verdict.FAIL else "error"
        message = f"expected {check.expected}; observed {check.observed}"
        found = SubElement(case, kind, type=_clean(check.name), message=_clean(message))
        found.text = _clean("\n".join(f"{word:<8} {text}" for word, text in failure_lines(check)))


def _add_broken(suite: Element, class_name: str, claim: str, reason: str) -> None:
    case = SubElement(suite, "testcase", name=claim, classname=_clean(class_name), time="0.000")
    SubElement(case, "error", type="unfinished", message=_clean(reason)).text = _clean(reason)


def _close(suite: Element, said: Sequence[str] = ()) -> None:
    """Count the cases and add the two elements that Ant's schema wants at the end."""
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(kind) is not None for case in cases)))
    SubElement(suite, "system-out").text = _clean("\n".join(said))
    SubElement(suite, "system-err").text = ""


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
