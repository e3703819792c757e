"""The three agents as processes in namespaces: what they do to the kernel, and what happens when they die."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.network.waiting import wait_until
from tests.agents.small_net import (
    ACCESS,
    CARE_OF,
    HOME,
    HOME_ADDRESS,
    HOME_AGENT,
    MOBILE,
    PATIENCE_S,
    RunningAgent,
    SmallNet,
    foreign,
)
from tests.agents.sniffing import (
    BROADCAST,
    Sniffer,
    arp_of,
    arp_request,
    sniffing,
    tunnelled,
    udp_payload,
)
from tests.network.private import in_world

pytestmark = pytest.mark.kernel

CN = "203.0.113.140"


class Lab:
    """The small net with its agents at work, the mobile node at home."""

    def __init__(self, folder: Path, mobile: dict[str, Any]) -> None:
        self.net = SmallNet()
        self.folder = folder
        self.agents: dict[str, RunningAgent] = {}
        for node, config in (("ha", HOME), ("fa-a", foreign("fa-a")), ("fa-b", foreign("fa-b")), ("mn", mobile)):
            self.start(node, config)
        self.mn.wait_for("state")

    def start(self, node: str, config: dict[str, Any]) -> RunningAgent:
        agent = self.agents[node] = RunningAgent(self.net.nodes[node], config, self.folder)
        agent.wait_for("ready")
        return agent

    @property
    def ha(self) -> RunningAgent:
        return self.agents["ha"]

    @property
    def mn(self) -> RunningAgent:
        return self.agents["mn"]

    def register_at(self, lan: str) -> None:
        """Move the mobile node and wait until it is registered there."""
        times = len(self.mn.events("registered"))
        self.net.move(lan)
        self.mn.wait_for("registered", times + 1)

    def kill(self, node: str) -> None:
        self.agents[node].process.kill()
        self.agents[node].process.wait(PATIENCE_S)

    def until(self, node: str, script: str, expected: str) -> None:
        """Wait until a command on a node prints exactly that."""
        wait_until(
            lambda: self.net.sh(node, script).strip() == expected,
            what=f"{node}: {script} to print {expected!r}",
            timeout_s=PATIENCE_S,
            on_timeout=lambda: self.net.sh(node, script),
        )

    def mac(self, node: str, interface: str) -> bytes:
        return bytes.fromhex(self.net.sh(node, f"ip -br link show {interface}").split()[2].replace(":", ""))


@contextmanager
def lab(folder: Path, **mobile: Any) -> Iterator[Lab]:
    built = Lab(folder, {**MOBILE, **mobile})
    try:
        yield built
    finally:
        for agent in built.agents.values():
            agent.stop()


ROUTE = f"ip route show {HOME_ADDRESS}"
PROXIES = "ip neigh show proxy"
TUNNELS = "ip -br link | grep -cE '^tun-[0-9]+[@ ]' || true"
RULES = "ip rule"
NO_RULES = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default"


def is_away(net: SmallNet) -> bool:
    return "NOARP" in net.sh("mn", "ip link show eth0")


@in_world
def test_a_mobile_node_roams_and_comes_home(tmp_path: Path) -> None:
    """G2, G3, G13, G16: bindings, tunnels, proxy ARP and routes follow it, and nothing is left when it is home."""
    with lab(tmp_path) as roaming:
        net = roaming.net
        assert net.pings()
        for lan, agent in (("lan-a", "fa-a"), ("lan-b", "fa-b"), ("lan-a", "fa-a")):
            roaming.register_at(lan)
            assert net.pings(3)
            assert is_away(net)
            assert f"{HOME_ADDRESS} dev tun-" in net.sh("ha", ROUTE)
            assert net.sh("ha", PROXIES).split() == [HOME_ADDRESS, "dev", "lan", "proxy"]
            roaming.until("ha", TUNNELS, "1")  # the old one goes after the reply
            assert "PERMANENT" in net.sh(agent, f"ip neigh show {HOME_ADDRESS}")
            assert net.sh("mn", "ip route").split()[:5] == ["default", "via", ACCESS[agent], "dev", "eth0"]
            assert "192.0.2.0/24" not in net.sh("mn", "ip route")
        net.move("lan-home")
        roaming.mn.wait_for("deregistered")
        assert net.pings(3)
        assert not is_away(net)
        assert net.sh("ha", f"{ROUTE}; {PROXIES}") == ""
        roaming.until("ha", TUNNELS, "0")
        assert f"via {HOME_AGENT}" in net.sh("mn", "ip route show default")
        assert "192.0.2.0/24 dev eth0" in net.sh("mn", "ip route")


@in_world
def test_home_again_is_announced_in_the_right_order(tmp_path: Path) -> None:
    """H12: the mobile node, its request, then the home agent with the mobile node's MAC."""
    with lab(tmp_path) as roaming:
        roaming.register_at("lan-a")
        with sniffing("ha-lan") as heard:
            roaming.net.move("lan-home")
            roaming.mn.wait_for("deregistered")
            frames = heard.drain()
        mac = roaming.mac("mn", "eth0")
        said = [
            "mn" if frame[6:12] == mac else "ha"
            for frame in frames
            if (arp := arp_of(frame)) and arp.sender == arp.target == HOME_ADDRESS and arp.sender_mac == mac
        ]
        assert said[:2] == ["mn", "ha"]
        first_request = next(place for place, frame in enumerate(frames) if (udp_payload(frame) or b"")[:1] == b"\x01")
        first_announcement = next(place for place, frame in enumerate(frames) if arp_of(frame) and frame[6:12] == mac)
        assert first_announcement < first_request


