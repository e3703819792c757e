"""A run told on the console while it goes on: as plain lines, or live on a terminal.

Both are run listeners and context managers; leaving the context gives the terminal back, however the run ended. What
is told, and in which words, is in ``wording.py``; which of the two is used is the command line's choice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from testbed.reports.result import CheckResult, PathResult, RunListener, RunResult, StepResult, Verdict
from testbed.reports.wording import (
    BROKEN,
    Marks,
    broken_checks,
    duration,
    failure_lines,
    figure,
    marks_for,
    options_line,
    run_summary,
    step_summary,
)

_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.ERROR: "bold magenta", Verdict.SKIP: "yellow"}


class RunConsole(RunListener, Protocol):
    """A listener that holds a terminal while its context lasts."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainConsole:
    """One line for each fact, in a form that does not change with the width of anything: for logs and for ``grep``.

    :param say: is given each line, without its end.
    :param marks: how signs are spelt.
    :param quiet: tell only what is wrong, and how it ended.
    """

    def __init__(self, say: Callable[[str], None], marks: Marks, *, quiet: bool = False) -> None:
        self._say = say
        self._marks = marks
        self._quiet = quiet
        self._last_progress = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to give back."""

    def run_started(self, run: RunResult) -> None:
        self._detail(f"run {run.scenario}: {run.title}")
        self._detail(f"topology {run.topology}")
        self._detail(f"options {options_line(run)}")
        for name, value in run.environment.items():
            self._detail(f"environment {name}: {value}")

    def progress(self, what: str) -> None:
        if what != self._last_progress:
            self._detail(f"  doing {what}")
        self._last_progress = what

    def step_started(self, step: StepResult) -> None:
        self._detail(f"step {step.number}: {step.title}")

    def check_ended(self, step: StepResult, check: CheckResult) -> None:
        line = f"  {check.verdict} {check.name}: {check.title}"
        if check.verdict is Verdict.SKIP:
            line += f" (not applicable: {check.observed})"
        if check.verdict not in BROKEN:
            self._detail(line)
            return
        self._tell(line.replace(check.verdict, check.verdict.upper(), 1))
        for word, text in failure_lines(check):
            self._tell(f"    {word:<8} {text}")

    def path_found(self, step: StepResult, path: PathResult) -> None:
        self._detail(f"  path {path.title}: {path.path}")

    def step_ended(self, step: StepResult) -> None:
        for note in step.notes:
            self._detail(f"  note {note}")
        elapsed = duration(step.started_ns, step.ended_ns)
        self._detail(f"step {step.number} {step.verdict}: {step_summary(step)}, {elapsed}")
        if step.error:
            self._tell(f"  ERROR step {step.number} could not be finished: {step.error}")

    def run_ended(self, run: RunResult) -> None:
        for measure in run.measures:
            detail = f" ({measure.detail})" if measure.detail else ""
            self._detail(f"measured {measure.name}: {figure(measure)}{detail}")
        for step, check in broken_checks(run):
            self._detail(f"failed step {step.number} {check.name}: {check.title}")
        self._tell(f"result {run.verdict}: {run_summary(run)}")
        if run.folder:
            self._tell(f"folder {run.folder}")

    def _detail(self, line: str) -> None:
        if not self._quiet:
            self._tell(line)

    def _tell(self, line: str) -> None:
        self._say(self._marks.text(line.rstrip()))


class LiveConsole:
    """What is found stays on the screen; one last line, which moves, tells what is going on.

    It suits terminals of any width: long lines go on under their beginning. Colours follow NO_COLOR.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._marks = marks_for(console.encoding)
        self._step: StepResult | None = None
        self._doing = ""
        self._begun_s = time.monotonic()
        self._spinner = Spinner(self._marks.spinner, style="cyan")
        self._live = Live(console=console, get_renderable=self.status, transient=True, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def run_started(self, run: RunResult) -> None:
        self._console.print(self._text(run.title, "bold"))
        grid = _grid({}, {}, gap=2)
        for word, told in (("topology", run.topology), ("options", options_line(run)), *run.environment.items()):
            grid.add_row(self._text(word, "dim"), self._text(told))
        self._console.print(grid)

    def progress(self, what: str) -> None:
        self._doing = what

    def step_started(self, step: StepResult) -> None:
        self._step, self._doing = step, ""
        self._console.print()
        self._console.print(self._line(1, f"{step.number}", "bold cyan", self._text(step.title, "bold")))

    def check_ended(self, step: StepResult, check: CheckResult) -> None:
        title = self._text(check.title)
        if check.verdict is Verdict.SKIP:
            title.append(self._marks.text(f" (not applicable: {check.observed})"), "dim")
        self._console.print(self._line(3, self._marks.verdicts[check.verdict], _STYLES[check.verdict], title))
        if check.verdict in BROKEN:
            self._print_failure(check)

    def path_found(self, step: StepResult, path: PathResult) -> None:
        way = self._text(path.path, "cyan")
        way.highlight_words(["⇒", "=>"], style="bold yellow")
        title = self._text(path.title, "dim")
        fits = title.cell_len + 2 + way.cell_len <= self._console.width - 5
        told: RenderableType = Text.assemble(title, "  ", way) if fits else Group(title, Padding(way, (0, 0, 0, 2)))
        self._console.print(Padding(told, (0, 0, 0, 5)))

    def step_ended(self, step: StepResult) -> None:
        for note in step.notes:
            self._console.print(Padding(self._text(note, "dim"), (0, 0, 0, 5)))
        if step.error:
            mark = self._marks.verdicts[Verdict.ERROR]
            told = self._text(f"could not be finished: {step.error}", "bold")
            self._console.print(self._line(3, mark, _STYLES[Verdict.ERROR], told))
        self._step = None

    def run_ended(self, run: RunResult) -> None:
        self._live.stop()
        if run.measures:
            self._print_measures(run)
        self._console.print()
        for step, check in broken_checks(run):
            # Once more: by now it may have left the screen.
            told = self._text(f"step {step.number}: {check.title}")
            self._console.print(self._line(1, self._marks.verdicts[check.verdict], _STYLES[check.verdict], told))
        mark, style = self._marks.verdicts[run.verdict], _STYLES[run.verdict]
        self._console.print(self._line(1, mark, style, self._text(run_summary(run), style)))
        if run.folder:
            self._console.print(self._text(f"   {run.folder}"), soft_wrap=True)
            self._console.print(Padding(self._text("  ".join(run.artifacts.values()), "dim"), (0, 0, 0, 3)))

    def _print_failure(self, check: CheckResult) -> None:
        grid = _grid({"style": "dim"}, {})
        for word, text in failure_lines(check):
            if word != "closer":
                grid.add_row(word, self._text(text))
        self._console.print(Padding(grid, (0, 0, 0, 5)))
        if check.look_closer:
            # Not wrapped by us: a command must survive being copied from the terminal.
            self._console.print(self._text(f"     $ {check.look_closer}", "cyan"), soft_wrap=True)

    def _print_measures(self, run: RunResult) -> None:
        grid = _grid({}, {"justify": "right"}, {"style": "dim"}, gap=2)
        for measure in run.measures:
            grid.add_row(self._text(measure.name), self._text(figure(measure), "bold"), self._text(measure.detail))
        self._console.print()
        self._console.print(self._text("   Measured", "bold"))
        self._console.print(Padding(grid, (0, 0, 0, 5)))

    def status(self) -> RenderableType:
        """The moving line; it never takes more than one row."""
        where = f"{self._step.number} {self._step.title}" if self._step else ""
        told = ": ".join(filter(None, (where, self._doing)))
        elapsed = f"{time.monotonic() - self._begun_s:4.0f} s "
        line = Text.assemble((elapsed, "dim"), self._marks.text(told), no_wrap=True)
        line.truncate(max(self._console.width - 3, 1), overflow="crop")
        self._spinner.update(text=line)
        return self._spinner

    def _line(self, indent: int, mark: str, style: str, told: Text) -> Padding:
        """A mark with text that goes on under its own beginning."""
        grid = _grid({}, {})
        grid.add_row(Text(mark, style), told)
        return Padding(grid, (0, 0, 0, indent))

    def _text(self, words: str, style: str = "") -> Text:
        return Text(self._marks.text(words), style)


def _grid(*columns: dict[str, Any], gap: int = 1) -> Table:
    """Columns without lines. Too long a word goes on below: rich's own way, an ellipsis, is not ASCII."""
    grid = Table.grid(padding=(0, gap))
    for column in columns:
        grid.add_column(overflow="fold", **column)
    return grid
