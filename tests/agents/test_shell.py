"""The parts of the shell that need no network: event log, watch on the cable, errors of the UDP socket, usage."""

from __future__ import annotations

import errno
import json
import os
import struct
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from testbed.agents.carrier import Carrier
from testbed.agents.event_log import EventLog
from testbed.agents.events import LinkDown, LinkUp
from testbed.agents.registration_socket import _unreachable
from testbed.network.rtnetlink import LinkChange
from testbed.protocol.registration import ReplyCode
from tests.agents.parties import MN_MAC

REPOSITORY = Path(__file__).parents[2]


def test_events_are_json_lines_with_readable_values(tmp_path: Path) -> None:
    with (tmp_path / "events").open("wb") as file:
        EventLog(file.fileno()).write("told", {"a": IPv4Address("192.0.2.1"), "m": MN_MAC, "c": ReplyCode.ACCEPTED})
    told = json.loads((tmp_path / "events").read_text())
    assert told.pop("monotonic_ns") > 0
    assert told == {"event": "told", "a": "192.0.2.1", "m": "02:00:00:00:00:10", "c": 0}


def test_a_flood_of_discards_is_told_in_part_and_counted_in_full(tmp_path: Path) -> None:
    with (tmp_path / "events").open("wb") as file:
        log = EventLog(file.fileno())
        for _ in range(5000):
            log.write("packet_discarded", {})
        log.write("stopped", {})
    *discards, last = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert len(discards) < 1000
    assert len(discards) + sum(event.get("suppressed", 0) for event in [*discards, last]) == 5000


class FakeMonitor:
    """Link news as a test wants them."""

    def __init__(self) -> None:
        self.news: list[LinkChange] = []

    def read(self) -> list[LinkChange]:
        news, self.news = self.news, []
        return news


def watching() -> tuple[Carrier, FakeMonitor]:
    """A watch on device 5, which is up and has come up once."""
    carrier, monitor = Carrier.__new__(Carrier), FakeMonitor()
    carrier.__dict__.update(_monitor=monitor, _index=5, _ups=1, up=True)
    return carrier, monitor


@pytest.mark.parametrize(
    ("news", "events"),
    [
        ([(5, False, 1), (5, True, 2)], [LinkDown(), LinkUp()]),
        ([(5, True, 2)], [LinkUp()]),
        ([(5, True, 1), (5, True, 1)], []),
        ([(5, False, 1), (5, False, 1)], [LinkDown()]),
        ([(6, False, 9)], []),
    ],
    ids=["down and up", "both at once", "changes of flags", "down, told twice", "another device"],
)
def test_only_changes_of_the_cable_are_news(news: list[tuple[int, bool, int]], events: list[LinkUp | LinkDown]) -> None:
    carrier, monitor = watching()
    monitor.news = [LinkChange(index, "eth0", up, carrier_ups=ups) for index, up, ups in news]
    assert carrier.read() == events


@pytest.mark.parametrize(
    ("icmp_code", "unreachable"), [(0, "network"), (6, "network"), (1, "host"), (13, "host"), (3, "port"), (2, "other")]
)
def test_icmp_errors_are_told_apart(icmp_code: int, unreachable: str) -> None:
    """F3: 80, 81, 82, 88."""
    from_icmp = struct.pack("=IBBBxII", errno.EHOSTUNREACH, 2, 3, icmp_code, 0, 0)
    assert _unreachable(from_icmp) == unreachable


def test_errors_of_our_own_host_are_told_by_their_number() -> None:
    local = struct.pack("=IBBBxII", errno.EHOSTUNREACH, 1, 0, 0, 0, 0)
    assert _unreachable(local) == "host"


@pytest.mark.parametrize("arguments", [[], ["home"], ["router", "--config", "x"], ["home", "--config", "x", "y"]])
def test_wrong_usage_ends_with_status_2_and_one_line(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "testbed.agents", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python -m testbed.agents home|foreign|mobile --config FILE\n"


def test_a_missing_configuration_ends_with_status_2_and_one_line(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "testbed.agents", "home", "--config", str(tmp_path / "none.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=dict(os.environ))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"home agent: {tmp_path}/none.json: cannot be read: No such file or directory\n"
