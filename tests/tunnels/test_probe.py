"""What the probe says of this machine, and that it leaves the machine alone."""

from __future__ import annotations

import os
import socket

import pytest

from testbed.errors import MachineError
from testbed.network import syscalls
from testbed.tunnels.driver import open_driver, probe


def test_the_probe_agrees_with_what_opening_a_driver_does(driver_name: str) -> None:
    before = socket.if_nameindex()
    result = probe()[driver_name]
    assert (result.available, result.remedy) == (True, None)
    assert socket.if_nameindex() == before


def test_a_driver_that_is_missing_comes_with_a_remedy() -> None:
    results = probe()
    assert list(results) == ["netdev", "ebpf"]
    missing = {name: result for name, result in results.items() if not result.available}
    if not missing:
        pytest.skip("both drivers work here")
    for name, result in missing.items():
        assert result.remedy
        with pytest.raises(MachineError) as failure:
            in_empty_namespace(name)
        assert failure.value.message == result.detail


def in_empty_namespace(name: str) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        open_driver(name, underlay=["lo"]).shutdown()
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)
