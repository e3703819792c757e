"""The tunnel table over a driver that only writes down what it is told."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from testbed.errors import KernelRefused
from testbed.tunnels.driver import TunnelCounters, TunnelDevice
from testbed.tunnels.endpoints import TunnelEndpoints
from testbed.tunnels.table import TunnelTable

A = TunnelEndpoints(IPv4Address("192.0.2.1"), IPv4Address("198.51.100.66"))
B = TunnelEndpoints(IPv4Address("192.0.2.1"), IPv4Address("198.51.100.194"))
MN = IPv4Address("192.0.2.10")
OTHER = IPv4Address("192.0.2.11")


class RecordingDriver:
    """Does nothing, and remembers it."""

    name = "recording"

    def __init__(self) -> None:
        self.told: list[tuple[str, TunnelEndpoints | None]] = []
        self.refuses = False

    def open(self, endpoints: TunnelEndpoints) -> TunnelDevice:
        if self.refuses:
            raise KernelRefused("the kernel refused to add a device")
        self.told.append(("open", endpoints))
        return TunnelDevice(f"tun-{len(self.told)}", 40 + len(self.told), endpoints, self.name)

    def close(self, device: TunnelDevice) -> None:
        self.told.append(("close", device.endpoints))

    def counters(self, device: TunnelDevice) -> TunnelCounters:
        return TunnelCounters(0, 0, 0, 0)

    def strangers(self) -> int:
        return 0

    def fileno(self) -> None:
        return None

    def refresh(self) -> None:
        self.told.append(("refresh", None))

    def shutdown(self) -> None:
        self.told.append(("shutdown", None))


@pytest.fixture
def driver() -> RecordingDriver:
    return RecordingDriver()


@pytest.fixture
def table(driver: RecordingDriver) -> TunnelTable:
    return TunnelTable(driver)


def test_users_of_the_same_endpoints_share_one_device(table: TunnelTable, driver: RecordingDriver) -> None:
    first = table.acquire(A, MN)
    assert table.acquire(A, OTHER) is first
    assert driver.told == [("open", A)]
    assert table.users(A) == {MN, OTHER}


def test_different_endpoints_get_different_devices(table: TunnelTable) -> None:
    assert table.acquire(A, MN) != table.acquire(B, MN)
    assert [device.endpoints for device in table.devices()] == [A, B]


def test_the_device_is_removed_with_its_last_user(table: TunnelTable, driver: RecordingDriver) -> None:
    table.acquire(A, MN)
    table.acquire(A, OTHER)
    table.release(A, MN)
    assert driver.told == [("open", A)]
    table.release(A, OTHER)
    assert driver.told == [("open", A), ("close", A)]
    assert table.devices() == []
    assert table.users(A) == frozenset()


def test_acquiring_twice_as_one_user_needs_one_release(table: TunnelTable, driver: RecordingDriver) -> None:
    table.acquire(A, MN)
    table.acquire(A, MN)
    table.release(A, MN)
    assert driver.told[-1] == ("close", A)


def test_a_tunnel_can_be_acquired_again_after_its_removal(table: TunnelTable, driver: RecordingDriver) -> None:
    table.acquire(A, MN)
    table.release(A, MN)
    table.acquire(A, MN)
    assert [word for word, _ in driver.told] == ["open", "close", "open"]


def test_releasing_what_one_does_not_hold_is_an_error_and_changes_nothing(
    table: TunnelTable, driver: RecordingDriver
) -> None:
    table.acquire(A, MN)
    with pytest.raises(KeyError):
        table.release(A, OTHER)
    with pytest.raises(KeyError):
        table.release(B, MN)
    assert table.users(A) == {MN}
    assert driver.told == [("open", A)]


def test_when_the_driver_fails_the_user_holds_nothing(table: TunnelTable, driver: RecordingDriver) -> None:
    driver.refuses = True
    with pytest.raises(KernelRefused):
        table.acquire(A, MN)
    assert table.users(A) == frozenset()
    driver.refuses = False
    assert table.acquire(A, MN).endpoints == A


def test_closing_the_table_shuts_the_driver_down_whoever_uses_it(table: TunnelTable, driver: RecordingDriver) -> None:
    table.acquire(A, MN)
    table.close()
    assert driver.told[-1] == ("shutdown", None)
    assert table.devices() == []
