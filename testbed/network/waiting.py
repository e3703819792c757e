"""Waiting for facts, never for time: poll a condition until it holds or its deadline passes.

Responsible for deadlines, their scaling on slow machines, and the error that says what did not happen. What the
condition reads is the caller's business.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from testbed.errors import DeadlinePassed, OptionError

T = TypeVar("T")

_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.02
TIME_FACTOR_VARIABLE = "TESTBED_TIME_FACTOR"


def scaled(seconds: float) -> float:
    """A deadline in seconds, stretched by TESTBED_TIME_FACTOR (1 unless set; an emulated machine uses about 10).

    Raises ``OptionError`` where the variable holds anything but a positive number.
    """
    text = os.environ.get(TIME_FACTOR_VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise OptionError(f"{TIME_FACTOR_VARIABLE}={text}: expected a positive number such as 10")
    return seconds * factor


def wait_until(
    condition: Callable[[], T],
    *,
    what: str,
    timeout_s: float,
    on_timeout: Callable[[], str] | None = None,
) -> T:
    """Block until ``condition()`` is truthy and return what it gave.

    ``what`` completes the sentence "waited for …"; ``timeout_s`` is scaled here; ``on_timeout`` is asked, once it is
    too late, for what was seen instead. Raises ``DeadlinePassed``. Errors of the condition go through.
    """
    limit_s = scaled(timeout_s)
    deadline_s = time.monotonic() + limit_s
    pause_s = _FIRST_PAUSE_S
    while True:
        looked_s = time.monotonic()
        too_late = looked_s >= deadline_s
        if result := condition():
            return result
        if too_late:
            raise _passed(what, limit_s, on_timeout)
        time.sleep(_pause(pause_s, looked_s))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


@overload
async def wait_for(
    condition: Callable[[], Awaitable[T]],
    *,
    what: str,
    timeout_s: float,
    on_timeout: Callable[[], str] | None = None,
) -> T: ...


@overload
async def wait_for(
    condition: Callable[[], T],
    *,
    what: str,
    timeout_s: float,
    on_timeout: Callable[[], str] | None = None,
) -> T: ...


async def wait_for(
    condition: Callable[[], Any],
    *,
    what: str,
    timeout_s: float,
    on_timeout: Callable[[], str] | None = None,
) -> Any:
    """The same for coroutines: other tasks run between two looks; the condition may be a coroutine function too."""
    import asyncio  # 65 ms: programs that only block must not pay for it

    limit_s = scaled(timeout_s)
    deadline_s = time.monotonic() + limit_s
    pause_s = _FIRST_PAUSE_S
    while True:
        looked_s = time.monotonic()
        too_late = looked_s >= deadline_s
        answer = condition()
        if result := await answer if inspect.isawaitable(answer) else answer:
            return result
        if too_late:
            raise _passed(what, limit_s, on_timeout)
        await asyncio.sleep(_pause(pause_s, looked_s))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _pause(pause_s: float, looked_s: float) -> float:
    """At least as long as the look before took: where looking is slow, it must not starve what is waited for."""
    return max(pause_s, time.monotonic() - looked_s)


def _passed(what: str, limit_s: float, on_timeout: Callable[[], str] | None) -> DeadlinePassed:
    instead = f"; seen instead: {on_timeout()}" if on_timeout else ""
    return DeadlinePassed(f"waited {limit_s:g} s for {what}{instead}")
