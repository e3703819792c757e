"""What a tunnel driver must do, and which one does it: the one asked for, or the first that this kernel can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from testbed.errors import MachineError, MissingFeature
from testbed.tunnels.endpoints import TunnelEndpoints


@dataclass(frozen=True)
class TunnelDevice:
    """A network device of this namespace; packets routed into it leave encapsulated, arriving ones come out of it."""

    name: str
    index: int
    endpoints: TunnelEndpoints
    driver: str


@dataclass(frozen=True)
class TunnelCounters:
    """What went through a tunnel so far: inner packets and their bytes; ``drops`` by reason, only those that happened.

    A superpacket (segmentation offload) counts as the packets it stands for with the ebpf driver, as the kernel's own
    device counts it with netdev.
    """

    packets_out: int
    bytes_out: int
    packets_in: int
    bytes_in: int
    drops: Mapping[str, int] = field(default_factory=dict)


class TunnelDriver(Protocol):
    """One way to have the kernel encapsulate, at work in one network namespace until `shutdown`."""

    @property
    def name(self) -> str:
        """``netdev`` or ``ebpf``."""

    def open(self, endpoints: TunnelEndpoints) -> TunnelDevice:
        """Make a tunnel device ``tun-N``, up, its MTU that of the path less the encapsulation's bytes.

        Raises ``MissingFeature`` for an encapsulation the driver does not have, ``KernelRefused`` otherwise.
        """

    def close(self, device: TunnelDevice) -> None:
        """Remove a device that `open` made; routes into it go with it."""

    def counters(self, device: TunnelDevice) -> TunnelCounters:
        """What went through a device that is open."""

    def strangers(self) -> int:
        """Encapsulated packets to this node that belonged to no tunnel, dropped without an answer."""

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when `refresh` has something to do; None: the kernel sees to it all."""

    def refresh(self) -> None:
        """Bring the MTU of every open device into line with what is now known of its path (RFC 2003 section 5.1)."""

    def shutdown(self) -> None:
        """Remove every device and filter of the driver. It is of no use afterwards."""


@dataclass(frozen=True)
class ProbeResult:
    """Whether a driver works; ``detail`` says how that was found out or what is missing, ``remedy`` what to do then."""

    available: bool
    detail: str
    remedy: str | None = None


DriverName = Literal["netdev", "ebpf"]
DRIVERS: tuple[DriverName, ...] = ("netdev", "ebpf")  # in order of preference


def open_driver(name: str, *, underlay: Sequence[str], ttl: int = 64) -> TunnelDriver:
    """A driver at work in the caller's network namespace: ``netdev``, ``ebpf``, or ``auto`` for the first that works.

    ``underlay`` are the devices that encapsulated packets arrive on, ``ttl`` is that of outer headers. Raises
    ``MissingFeature`` or ``MissingPrivilege`` with the remedy, and ``LabError`` where another driver is at work here.
    """
    if name != "auto":
        return _open(name, underlay, ttl)
    failures: list[MachineError] = []
    for candidate in DRIVERS:
        try:
            return _open(candidate, underlay, ttl)
        except MachineError as failure:
            failures.append(failure)
    reasons = "; ".join(f"{candidate}: {failure.message}" for candidate, failure in zip(DRIVERS, failures, strict=True))
    raise MissingFeature(f"no tunnel driver works here: {reasons}", hint=failures[-1].hint)


def _open(name: str, underlay: Sequence[str], ttl: int) -> TunnelDriver:
    # Imported when chosen: an agent pays for one driver, and libbpf is not loaded where the kernel has ipip.
    if name == "netdev":
        from testbed.tunnels.netdev import NetdevDriver

        return NetdevDriver(underlay, ttl=ttl)
    if name == "ebpf":
        from testbed.tunnels.ebpf import EbpfDriver

        return EbpfDriver(underlay, ttl=ttl)
    raise MissingFeature(f"there is no tunnel driver {name!r}", hint="auto, netdev or ebpf")


def probe() -> dict[str, ProbeResult]:
    """What each driver can do here, in order of preference, by making a tunnel in a namespace that is thrown away.

    Takes a child process, some tenths of a second; leaves nothing behind. Raises ``LabError`` where the trial itself
    broke down.
    """
    from testbed.tunnels.trial import try_drivers  # agents, which never ask, need not import what it takes

    return try_drivers()
