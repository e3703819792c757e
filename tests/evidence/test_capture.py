from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from testbed.errors import LabError, MachineError
from testbed.evidence.capture import Capture
from testbed.evidence.merge import write_merged
from testbed.evidence.packets import Direction, PacketLog
from testbed.evidence.trace import by_path, traces
from testbed.network.netns import Namespace
from testbed.network.waiting import wait_until
from testbed.tunnels.driver import open_driver
from testbed.tunnels.endpoints import TunnelEndpoints
from tests.evidence.chain import Chain
from tests.network.private import in_world


def send(chain: Chain, texts: Iterator[str], *, to: int) -> None:
    with chain.nodes[0].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for text in texts:
            sender.sendto(text.encode(), (str(chain.address(to)), 5001))


def tcpdumps() -> list[int]:
    """Processes of this private world, in which nobody else runs any."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (entry / "comm").read_text().strip() == "tcpdump":
            found.append(int(entry.name))
    return found


@pytest.mark.kernel
@in_world
def test_packets_sent_right_before_the_end_are_in_the_files(tmp_path: Path) -> None:
    chain = Chain(3)
    chain.nodes[0].run(
        ["ping", "-c", "1", str(chain.address(2))]
    )  # ARP: or the routers would drop what they must queue
    for round_number in range(3):
        capture = Capture(tmp_path / str(round_number))
        capture.start(chain.interfaces())
        send(chain, (f"number {number}" for number in range(300)), to=2)
        statistics = capture.stop()
        log = PacketLog(capture.files)
        log.refresh()
        arrived = [p.payload.decode() for p in log.select(node="n2", interface="l2", protocol=17, direction="in")]
        assert arrived == [f"number {number}" for number in range(300)]
        assert {(s.dropped, s.complaint) for s in statistics} == {(0, None)}
        assert all(s.captured >= 300 for s in statistics)
        assert tcpdumps() == []


@in_world
def test_after_settling_the_log_holds_what_was_sent_before(tmp_path: Path) -> None:
    chain = Chain(2)
    with Capture(tmp_path) as capture:
        capture.start(chain.interfaces())
        log = PacketLog(capture.files)
        for number in range(50):
            send(chain, iter([f"number {number}"]), to=1)
            capture.settle()
            log.refresh()
            assert [p.payload for p in log.select(node="n1", protocol=17)][-1] == f"number {number}".encode()


@in_world
def test_paths_through_real_nodes_are_traced_and_merged(tmp_path: Path) -> None:
    chain = Chain(5)
    with Capture(tmp_path) as capture:
        capture.start(chain.interfaces())
        chain.nodes[0].run(["ping", "-c", "40", "-i", "0.002", str(chain.address(4))])
    log = PacketLog(capture.files)
    log.refresh()
    there = traces(log, destination=chain.address(4), protocol=1)
    back = traces(log, source=chain.address(4), protocol=1)
    assert [str(group) for group in by_path(there)] == ["40 × n0 → n1 → n2 → n3 → n4"]
    assert [str(group) for group in by_path(back)] == ["40 × n4 → n3 → n2 → n1 → n0"]
    assert write_merged(log, tmp_path / "packets.pcapng") == len(log)
    ttls = [s.packet.headers[0].ttl for s in there[0].sightings]
    assert ttls == [64, 64, 63, 63, 62, 62, 61, 61]


@pytest.mark.kernel
@in_world
def test_packets_in_a_real_tunnel_are_traced_through_it(tmp_path: Path) -> None:
    """n1 and n3 are the ends of a tunnel, of whichever driver works on this kernel."""
    chain = Chain(5)
    outer = {1: IPv4Address("10.0.1.1"), 3: IPv4Address("10.0.2.2")}
    for index, other, beyond, underlay in ((1, 3, "10.0.3.0/24", "r1"), (3, 1, "10.0.0.0/24", "l3")):
        with chain.nodes[index].entered():
            try:
                driver = open_driver("auto", underlay=[underlay])
            except MachineError as missing:
                pytest.skip(str(missing))
            device = driver.open(TunnelEndpoints(outer[index], outer[other]))
        chain.ip(index, f"route replace {beyond} dev {device.name}")
    with Capture(tmp_path) as capture:
        capture.start(chain.interfaces())
        chain.nodes[0].run(["ping", "-c", "5", "-i", "0.01", str(chain.address(4))])
    log = PacketLog(capture.files)
    log.refresh()
    there = traces(log, source=chain.address(0), destination=chain.address(4))
    back = traces(log, source=chain.address(4), destination=chain.address(0))
    assert [str(group) for group in by_path(there)] == ["5 × n0 → n1 ⇒ n2 ⇒ n3 → n4"]
    assert [str(group) for group in by_path(back)] == ["5 × n4 → n3 ⇒ n2 ⇒ n1 → n0"]
    (seen, *_) = log.select(node="n2", encapsulated=True, direction="in", source=chain.address(0))
    assert (seen.outer and (seen.outer.source, seen.outer.destination)) == (outer[1], outer[3])


@in_world
def test_a_packet_dropped_by_a_filter_ends_where_it_came_in(tmp_path: Path) -> None:
    chain = Chain(4)
    drop = "table inet f {\n chain c {\n type filter hook forward priority 0; policy drop;\n }\n}"
    chain.nodes[2].run(["nft", "-f", "-"], stdin=drop)
    with Capture(tmp_path) as capture:
        capture.start(chain.interfaces())
        send(chain, iter(["lost"]), to=3)
    log = PacketLog(capture.files)
    log.refresh()
    (found,) = traces(log, destination=chain.address(3), protocol=17)
    assert str(found.path) == "n0 → n1 → n2"
    assert found.describe_end().startswith("came in at n2 on l2 and did not leave again")


@in_world
def test_what_two_nodes_of_a_bridge_overhear_is_told_apart(tmp_path: Path) -> None:
    script = ["link add lan type bridge", "link set lan up"]
    nodes = [Namespace.create(f"n{index}") for index in range(3)]
    for index in range(3):
        script += [
            f"link add p{index} type veth peer name eth0 netns n{index}",
            f"link set p{index} master lan up",
        ]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(script), text=True, check=True)
    for index, node in enumerate(nodes):
        node.write_sysctl("net/ipv6/conf/all/disable_ipv6", 1)
        node.run(["ip", "addr", "add", f"10.0.0.{index + 1}/24", "dev", "eth0"])
        node.run(["ip", "link", "set", "eth0", "up"])
    # A neighbour that the bridge has never heard of: its frames are flooded, and nobody is meant.
    nodes[0].run(["ip", "neigh", "add", "10.0.0.9", "lladdr", "02:00:00:00:00:09", "dev", "eth0", "nud", "permanent"])
    with Capture(tmp_path) as capture:
        capture.start((node, "eth0") for node in nodes)
        with nodes[0].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"to nobody", ("10.0.0.9", 5001))
    log = PacketLog(capture.files)
    log.refresh()
    (found,) = traces(log, destination=IPv4Address("10.0.0.9"))
    assert found.describe_end().startswith("left n0 on eth0 and reached nobody")
    assert set(found.overhearers) == {"n1", "n2"}


@in_world
def test_an_interface_that_does_not_exist_is_named_and_nothing_is_left_running(tmp_path: Path) -> None:
    chain = Chain(2)
    capture = Capture(tmp_path)
    with pytest.raises(LabError, match="n1: capture on eth7: No such device"):
        capture.start([(chain.nodes[0], "r0"), (chain.nodes[1], "eth7")])
    assert tcpdumps() == []
    assert capture.files == []


@in_world
def test_a_capture_that_cannot_write_fails_in_tcpdumps_words(tmp_path: Path) -> None:
    chain = Chain(2)
    (tmp_path / "n0.r0.pcap").mkdir()
    with pytest.raises(LabError, match=r"n0: capture on r0 did not start: .*Is a directory"):
        Capture(tmp_path).start([(chain.nodes[0], "r0")])
    assert tcpdumps() == []


@in_world
def test_a_capture_that_dies_is_noticed(tmp_path: Path) -> None:
    chain = Chain(2)
    capture = Capture(tmp_path)
    capture.start(chain.interfaces())
    capture.require_alive()
    chain.ip(1, "link del l1")
    wait_until(lambda: "Z" in states(tcpdumps()), what="tcpdump to notice", timeout_s=5)
    with pytest.raises(LabError, match=r"capture on (l1|r0) ended early: .*interface disappeared"):
        capture.require_alive()
    assert any(s.complaint and "disappeared" in s.complaint for s in capture.stop())


def states(pids: list[int]) -> str:
    return "".join(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids)


@in_world
def test_an_interface_that_may_vanish_may(tmp_path: Path) -> None:
    chain = Chain(2)
    with Capture(tmp_path) as capture:
        capture.start([(chain.nodes[0], "r0")], may_vanish=True)
        chain.ip(0, "link del r0")
        wait_until(lambda: states(tcpdumps()) == "Z", what="tcpdump to notice", timeout_s=5)
        capture.require_alive()
    assert [s.complaint for s in capture.statistics] == [None]


@in_world
def test_a_capture_outlives_a_link_that_goes_down_and_up(tmp_path: Path) -> None:
    chain = Chain(2)
    with Capture(tmp_path) as capture:
        capture.start(chain.interfaces())
        for state in ("down", "up"):
            chain.ip(1, f"link set l1 {state}")
        chain.nodes[0].run(["ping", "-c", "1", str(chain.address(1))])
        capture.require_alive()
    log = PacketLog(capture.files)
    log.refresh()
    assert len(log.select(node="n1", protocol=1)) == 2


@in_world
def test_interfaces_can_be_added_and_none_twice(tmp_path: Path) -> None:
    chain = Chain(2)
    with Capture(tmp_path) as capture:
        capture.start([(chain.nodes[0], "r0")])
        log = PacketLog(capture.files)
        assert capture.add_interface(chain.nodes[1], "l1").name == "n1:l1"
        with pytest.raises(LabError, match="n1: l1 is captured already"):
            capture.add_interface(chain.nodes[1], "l1")
        send(chain, iter(["hello"]), to=1)
        capture.settle()
        log.refresh()
        assert [(p.place, p.direction) for p in log.select(protocol=17)] == [
            ("n0:r0", Direction.OUT),
            ("n1:l1", Direction.IN),
        ]


@in_world
def test_what_the_kernel_drops_is_reported(tmp_path: Path) -> None:
    """A capture that is stopped while a flood goes on loses packets; it has to say so."""
    chain = Chain(2)
    capture = Capture(tmp_path)
    capture.start([(chain.nodes[1], "l1")])
    (pid,) = tcpdumps()
    os.kill(pid, signal.SIGSTOP)
    send(chain, ("x" * 1400 for _ in range(8000)), to=1)
    os.kill(pid, signal.SIGCONT)
    (statistics,) = capture.stop()
    assert statistics.dropped > 0
    assert statistics.captured + statistics.dropped >= 8000


@in_world
def test_ctrl_c_on_the_terminal_does_not_reach_the_captures(tmp_path: Path) -> None:
    chain = Chain(2)
    with Capture(tmp_path) as capture:
        capture.start([(chain.nodes[0], "r0")])
        (pid,) = tcpdumps()
        assert os.getsid(pid) == pid != os.getsid(0)


def test_an_ordinary_users_root_can_capture_too(tmp_path: Path) -> None:
    """In a user namespace where nobody may change groups, which tcpdump insists on."""
    test = "tests/evidence/test_capture.py::test_packets_sent_right_before_the_end_are_in_the_files"
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--basetemp={tmp_path}/inner", test]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if "unshare failed" in done.stderr:
        pytest.skip(f"needs user namespaces: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout


@in_world
def test_stopping_twice_and_without_a_start_changes_nothing(tmp_path: Path) -> None:
    chain = Chain(2)
    capture = Capture(tmp_path)
    assert capture.stop() == []
    capture.start(chain.interfaces())
    first = list(capture.stop())
    assert capture.stop() == first
    assert len(first) == 2