@in_world
def test_leaving_is_announced_by_the_home_agent(tmp_path: Path) -> None:
    """H12: a broadcast gratuitous ARP with the home agent's MAC; after it, it answers for the home address."""
    with lab(tmp_path) as roaming, sniffing("ha-lan") as heard:
        roaming.register_at("lan-a")
        mac = roaming.mac("ha", "lan")

        def announces(frame: bytes) -> bool:
            arp = arp_of(frame)
            return arp is not None and arp.sender == arp.target == HOME_ADDRESS and arp.sender_mac == mac

        assert heard.wait(announces)[:6] == BROADCAST
        asker = b"\x02\x00\x00\x00\x00\x63"
        heard.send(arp_request(BROADCAST, asker, "192.0.2.99", HOME_ADDRESS))
        answer = heard.wait(lambda frame: (arp := arp_of(frame)) is not None and arp.operation == 2)
        assert answer[:6] == asker
        assert answer[6:12] == mac


@in_world
def test_a_reverse_tunnel_carries_what_the_mobile_node_sends(tmp_path: Path) -> None:
    """RFC 3024: asked for by SIGHUP; without it the foreign agent sends its packets as they are."""
    with lab(tmp_path) as roaming:
        roaming.register_at("lan-a")
        roaming.mn.reload({**MOBILE, "reverse_tunnel": True})
        assert roaming.mn.wait_for("registered", 2)["reverse_tunnel"] is True
        assert f"from {HOME_ADDRESS} iif access lookup" in roaming.net.sh("fa-a", RULES)
        with sniffing("ha-core") as heard:
            assert roaming.net.pings()
            heard.wait(lambda frame: tunnelled(frame) == (CARE_OF["fa-a"], HOME_AGENT, HOME_ADDRESS, CN))
            heard.wait(lambda frame: tunnelled(frame) == (HOME_AGENT, CARE_OF["fa-a"], CN, HOME_ADDRESS))
        roaming.mn.reload(MOBILE)
        roaming.mn.wait_for("registered", 3)
        assert f"from {HOME_ADDRESS} iif access" not in roaming.net.sh("fa-a", RULES)
        assert roaming.net.pings()


@in_world
def test_away_it_asks_and_answers_no_arp_but_of_its_foreign_agent(tmp_path: Path) -> None:
    """M11: by the kernel's flag, not by good will."""
    with lab(tmp_path) as roaming:
        net = roaming.net
        roaming.register_at("lan-a")
        mac, agent_mac = roaming.mac("mn", "eth0"), roaming.mac("fa-a", "access")
        with net.nodes["fa-a"].entered():
            sniffer = Sniffer("access")
        with net.nodes["mn"].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talkative:
            for address in ("192.0.2.1", "192.0.2.99", "198.51.100.50"):
                talkative.sendto(b"is anybody there?", (address, 9))
        sniffer.send(arp_request(BROADCAST, agent_mac, ACCESS["fa-a"], HOME_ADDRESS))
        sniffer.send(arp_request(mac, b"\x02\x00\x00\x00\x00\x63", "198.51.100.60", HOME_ADDRESS))
        assert net.pings()
        said = [arp for frame in sniffer.drain() if frame[6:12] == mac and (arp := arp_of(frame)) is not None]
        assert said == []
        sniffer.send(arp_request(mac, agent_mac, ACCESS["fa-a"], HOME_ADDRESS))
        answer = sniffer.wait(lambda frame: frame[6:12] == mac and arp_of(frame) is not None)
        assert answer[:6] == agent_mac
        sniffer.close()


