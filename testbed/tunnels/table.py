"""Who uses which tunnel: one tunnel per pair of endpoints, made for its first user and removed with its last.

A home agent's bindings and a foreign agent's visitors share tunnels (one per home agent and care-of address). The
table counts their users and leaves encapsulation to the driver.
"""

from __future__ import annotations

from collections.abc import Hashable

from testbed.tunnels.driver import TunnelDevice, TunnelDriver
from testbed.tunnels.endpoints import TunnelEndpoints


class TunnelTable:
    """The tunnels of one agent."""

    def __init__(self, driver: TunnelDriver) -> None:
        """The table becomes the driver's owner: `close` shuts it down."""
        self._driver = driver
        self._devices: dict[TunnelEndpoints, TunnelDevice] = {}
        self._users: dict[TunnelEndpoints, set[Hashable]] = {}

    @property
    def driver(self) -> TunnelDriver:
        """The driver at work, for its name and counters."""
        return self._driver

    def acquire(self, endpoints: TunnelEndpoints, user: Hashable) -> TunnelDevice:
        """The device of the tunnel, which exists from now on until ``user`` and all others have released it.

        Asking again as the same user changes nothing. Where the driver fails, ``user`` holds nothing.
        """
        device = self._devices.get(endpoints)
        if device is None:
            device = self._driver.open(endpoints)
            self._devices[endpoints] = device
            self._users[endpoints] = set()
        self._users[endpoints].add(user)
        return device

    def release(self, endpoints: TunnelEndpoints, user: Hashable) -> None:
        """``user`` needs the tunnel no longer; with the last one the device is removed. KeyError if it held nothing."""
        users = self._users.get(endpoints, set())
        users.remove(user)
        if not users:
            del self._users[endpoints]
            self._driver.close(self._devices.pop(endpoints))

    def users(self, endpoints: TunnelEndpoints) -> frozenset[Hashable]:
        """Who holds the tunnel now."""
        return frozenset(self._users.get(endpoints, ()))

    def devices(self) -> list[TunnelDevice]:
        """The tunnels that exist, oldest first."""
        return list(self._devices.values())

    def close(self) -> None:
        """Remove all tunnels, whoever uses them, and shut the driver down."""
        self._users.clear()
        self._devices.clear()
        self._driver.shutdown()
