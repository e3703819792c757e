"""What all tests share: asking for features of the kernel, and no skip without a reason.

A test that needs something of the machine says so, and is skipped with that reason where it is not there::

    @pytest.mark.needs("ipip", "root")
    def test_…

    def test_…(needs):
        needs("netem")

The names are those that ``testbed doctor`` prints, ``root``, and ``open checkout`` (for tests that start us as somebody
else). Tests marked ``kernel`` run a second time on a
distribution's kernel inside a virtual machine (``make test-vm``). A skip that does not say why is a failure. Where
TESTBED_STAGE names the stage, the closing summary tells which features its kernel had.
"""

from __future__ import annotations

import functools
import os
import platform
import stat
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest

_NO_REASON = ("", "unconditional skip")  # what pytest itself writes where nobody gave a reason
_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)
_STAGE = os.environ.get("TESTBED_STAGE")


@functools.cache
def _features() -> dict[str, tuple[bool, str]]:
    """Every feature's name, whether this machine has it, and what was found; probed when first asked for."""
    from testbed.network import capabilities

    root = os.geteuid() == 0
    checkout = Path(__file__).resolve().parents[1]
    closed = [str(folder) for folder in (checkout, *checkout.parents) if not folder.stat().st_mode & stat.S_IXOTH]
    probed = {one.name: (one.available, one.detail) for one in capabilities.probe()}
    return {
        "root": (root, "" if root else "the tests run as an ordinary user"),
        "open checkout": (
            not closed,
            f"other users may not enter {closed[-1]}" if closed else "all users may enter it",
        ),
        **probed,
    }


def _require(*names: str) -> None:
    for name in names:
        if name not in _features():
            pytest.fail(f"no such feature: {name}; there are: {', '.join(sorted(_features()))}", pytrace=False)
        available, detail = _features()[name]
        if not available:
            pytest.skip(f"needs {name}: {detail or 'this machine lacks it'}")


@pytest.fixture
def needs() -> Callable[..., None]:
    """``needs("ipip")`` inside a test: skips it, with the reason, where the machine lacks that."""
    return _require


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*features): skip, with the reason, where the machine lacks one of them")
    config.addinivalue_line("markers", "kernel: runs on the distribution's kernel (make test-vm) as well")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        _require(*marker.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _failed_without_reason(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _failed_without_reason(report)


def _failed_without_reason(report: _Report) -> _Report:
    """The same report; failed where it is a skip, or an expected failure, that does not say why."""
    if report.skipped and _reason(report) in _NO_REASON:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skipped without a reason"
        vars(report).pop("wasxfail", None)  # pytest does not count a failure that has it
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    expected_failure = getattr(report, "wasxfail", None)
    if expected_failure is not None:
        return str(expected_failure).removeprefix("reason: ").strip()
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped").removeprefix(":").strip()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _STAGE is None:
        return
    terminalreporter.section(f"kernel features of the stage: {_STAGE}")
    terminalreporter.line(f"Linux {platform.release()}, Python {platform.python_version()}")
    for name, (available, detail) in sorted(_features().items()):
        terminalreporter.line(f"  {'yes' if available else 'no ':3}  {name}: {detail}")
