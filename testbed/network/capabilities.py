"""What this machine and its kernel can do, found out by doing it in a private world that is thrown away.

Responsible for the list of features, for trying each of them, and for the remedy where one is missing. Which scenario
needs what is the scenario's business; *required* here means that no scenario can run without it.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from testbed.errors import MachineError, TestbedError
from testbed.network import programs, syscalls
from testbed.network.netns import Namespace
from testbed.network.world import run_in_world

_EXTRA_MODULES = f" (Ubuntu keeps rarer modules in linux-modules-extra-{os.uname().release})"
_MRT_INIT = 200  # linux/mroute.h


@dataclass(frozen=True)
class Capability:
    """One feature: is it there, how that was found out, and what to do where it is not."""

    name: str
    required: bool
    available: bool
    detail: str
    remedy: str | None = None


@dataclass(frozen=True)
class _Program:
    name: str
    required: bool
    purpose: str


@dataclass(frozen=True)
class _Feature:
    """A feature of the kernel: it is there when ``trial``, run in an empty namespace, raises nothing."""

    name: str
    required: bool
    done: str  # what the trial did
    option: str  # of the kernel's configuration
    trial: Callable[[Namespace], object]


_PROGRAMS = (
    _Program("ip", True, "shows and changes addresses, routes and rules"),
    _Program("nft", True, "sets up ingress filters"),
    _Program("tcpdump", True, "captures packets"),
    _Program("mnexec", False, "starts shells in nodes (Mininet's cmd and CLI)"),
    _Program("ping", False, "sends echo requests (Mininet's pingall)"),
    _Program("tshark", False, "dissects captures, the judge of our messages in the tests"),
    _Program("iperf3", False, "measures throughput in the benchmarks"),
    _Program("ethtool", False, "shows offloads of interfaces"),
    _Program("tc", False, "shapes links"),
    _Program("brctl", False, "makes plain Mininet's bridges, which the benchmarks compare with"),
)


def probe() -> list[Capability]:
    """Try everything; takes about half a second and leaves nothing behind. Raises nothing for what is missing."""
    return [*_programs(), _libbpf(), _user_namespaces(), *_in_a_world()]


def _programs() -> Iterator[Capability]:
    for program in _PROGRAMS:
        path = programs.find(program.name)
        remedy = None if path else programs.remedy(program.name)
        detail = path or f"not installed; it {program.purpose}"
        yield Capability(f"program {program.name}", program.required, path is not None, detail, remedy)


def _libbpf() -> Capability:
    name = "libbpf.so.1"
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return Capability("libbpf", False, False, str(error), "sudo apt-get install libbpf1")
    return Capability("libbpf", False, True, f"{name} was loaded")


def _user_namespaces() -> Capability:
    """Needed by ordinary users only, so tried as one even when root asks."""
    pid = os.fork()
    if pid == 0:
        number = 0
        try:
            if os.geteuid() == 0:
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
        except OSError as error:
            number = error.errno or 255
        finally:
            os._exit(number)
    number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if number == 0:
        return Capability("user namespaces", False, True, "an ordinary user made one: sudo is not needed")
    remedy = "use sudo, or: sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
    return Capability("user namespaces", False, False, f"an ordinary user was refused: {os.strerror(number)}", remedy)


def _in_a_world() -> list[Capability]:
    reader, writer = os.pipe()

    def main() -> int:
        found = [asdict(capability) for capability in (*_features(), *_tunnels())]
        with os.fdopen(writer, "w") as report:
            json.dump(found, report)
        return 0

    name = "private world"
    try:
        status = run_in_world(main)
    except MachineError as error:
        os.close(reader)
        return [Capability(name, True, False, error.message, error.hint), *_untried()]
    finally:
        os.close(writer)
    with os.fdopen(reader) as report:
        text = report.read()
    if status or not text:
        return [Capability(name, True, False, f"it ended with status {status}"), *_untried()]
    there = Capability(name, True, True, "mount, pid and network namespaces of its own were made")
    return [there, *(Capability(**found) for found in json.loads(text))]


def _untried() -> Iterator[Capability]:
    for feature in _FEATURES:
        yield Capability(feature.name, feature.required, False, "not tried: there is no private world to try it in")


def _features() -> Iterator[Capability]:
    for number, feature in enumerate(_FEATURES):
        namespace = Namespace.create(f"trial-{number}")
        try:
            feature.trial(namespace)
        except MachineError as error:
            yield Capability(feature.name, feature.required, False, f"not tried: {error.message}", error.hint)
        except (TestbedError, OSError) as error:
            remedy = f"boot a kernel that has {feature.option}{_EXTRA_MODULES}"
            yield Capability(feature.name, feature.required, False, f"the kernel refused: {_words(error)}", remedy)
        else:
            yield Capability(feature.name, feature.required, True, feature.done)
        finally:
            namespace.close()


def _words(error: TestbedError | OSError) -> str:
    """The kernel's own words, without the command line of the program that brought them."""
    text = error.message if isinstance(error, TestbedError) else str(error.strerror)
    return text.rpartition("stderr: ")[2]


