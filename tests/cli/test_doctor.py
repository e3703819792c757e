"""``testbed doctor``: every capability in its line, and an exit status that says whether scenarios can run."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from testbed.network import capabilities
from tests.cli.conftest import Command


@dataclass(frozen=True)
class FakeCapability:
    """What ``testbed.network.capabilities`` tells of one feature."""

    name: str
    required: bool
    available: bool
    detail: str
    remedy: str | None = None


NAMESPACES = FakeCapability("namespaces", True, True, "mount, pid and net")
TCPDUMP = FakeCapability("tcpdump", True, False, "not found", "apt install tcpdump")
IPIP = FakeCapability("ipip", False, False, "no such device type", "the ebpf driver takes its place")
NFT = FakeCapability("nft", False, True, "1.0.6")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[FakeCapability]:
    """What the machine can do; a test fills it in."""
    found: list[FakeCapability] = []
    monkeypatch.setattr(capabilities, "probe", lambda: list(found))
    return found


def test_a_machine_that_lacks_something_optional_only_is_well(testbed: Command, machine: list[FakeCapability]) -> None:
    machine += [NAMESPACES, IPIP, NFT]
    outcome = testbed("doctor")

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines()[1:] == [
        "",
        "Required",
        "  ok  namespaces  mount, pid and net",
        "",
        "Optional",
        "  missing  ipip  no such device type; remedy: the ebpf driver takes its place",
        "  ok       nft   1.0.6",
    ]


def test_something_required_that_is_missing_is_exit_status_3_and_named(
    testbed: Command, machine: list[FakeCapability]
) -> None:
    machine += [NAMESPACES, TCPDUMP]
    outcome = testbed("doctor")

    assert outcome.status == 3
    assert "  MISSING  tcpdump     not found; remedy: apt install tcpdump\n" in outcome.out
    assert outcome.err == "testbed: error: this machine cannot run scenarios, it lacks: tcpdump (apt install tcpdump)\n"


def test_json_holds_everything_and_the_exit_status_is_the_same(testbed: Command, machine: list[FakeCapability]) -> None:
    machine += [TCPDUMP]
    outcome = testbed("doctor", "--json")

    assert outcome.status == 3
    assert json.loads(outcome.out) == [
        {
            "name": "tcpdump",
            "required": True,
            "available": False,
            "detail": "not found",
            "remedy": "apt install tcpdump",
        }
    ]


def test_this_machine_is_examined_and_every_lack_has_a_remedy(testbed: Command) -> None:
    outcome = testbed("doctor", "--json")
    found = json.loads(outcome.out)

    assert len({one["name"] for one in found}) == len(found) > 10
    lacking = [one for one in found if not one["available"]]
    assert all(one["detail"] for one in found)
    assert all(one["remedy"] or one["detail"].startswith("not tried") for one in lacking)
    assert outcome.status == (3 if any(one["required"] for one in lacking) else 0)
