"""What a person sees of a run: exact texts at fixed widths, with and without Unicode, in colour and without."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math

import pytest
from rich.console import Console

from testbed.reports.console import LiveConsole, PlainConsole
from testbed.reports.result import Measure, RunResult, StepResult, Verdict
from testbed.reports.wording import ASCII, UNICODE, Marks, figure
from tests.reports.golden import assert_golden
from tests.reports.sample import START_NS, failing_check, passing_check, sample_run, tell


def _plain(run: RunResult, marks: Marks = UNICODE, *, quiet: bool = False) -> str:
    lines: list[str] = []
    with PlainConsole(lines.append, marks, quiet=quiet) as console:
        tell(run, console)
    return "\n".join(lines) + "\n"


def _live(run: RunResult, width: int, encoding: str = "utf-8", *, colour: bool = False) -> str:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, write_through=True)
    console = Console(
        file=stream, width=width, highlight=False, force_terminal=colour, color_system="standard" if colour else None
    )
    with LiveConsole(console) as live:
        tell(run, live)
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().decode(encoding).splitlines())


def test_plain_lines_are_the_golden_ones() -> None:
    assert_golden("plain.txt", _plain(sample_run()))


def test_quiet_plain_lines_are_only_what_is_wrong_and_the_end_and_fit_ascii() -> None:
    told = _plain(sample_run(), ASCII, quiet=True)

    assert told.isascii()
    assert_golden("plain_quiet_ascii.txt", told)


@pytest.mark.parametrize(("width", "encoding"), [(80, "utf-8"), (200, "utf-8"), (40, "ascii")])
def test_the_live_display_leaves_the_golden_text_behind(width: int, encoding: str) -> None:
    told = _live(sample_run(), width, encoding)

    commands = [line for line in told.splitlines() if line.lstrip().startswith("$ ")]
    assert all(len(line) <= width for line in told.splitlines() if line not in commands)
    assert_golden(f"live_{width}_{encoding}.txt", told)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", range(1, 33, 4))
def test_the_live_display_survives_a_terminal_that_is_far_too_narrow(width: int, encoding: str) -> None:
    told = _live(sample_run(), width, encoding)
    assert "roamsthrough" in "".join(told.split())


def test_colours_are_used_on_a_terminal_and_left_out_where_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m✔" in _live(sample_run(), 80, colour=True)

    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in _live(sample_run(), 80, colour=True)


def test_the_cursor_is_given_back_when_the_run_ends_with_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # a dumb one has no cursor to hide
    written = io.StringIO()
    with contextlib.suppress(KeyboardInterrupt), LiveConsole(Console(file=written, force_terminal=True)) as live:
        live.run_started(sample_run())
        raise KeyboardInterrupt
    assert written.getvalue().rindex("\x1b[?25h") > written.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize("width", [10, 80])
def test_the_moving_line_takes_one_row_however_much_is_told(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    with LiveConsole(console) as live:
        live.step_started(StepResult(2, "Moves to visited network B", START_NS))
        live.progress("waiting for the registration reply " * 9)
        rows = console.render_lines(live.status(), pad=False)
    assert len(rows) == 1


def test_what_packets_carry_cannot_drive_the_terminal() -> None:
    run = sample_run()
    run.steps[1].checks = [dataclasses.replace(failing_check(), evidence=("payload \x1b[2J\r\x07 [bold]x[/bold]",))]

    for told in (_plain(run), _live(run, 80)):
        assert r"payload \x1b[2J\r\x07 [bold]x[/bold]" in told


def test_a_failing_check_can_be_found_with_grep_and_says_all_that_is_known() -> None:
    lines = _plain(sample_run()).splitlines()
    at = lines.index("  FAIL ingress-filter: packets of mn reach cn from visited network A")
    told = "\n".join(lines[at : at + 9])

    check = failing_check()
    for part in (check.expected, check.observed, check.node, *check.evidence, *check.rules, check.look_closer):
        assert part is not None
        assert part in told


def test_a_run_whose_checks_all_hold_says_so_in_its_last_lines() -> None:
    run = sample_run()
    run.steps = run.steps[:1]
    run.steps[0].checks = [passing_check()] * 3

    assert _plain(run, quiet=True) == (
        "result pass: 3 checks hold in 1 step, 5.5 s\nfolder runs/20260101-000000-roam\n"
    )
    assert "✔ 3 checks hold in 1 step, 5.5 s" in _live(run, 80)


def test_an_interrupted_run_is_told_as_such() -> None:
    run = sample_run()
    run.steps, run.interrupted, run.ended_ns = run.steps[:1], True, None

    assert run.verdict is Verdict.ERROR
    assert (
        "result error: 1 check holds in 1 step, unfinished; the run was not finished: interrupted by the user\n"
        in _plain(run)
    )


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (1.0, "packets", "1 packet"),
        (0.0, "packets", "0 packets"),
        (1.0, "ms", "1 ms"),
        (9.876, "ms", "9.88 ms"),
        (98.76, "ms", "98.8 ms"),
        (0.95, "", "0.95"),
        (math.nan, "ms", "not measured"),
    ],
)
def test_a_figure_has_its_unit_and_no_more_digits_than_it_deserves(value: float, unit: str, told: str) -> None:
    assert figure(Measure("handoff", value, unit)) == told
