"""A host is asked again until the time is up, however soon each refusal comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from testbed.checks import streams
from testbed.traffic.ping import PingAnswer
from tests.checks.still_scene import StillScene, recent_wire

UNREACHABLE = PingAnswer("error", IPv4Address("192.0.2.1"), 3, 1, 0.1, "host unreachable")
REPLY = PingAnswer("reply", IPv4Address("192.0.2.10"), 0, 0, 0.2)


class _Scene(StillScene):
    def namespace(self, node: str) -> Any:
        return None


def reachable(folder: Path, monkeypatch: pytest.MonkeyPatch, answers: Iterator[PingAnswer], patience_s: float) -> Any:
    async def ping(*_arguments: Any, **_options: Any) -> PingAnswer:
        return next(answers)

    monkeypatch.setattr(streams, "ping_once", ping)
    scene = _Scene(recent_wire(folder).log())
    return asyncio.run(
        streams.reachable(scene, "home-host", IPv4Address("192.0.2.10"), rules=(), patience_s=patience_s)
    )


def test_errors_that_come_at_once_do_not_use_the_time_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([UNREACHABLE] * 20 + [REPLY])
    assert reachable(tmp_path, monkeypatch, answers, 60.0).verdict == "pass"


def test_the_last_answer_is_told_where_none_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = reachable(tmp_path, monkeypatch, iter([UNREACHABLE]), 0.0)
    assert (found.verdict, found.observed) == ("fail", "host unreachable from 192.0.2.1, the last of 1 tries")
