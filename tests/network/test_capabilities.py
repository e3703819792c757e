from __future__ import annotations

import errno
import os

import pytest

from testbed.errors import KernelRefused, LabError
from testbed.network import capabilities, programs, syscalls
from testbed.network.capabilities import Capability, probe
from testbed.network.netns import Namespace
from tests.network.host_state import host_state
from tests.network.private import in_world


def _by_name() -> dict[str, Capability]:
    found = probe()
    assert len({capability.name for capability in found}) == len(found)
    return {capability.name: capability for capability in found}


@in_world
def test_trying_leaves_nothing_behind() -> None:
    before = host_state()
    probe()
    assert host_state() == before


def test_what_is_there_needs_no_remedy_and_what_is_missing_has_one() -> None:
    found = _by_name()
    for name in ("private world", "veth", "bridge", "nftables", "policy routing", "tunnels"):
        assert found[name].required
        assert found[name].available, found[name].detail
    for capability in found.values():
        assert capability.detail
        assert (capability.remedy is None) == capability.available, capability


def test_the_kernels_refusal_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_namespace: Namespace) -> None:
        raise KernelRefused("no such thing")

    def unknown(namespace: Namespace) -> None:
        namespace.run(["ip", "link", "add", "one", "type", "teapot"])

    def programless(namespace: Namespace) -> None:
        namespace.run(["no-such-program"])

    trials = {"refused": refused, "teapot": unknown, "programless": programless}
    features = [capabilities._Feature(name, True, "done", "CONFIG_TEA", trial) for name, trial in trials.items()]
    monkeypatch.setattr(capabilities, "_FEATURES", features)
    found = _by_name()
    assert found["refused"].detail == "the kernel refused: no such thing"
    assert found["teapot"].detail == "the kernel refused: Error: Unknown device type."
    assert "boot a kernel that has CONFIG_TEA" in (found["teapot"].remedy or "")
    assert found["programless"].detail == "not tried: the program no-such-program is not installed"
    assert found["programless"].remedy == "sudo apt-get install no-such-program"


def test_missing_programs_name_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda name: None if name in ("tshark", "nft") else f"/usr/bin/{name}")
    found = _by_name()
    assert not found["program tshark"].available
    assert found["program tshark"].remedy == "sudo apt-get install tshark"
    assert found["program ip"].available
    assert found["nftables"].remedy == "sudo apt-get install nftables"


def test_without_namespaces_everything_else_is_said_to_be_untried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_flags: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(syscalls, "unshare", refuse)
    found = _by_name()
    assert found["private world"].detail == "creating the private world's namespaces: Operation not permitted"
    assert found["private world"].remedy
    assert found["user namespaces"].detail == "an ordinary user was refused: Operation not permitted"
    assert found["veth"].detail == "not tried: there is no private world to try it in"


def test_a_broken_trial_of_the_tunnels_is_a_missing_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise LabError("the trial tripped")

    monkeypatch.setattr("testbed.tunnels.driver.probe", broken)
    found = _by_name()["tunnels"]
    assert (found.available, found.detail) == (False, "the trial broke down: the trial tripped")