def _tunnels() -> Iterator[Capability]:
    """Each driver is optional; that one of them works is not."""
    from testbed.tunnels.driver import probe as probe_drivers  # another room, and only asked here

    try:
        drivers = probe_drivers()
    except (TestbedError, OSError) as error:
        yield Capability("tunnels", True, False, f"the trial broke down: {error}")
        return
    for name, driver in drivers.items():
        yield Capability(f"tunnel driver {name}", False, driver.available, driver.detail, driver.remedy)
    working = [name for name, driver in drivers.items() if driver.available]
    remedy = next((driver.remedy for driver in drivers.values() if driver.remedy), None)
    detail = f"{working[0]} will be used unless --tunnel says otherwise" if working else "no driver works here"
    yield Capability("tunnels", True, bool(working), detail, None if working else remedy)


def _run(*commands: str) -> Callable[[Namespace], object]:
    def trial(namespace: Namespace) -> None:
        for command in commands:
            namespace.run(command.split())

    return trial


def _nft(*rules: str) -> Callable[[Namespace], object]:
    script = ["add table inet trial", *rules]
    return lambda namespace: namespace.run(["nft", "-f", "-"], stdin="\n".join(script) + "\n")


def _packet_socket(namespace: Namespace) -> None:
    namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


def _multicast_routing(namespace: Namespace) -> None:
    with namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP) as router:
        router.setsockopt(socket.IPPROTO_IP, _MRT_INIT, 1)


_VETH = "ip link add one type veth peer name two"
_CHAIN = "add chain inet trial inside { type filter hook prerouting priority raw; }"

_FEATURES: Sequence[_Feature] = (
    _Feature("veth", True, "a veth pair was made", "CONFIG_VETH", _run(_VETH)),
    _Feature("bridge", True, "a bridge was made", "CONFIG_BRIDGE", _run("ip link add one type bridge")),
    _Feature("packet sockets", True, "a packet socket was opened", "CONFIG_PACKET", _packet_socket),
    _Feature(
        "policy routing",
        True,
        "a rule for an incoming interface was added",
        "CONFIG_IP_MULTIPLE_TABLES",
        _run("ip rule add iif lo lookup 100"),
    ),
    _Feature(
        "nftables",
        True,
        "a filter with a named counter was set up",
        "CONFIG_NF_TABLES_INET",
        _nft(_CHAIN, "add counter inet trial hits", 'add rule inet trial inside counter name "hits" drop'),
    ),
    _Feature(
        "nftables fib",
        False,
        "a reverse-path test was set up (ingress filter modes strict and loose)",
        "CONFIG_NFT_FIB_INET",
        _nft(_CHAIN, "add rule inet trial inside fib saddr . iif oif missing drop"),
    ),
    _Feature("clsact", False, "a clsact qdisc was added", "CONFIG_NET_SCH_INGRESS", _run("tc qdisc add dev lo clsact")),
    _Feature(
        "ipip",
        False,
        "an ipip device was made",
        "CONFIG_NET_IPIP",
        _run("ip link add one type ipip local 192.0.2.1 remote 192.0.2.2"),
    ),
    _Feature(
        "gre",
        False,
        "a gre device was made",
        "CONFIG_NET_IPGRE",
        _run("ip link add one type gre local 192.0.2.1 remote 192.0.2.2"),
    ),
    _Feature(
        "macvlan", False, "a macvlan was made", "CONFIG_MACVLAN", _run(_VETH, "ip link add three link one type macvlan")
    ),
    _Feature("multicast routing", False, "a multicast router was set up", "CONFIG_IP_MROUTE", _multicast_routing),
    _Feature(
        "netem",
        False,
        "a delay was added to a link",
        "CONFIG_NET_SCH_NETEM",
        _run("tc qdisc add dev lo root netem delay 1ms"),
    ),
    _Feature(
        "tbf",
        False,
        "a link's rate was limited",
        "CONFIG_NET_SCH_TBF",
        _run("tc qdisc add dev lo root tbf rate 1mbit burst 10kb latency 10ms"),
    ),
    _Feature("htb", False, "rate classes were added", "CONFIG_NET_SCH_HTB", _run("tc qdisc add dev lo root htb")),
)
