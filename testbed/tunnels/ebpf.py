"""The `ebpf` driver: tc programs (ipip.bpf.c) that encapsulate and decapsulate, for kernels without ipip devices.

Owns the programs' maps, the veth pairs that stand for tunnel devices and the filters on the underlay. A tunnel is
``tun-N`` and its other end, ``tun-N-out``, where packets get their outer header on the way to the underlay.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from pathlib import Path

from testbed.errors import KernelRefused, MissingFeature, MissingPrivilege
from testbed.network.rtnetlink import (
    ETH_P_IP,
    Message,
    add_clsact,
    add_veth,
    attach_program,
    delete_clsact,
    detach_program,
    set_link,
)
from testbed.tunnels.devices import TunnelDevices, errno_of, only_ipip
from testbed.tunnels.driver import TunnelCounters, TunnelDevice
from testbed.tunnels.endpoints import TunnelEndpoints
from testbed.tunnels.libbpf import BpfObject
from testbed.tunnels.path_news import PathNews

OBJECT_FILE = "ipip.bpf.o"

# struct tunnel, struct addresses and enum count of ipip.bpf.c.
_TUNNEL = struct.Struct("=4s4sIII6sBx")
_INDEX = struct.Struct("=I")
_DROPS = (
    "not ipv4",
    "malformed inner",
    "inner ttl zero",
    "loop",
    "no route",
    "too big",
    "no room",
    "malformed outer",
    "outer fragment",
    "congestion",
)
_COUNTS = struct.Struct(f"={4 + len(_DROPS)}Q")

# Where our filter stands among others on an underlay device: the port of Mobile IP.
_PRIORITY = 434
_FORWARDING = 1  # IPV4_DEVCONF_FORWARDING
# A superpacket and its outer header must fit the 16 bits of an IPv4 total length. The kernel compares with the length
# that includes the Ethernet header, and passes what is below. Not less than need be: the rest is cut up in software.
_LARGEST_SUPERPACKET = 0xFFFF - 20 + 14 + 1


class EbpfDriver:
    """eBPF tunnels of the caller's network namespace."""

    name = "ebpf"

    def __init__(self, underlay: Sequence[str], *, ttl: int = 64) -> None:
        """Load the programs and watch the ``underlay`` devices for encapsulated packets; ``ttl`` is of outer headers.

        Raises ``MissingFeature`` or ``MissingPrivilege`` where this kernel or user cannot.
        """
        self._ttl = ttl
        self._devices = TunnelDevices(underlay)
        self._own_clsact: list[int] = []
        self._open: dict[str, tuple[TunnelDevice, int]] = {}
        try:
            self._programs = BpfObject(OBJECT_FILE, Path(__file__).with_name(OBJECT_FILE).read_bytes())
            try:
                self._use_programs()
            except BaseException:
                self._programs.close()
                raise
        except BaseException:
            self._devices.release()
            raise

    def _use_programs(self) -> None:
        self._encapsulate = self._programs.program("encapsulate")
        self._decapsulate = self._programs.program("decapsulate")
        self._tunnels_out = self._programs.map("tunnels_out", _TUNNEL.size)
        self._tunnels_in = self._programs.map("tunnels_in", _TUNNEL.size)
        self._counts = self._programs.map("tunnel_counts", _COUNTS.size, per_cpu=True)
        self._strangers = self._programs.map("strangers", 8, per_cpu=True)
        try:
            self._news = PathNews()
        except PermissionError as failure:
            raise MissingPrivilege("path MTU discovery needs CAP_NET_RAW", hint="run as root") from failure
        try:
            for index in self._devices.underlay.values():
                self._watch(index)
        except BaseException:
            self._news.close()
            raise

    def _watch(self, underlay: int) -> None:
        """Decapsulate what arrives on a device. A dead predecessor's filter is replaced without a gap."""
        try:
            self._devices.kernel.request(add_clsact(underlay))
            self._own_clsact.append(underlay)
        except KernelRefused as refusal:
            if errno_of(refusal) != errno.EEXIST:
                raise _translated(refusal) from refusal
        try:
            self._devices.kernel.request(self._filter(underlay))
        except KernelRefused as refusal:
            raise _translated(refusal) from refusal

    def _filter(self, underlay: int) -> Message:
        return attach_program(
            underlay, "ingress", self._decapsulate, "decapsulate", priority=_PRIORITY, ethertype=ETH_P_IP
        )

    def open(self, endpoints: TunnelEndpoints) -> TunnelDevice:
        """See `TunnelDriver.open`."""
        only_ipip(self.name, endpoints)
        # Readable in captures, and different per tunnel: locally administered, the remote address in it.
        mac = b"\x02\0" + endpoints.remote.packed
        mtu = self._devices.mtu(endpoints)
        name = self._devices.create(
            lambda name: add_veth(
                name, _other_end(name), mtu=mtu, mac=mac, arp=False, gso_max_size=_LARGEST_SUPERPACKET
            )
        )
        device = TunnelDevice(name, self._devices.kernel.link_index(name), endpoints, self.name)
        entrance = self._devices.kernel.link_index(_other_end(name))
        tunnel = _TUNNEL.pack(
            endpoints.local.packed, endpoints.remote.packed, device.index, entrance, 1, mac, self._ttl
        )
        try:
            self._tunnels_in.insert(_addresses(endpoints), tunnel, f"a tunnel {endpoints}")
        except KernelRefused:  # EEXIST: the entry is another device's, and stays
            self._devices.remove(name)
            raise
        self._open[name] = (device, entrance)
        try:
            self._furnish(device, entrance, tunnel)
        except BaseException:
            self.close(device)
            raise
        return device

    def _furnish(self, device: TunnelDevice, entrance: int, tunnel: bytes) -> None:
        """Counters, the program at the entrance, and both ends up."""
        self._counts.insert(_INDEX.pack(device.index), bytes(_COUNTS.size), f"counters of {device.name}")
        self._tunnels_out.insert(_INDEX.pack(entrance), tunnel, f"the entrance of {device.name}")
        self._devices.kernel.request(
            add_clsact(entrance),
            attach_program(entrance, "ingress", self._encapsulate, "encapsulate", priority=_PRIORITY),
            # Routes for outer packets are looked up as if they were forwarded from here; no packet ever is.
            set_link(entrance, ipv4_settings={_FORWARDING: 1}),
        )
        self._devices.bring_up(_other_end(device.name), device.name)

    def close(self, device: TunnelDevice) -> None:
        """See `TunnelDriver.close`."""
        _, entrance = self._open.pop(device.name)
        self._tunnels_in.delete(_addresses(device.endpoints))
        self._devices.remove(device.name)
        self._tunnels_out.delete(_INDEX.pack(entrance))
        self._counts.delete(_INDEX.pack(device.index))

    def counters(self, device: TunnelDevice) -> TunnelCounters:
        """See `TunnelDriver.counters`."""
        per_cpu = [_COUNTS.unpack(value) for value in self._counts.lookup(_INDEX.pack(device.index))]
        if not per_cpu:
            raise KernelRefused(f"there is no tunnel device {device.name} ({device.endpoints})")
        packets_out, bytes_out, packets_in, bytes_in, *drops = map(sum, zip(*per_cpu, strict=True))
        named = {reason: count for reason, count in zip(_DROPS, drops, strict=True) if count}
        return TunnelCounters(packets_out, bytes_out, packets_in, bytes_in, named)

    def strangers(self) -> int:
        """See `TunnelDriver.strangers`."""
        return sum(struct.unpack("=Q", value)[0] for value in self._strangers.lookup(_INDEX.pack(0)))

    def fileno(self) -> int:
        """See `TunnelDriver.fileno`."""
        return self._news.fileno()

    def refresh(self) -> None:
        """See `TunnelDriver.refresh`."""
        self._news.drain()
        kernel = self._devices.kernel
        for device, entrance in self._open.values():
            mtu = self._devices.mtu(device.endpoints)
            link = kernel.link(device.index)
            if link is not None and link.mtu != mtu:
                kernel.request(set_link(entrance, mtu=mtu), set_link(device.index, mtu=mtu))

    def shutdown(self) -> None:
        """See `TunnelDriver.shutdown`."""
        for device, _ in list(self._open.values()):
            self.close(device)
        gone = {errno.ENODEV, errno.ENOENT, errno.EINVAL}  # an underlay device that went away took its filters along
        for index in self._devices.underlay.values():
            removal = (
                delete_clsact(index)
                if index in self._own_clsact
                else detach_program(index, "ingress", priority=_PRIORITY, ethertype=ETH_P_IP)
            )
            self._devices.kernel.request(removal, ignore=gone)
        self._news.close()
        self._programs.close()
        self._devices.release()


def _other_end(name: str) -> str:
    return f"{name}-out"


def _addresses(endpoints: TunnelEndpoints) -> bytes:
    """struct addresses: source and destination of outer headers as they arrive."""
    return endpoints.remote.packed + endpoints.local.packed


def _translated(refusal: KernelRefused) -> Exception:
    """What a refused clsact or filter says about the machine."""
    if errno_of(refusal) in (errno.ENOENT, errno.EOPNOTSUPP):
        return MissingFeature(
            "the kernel has no clsact or no bpf classifier",
            hint="load the modules (modprobe sch_ingress cls_bpf) or boot a distribution kernel",
        )
    if errno_of(refusal) == errno.EPERM:
        return MissingPrivilege("filters on network devices need CAP_NET_ADMIN", hint="run as root")
    return refusal
