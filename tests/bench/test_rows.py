from __future__ import annotations

import json

import pytest

from testbed.bench import __main__ as command
from testbed.bench.apart import in_world
from testbed.bench.rows import Row, Target, number, percentile
from testbed.errors import LabError
from testbed.network import world, world_view


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(15), 15.0, True),
        (Target(15), 15.1, False),
        (Target(0.95, at_least=True), 0.95, True),
        (Target(0.95, at_least=True), 0.94, False),
    ],
)
def test_a_target_is_met_up_to_its_limit(target: Target, value: float, met: bool) -> None:
    assert Row("handoff", value, "ms", target).met is met


def test_a_row_without_a_target_neither_meets_nor_misses_it() -> None:
    assert Row("rate", 1.0, "Gbit/s").met is None


def test_the_95th_percentile_of_twenty_is_the_second_longest() -> None:
    assert percentile(list(range(1, 21)), 95) == 19
    assert percentile([7.0], 95) == 7.0


@pytest.mark.parametrize(
    ("value", "text"), [(0.01932, "0.0193"), (14.36, "14.4"), (145.9, "146"), (1279.4, "1,279"), (0.0, "0")]
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_benchmarks_are_listed_with_what_they_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert "handoffs" in capsys.readouterr().out


def test_rows_become_json_with_verdicts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = type("module", (), {"measure": staticmethod(lambda: [Row("handoff", 20.0, "ms", Target(15))])})
    monkeypatch.setattr("importlib.import_module", lambda _: module)
    assert command.main(["--json", "handoffs"]) == 0
    [row] = json.loads(capsys.readouterr().out)["benchmarks"]["handoffs"]
    assert (row["value"], row["target"], row["met"]) == (20.0, "≤ 15", False)


def test_a_measurement_runs_in_a_world_of_its_own_and_hands_its_numbers_back() -> None:
    here = world_view.identity()
    assert in_world(lambda: [world_view.identity() != here, world.inside(), 1.5]) == [True, True, 1.5]


def test_a_measurement_that_breaks_off_is_told() -> None:
    def breaks() -> float:
        raise SystemExit(7)

    with pytest.raises(LabError, match="status 7"):
        in_world(breaks)
