"""A chain of namespaces ``n0 - n1 - … - nK`` that route to one another; only for use inside the private world."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.network import programs
from testbed.network.netns import Namespace


class Chain:
    """Node ``nI`` reaches its right neighbour on ``rI`` and its left one on ``lI``; link I is 10.0.I.0/24."""

    def __init__(self, length: int) -> None:
        self.nodes = [Namespace.create(f"n{index}") for index in range(length)]
        for index in range(length - 1):
            left, right = f"r{index}", f"l{index + 1}"
            command = f"link add {left} netns n{index} type veth peer name {right} netns n{index + 1}"
            programs.run(["ip", *command.split()])
            self._configure(index, left, f"10.0.{index}.1/24")
            self._configure(index + 1, right, f"10.0.{index}.2/24")
        for index, node in enumerate(self.nodes):
            node.write_sysctls({"net/ipv4/ip_forward": 1, "net/ipv4/icmp_ratelimit": 0})
            node.write_sysctl("net/ipv6/conf/all/disable_ipv6", 1)
            for link in range(length - 1):
                if link > index:
                    self.ip(index, f"route add 10.0.{link}.0/24 via 10.0.{index}.2")
                elif link < index - 1:
                    self.ip(index, f"route add 10.0.{link}.0/24 via 10.0.{index - 1}.1")

    def ip(self, index: int, command: str) -> str:
        return self.nodes[index].run(["ip", *command.split()]).stdout

    def address(self, index: int) -> IPv4Address:
        """An address of a node: the one towards its left neighbour, where it has one."""
        return IPv4Address(f"10.0.{index - 1}.2" if index else "10.0.0.1")

    def interfaces(self) -> list[tuple[Namespace, str]]:
        last = len(self.nodes) - 1
        lefts = [(node, f"l{index}") for index, node in enumerate(self.nodes) if index]
        return lefts + [(node, f"r{index}") for index, node in enumerate(self.nodes) if index != last]

    def _configure(self, index: int, interface: str, address: str) -> None:
        self.nodes[index].run(["ethtool", "-K", interface, "tx", "off", "rx", "off", "tso", "off", "gro", "off"])
        self.ip(index, f"addr add {address} dev {interface}")
        self.ip(index, f"link set {interface} up")