@in_world
def test_a_tunnelled_packet_for_no_visitor_is_dropped_without_a_word(tmp_path: Path) -> None:
    """F7: no forwarding, no ICMP."""
    with lab(tmp_path) as roaming:
        roaming.register_at("lan-a")
        roaming.net.sh("ha", "ip route add 192.0.2.77/32 dev tun-1")  # what a confused home agent would do
        with sniffing("ha-core") as core, sniffing("fa-a-access") as visited:
            with roaming.net.nodes["cn"].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"to a stranger", ("192.0.2.77", 9))
            core.wait(lambda frame: tunnelled(frame) == (HOME_AGENT, CARE_OF["fa-a"], CN, "192.0.2.77"))
            assert roaming.net.pings()  # what comes later has passed: what did not come is not on its way
            frames = core.drain()
            assert not [
                frame for frame in frames if frame[26:30] == socket.inet_aton(CARE_OF["fa-a"]) and frame[23] == 1
            ]
            assert not [frame for frame in visited.drain() if socket.inet_aton("192.0.2.77") in frame]


@in_world
def test_a_mobile_node_that_died_is_forgotten_when_its_lifetime_is_over(tmp_path: Path) -> None:
    """H1, F1: by home agent and foreign agent, without a message."""
    with lab(tmp_path, lifetime_s=2) as roaming:
        roaming.register_at("lan-a")
        roaming.kill("mn")
        assert roaming.ha.wait_for("binding_removed")["reason"] == "expired"
        assert roaming.agents["fa-a"].wait_for("visitor_removed")["reason"] == "expired"
        for node in ("ha", "fa-a"):
            roaming.until(node, ROUTE, "")
            roaming.until(node, TUNNELS, "0")
        roaming.until("fa-a", RULES, NO_RULES)
        assert roaming.net.sh("ha", PROXIES) == ""
        assert roaming.net.sh("fa-a", f"ip neigh show {HOME_ADDRESS}") == ""


@in_world
def test_a_mobile_node_that_was_killed_away_deregisters_when_it_starts_at_home(tmp_path: Path) -> None:
    with lab(tmp_path) as roaming:
        roaming.register_at("lan-a")
        roaming.kill("mn")
        roaming.net.move("lan-home")
        roaming.start("mn", MOBILE).wait_for("deregistered")
        assert not is_away(roaming.net)
        assert roaming.net.sh("ha", ROUTE) == ""
        assert roaming.net.pings()


def kernel_state(net: SmallNet, node: str) -> list[str]:
    """Everything that an agent may change; not who made a route, as one that is put back has another maker."""
    script = f"ip -br link; ip -4 route show table all; {RULES}; {PROXIES}; ip neigh show nud permanent"
    script += "; grep . /proc/sys/net/ipv4/neigh/*/proxy_delay /proc/sys/net/ipv4/conf/*/accept_redirects"
    return sorted(re.sub(" proto [a-z]+", "", line).strip() for line in net.sh(node, script).splitlines())


@in_world
def test_sigterm_undoes_everything(tmp_path: Path) -> None:
    with ExitStack() as undo:
        net = SmallNet()
        nodes = ("ha", "fa-a", "mn")
        before = {node: kernel_state(net, node) for node in nodes}
        configs = (HOME, foreign("fa-a"), {**MOBILE, "reverse_tunnel": True})
        agents = {
            node: RunningAgent(net.nodes[node], config, tmp_path) for node, config in zip(nodes, configs, strict=True)
        }
        for agent in agents.values():
            undo.callback(agent.stop)
            agent.wait_for("ready")
        net.move("lan-a")
        agents["mn"].wait_for("registered")
        assert all(kernel_state(net, node) != before[node] for node in nodes)
        for node in nodes:
            assert agents[node].stop() == 0
            assert agents[node].log() == ""
            assert agents[node].wait_for("stopped")["counters"]
            assert kernel_state(net, node) == before[node]


@in_world
def test_killed_agents_are_replaced_and_their_leftovers_cleared(tmp_path: Path) -> None:
    """kill -9 leaves kernel state; who starts in its place has no bindings and no visitors."""
    with lab(tmp_path) as roaming:
        roaming.mn.reload({**MOBILE, "reverse_tunnel": True})
        roaming.register_at("lan-a")
        roaming.mn.process.send_signal(signal.SIGSTOP)
        for node, config in (("ha", HOME), ("fa-a", foreign("fa-a"))):
            roaming.kill(node)
            assert HOME_ADDRESS in roaming.net.sh(node, "ip route")
            roaming.start(node, config)
            assert roaming.net.sh(node, ROUTE) == ""
            assert roaming.net.sh(node, PROXIES) == ""
            assert roaming.net.sh(node, RULES).strip() == NO_RULES
            assert roaming.net.sh(node, TUNNELS).strip() == "0"
        roaming.mn.process.send_signal(signal.SIGCONT)
        # D10: a low sequence number tells the mobile node that its agent has forgotten it
        roaming.mn.wait_for("registered", 2)
        assert roaming.net.pings()


