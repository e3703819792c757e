from __future__ import annotations

import asyncio
from itertools import count

import pytest

from testbed.errors import DeadlinePassed, OptionError
from testbed.network.waiting import scaled, wait_for, wait_until


def test_what_the_condition_gave_is_handed_back() -> None:
    numbers = count()
    assert wait_until(lambda: next(numbers) == 3 and "evidence", what="three", timeout_s=5) == "evidence"


def test_a_passed_deadline_says_what_was_waited_for_and_what_was_seen() -> None:
    with pytest.raises(DeadlinePassed, match=r"waited 0\.01 s for rain; seen instead: sunshine"):
        wait_until(lambda: False, what="rain", timeout_s=0.01, on_timeout=lambda: "sunshine")


def test_a_condition_is_looked_at_once_even_without_time() -> None:
    assert wait_until(lambda: True, what="nothing", timeout_s=0)


def test_the_errors_of_a_condition_go_through() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0, what="the impossible", timeout_s=5)


def test_coroutines_wait_while_other_tasks_run() -> None:
    async def scene() -> str:
        happened = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, happened.set)
        return await wait_for(lambda: happened.is_set() and "done", what="the event", timeout_s=5) or ""

    assert asyncio.run(scene()) == "done"


def test_the_condition_may_be_a_coroutine_function() -> None:
    async def holds() -> int:
        await asyncio.sleep(0)
        return 7

    assert asyncio.run(wait_for(holds, what="seven", timeout_s=5)) == 7


def test_a_coroutine_deadline_passes_too() -> None:
    with pytest.raises(DeadlinePassed, match="for never"):
        asyncio.run(wait_for(lambda: False, what="never", timeout_s=0.01))


def test_deadlines_stretch_by_the_time_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTBED_TIME_FACTOR", raising=False)
    assert scaled(2) == 2
    monkeypatch.setenv("TESTBED_TIME_FACTOR", "10")
    assert scaled(2) == 20


@pytest.mark.parametrize("text", ["slow", "0", "-1", "nan", "inf", ""])
def test_a_time_factor_that_is_no_factor_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TESTBED_TIME_FACTOR", text)
    with pytest.raises(OptionError, match="positive number"):
        scaled(1)
