"""Signals that end a run in good order, and none that spoil its ending."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """What would end the process at once ends the run instead, as Ctrl-C does: with a report."""

    def interrupt(_number: int, frame: FrameType | None) -> None:
        as_ctrl_c = signal.getsignal(signal.SIGINT)  # asyncio's own, while it runs
        if callable(as_ctrl_c):
            as_ctrl_c(signal.SIGINT, frame)
        else:  # a shell's background job ignores SIGINT, and shall end on SIGTERM all the same
            raise KeyboardInterrupt

    with _handled(dict.fromkeys(_ENDING_SIGNALS, interrupt)):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that come while the reports are written are too late to end the run, and must not cost us the reports."""
    with _handled(dict.fromkeys((signal.SIGINT, *_ENDING_SIGNALS), signal.SIG_IGN)):
        yield


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Set signal handlers for a while; what the caller ignores (``nohup``) stays ignored."""
    before = {number: signal.getsignal(number) for number in handlers}
    heeded = [number for number in handlers if before[number] is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, handlers[number])
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