@in_world
def test_bad_packets_are_counted_told_and_change_nothing(tmp_path: Path) -> None:
    """Malformed, of unknown type, forged, replayed: the home agent goes on, its binding stays."""
    with lab(tmp_path) as roaming, sniffing("ha-core") as heard:
        net = roaming.net
        roaming.register_at("lan-a")
        first = udp_payload(heard.wait(lambda frame: (udp_payload(frame) or b"")[:1] == b"\x01")) or b""
        roaming.register_at("lan-b")
        forged = first[:-1] + bytes((first[-1] ^ 1,))
        with net.nodes["cn"].socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for payload in (b"", b"\x01", first[:30], bytes((7,)) + bytes(30), forged, first):
                sender.sendto(payload, (HOME_AGENT, 434))
            assert roaming.ha.wait_for("request_denied", 2)["code"] == 133
        assert [denied["code"] for denied in roaming.ha.events("request_denied")] == [131, 133]
        assert len(roaming.ha.events("packet_discarded")) == 4
        assert net.pings()
        assert roaming.ha.stop() == 0
        counters = roaming.ha.wait_for("stopped")["counters"]
        assert counters == {
            "requests_accepted": 2,
            "packets_malformed": 4,
            "requests_denied_131": 1,
            "requests_denied_133": 1,
        }


@in_world
def test_a_kernel_that_refuses_is_answered_130(tmp_path: Path) -> None:
    """The home link is gone: proxy ARP cannot be installed, so nothing is, and the mobile node is told."""
    with lab(tmp_path) as roaming:
        roaming.net.sh("ha", f"ip addr add {HOME_AGENT}/32 dev lo; ip link del lan")
        roaming.net.move("lan-a")
        assert roaming.mn.wait_for("refused")["code"] == 130
        assert "add proxy neighbour 192.0.2.10" in roaming.ha.wait_for("kernel_refused")["reason"]
        assert roaming.net.sh("ha", ROUTE) == ""
        roaming.until("ha", TUNNELS, "0")


@in_world
def test_an_unreachable_home_agent_is_told_to_the_mobile_node(tmp_path: Path) -> None:
    """F3: nobody listens (82), no route (80)."""
    with lab(tmp_path) as roaming:
        assert roaming.ha.stop() == 0
        roaming.net.move("lan-a")
        assert roaming.mn.wait_for("refused")["code"] == 82
        roaming.net.sh("fa-a", "ip route del 192.0.2.0/24")
        roaming.mn.wait_for("refused", 2)
        assert {refused["code"] for refused in roaming.mn.events("refused")} == {82, 80}


@in_world
def test_a_paused_agent_is_not_heard_and_heard_again_when_it_goes_on(tmp_path: Path) -> None:
    with lab(tmp_path) as roaming:
        roaming.agents["fa-a"].process.send_signal(signal.SIGSTOP)
        roaming.net.move("lan-a")
        roaming.mn.wait_for("solicitation_sent", 3)
        assert roaming.mn.events("registered") == []
        assert not roaming.net.pings()
        roaming.agents["fa-a"].process.send_signal(signal.SIGCONT)
        roaming.mn.wait_for("registered")
        assert roaming.net.pings()


@in_world
def test_a_broken_configuration_is_not_taken_over(tmp_path: Path) -> None:
    with lab(tmp_path) as roaming:
        roaming.mn.reload({**MOBILE, "lifetime_s": 0})
        assert "lifetime_s is 0" in roaming.mn.wait_for("config_refused")["reason"]
        roaming.mn.reload({**MOBILE, "interface": "eth1"})
        assert "interface is eth1, expected eth0" in roaming.mn.wait_for("config_refused", 2)["reason"]
        roaming.register_at("lan-a")


@in_world
def test_a_node_that_is_not_as_configured_is_told_in_one_line(tmp_path: Path) -> None:
    net = SmallNet()
    wrong = (
        ("ha", {**HOME, "interface": "wan"}, "'wan'"),
        ("ha", {**HOME, "home_agent": "192.0.2.2"}, "home agent address 192.0.2.2 is on no interface"),
        (
            "fa-a",
            {**foreign("fa-a"), "care_of_address": "198.51.100.9"},
            "care-of address 198.51.100.9 is on no interface",
        ),
        ("mn", {**MOBILE, "interface": "wlan0"}, "'wlan0'"),
    )
    for node, config, message in wrong:
        agent = RunningAgent(net.nodes[node], config, tmp_path)
        assert agent.process.wait(PATIENCE_S) == 2
        assert message in agent.log()
        assert agent.log().count("\n") == 1
        assert agent.told() == agent.log()
