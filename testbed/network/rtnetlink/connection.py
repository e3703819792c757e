"""The socket to the kernel's routing tables: sends requests, reads acknowledgements, looks things up.

About 5 µs a request; several given at once cost one system call to send. One object belongs to one thread.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.errors import KernelRefused
from testbed.network.rtnetlink import links, routing
from testbed.network.rtnetlink.links import Link
from testbed.network.rtnetlink.message import (
    AF_INET,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    Message,
    answers,
    attribute_address,
    attribute_text,
    attributes,
    error_of,
)
from testbed.network.syscalls import CLONE_NEWNET, setns

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_RECEIVE_BYTES = 1 << 16

# Every acknowledgement waits in the socket's buffer until the whole batch is sent, and costs most of a kilobyte there.
_BATCH = 100


@dataclass(frozen=True)
class Route:
    """Where the kernel would send a packet: device index, gateway (None: on the link), source, MTU (None: device's)."""

    device: int
    gateway: IPv4Address | None
    source: IPv4Address | None
    mtu: int | None


def open_socket(groups: int = 0, namespace_fd: int | None = None) -> socket.socket:
    """A NETLINK_ROUTE socket of this network namespace, or of the one behind ``namespace_fd``."""
    if namespace_fd is None:
        return _open_here(groups)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(namespace_fd, CLONE_NEWNET)
        try:
            return _open_here(groups)
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


def _open_here(groups: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    opened.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    opened.bind((0, groups))
    return opened


class RouteNetlink:
    """One open NETLINK_ROUTE socket."""

    def __init__(self, namespace_fd: int | None = None) -> None:
        self._socket = open_socket(namespace_fd=namespace_fd)
        self._sequence = 0
        self._received = bytearray(_RECEIVE_BYTES)  # one for good: allocating it anew costs more than the request

    def __enter__(self) -> RouteNetlink:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; what was asked of the kernel stays."""
        self._socket.close()

    def request(self, *messages: Message, ignore: Collection[int] = ()) -> None:
        """Have the kernel do all of ``messages``, in order.

        The kernel does not stop at one it refuses: the rest is done too. Then `KernelRefused` names the first refused
        one; its ``__cause__`` is an OSError with the errno. Errnos in ``ignore`` count as done.
        """
        refused: list[tuple[Message, int, str]] = []
        for start in range(0, len(messages), _BATCH):
            batch = messages[start : start + _BATCH]
            refused += [refusal for refusal in self._exchange(batch) if refusal[1] not in ignore]
        if refused:
            raise _refusal(*refused[0], others=len(refused) - 1)

    def _exchange(self, batch: tuple[Message, ...]) -> list[tuple[Message, int, str]]:
        first = self._sequence + 1
        self._sequence += len(batch)
        self._socket.send(b"".join([message.encode(first + i) for i, message in enumerate(batch)]))
        refused = []
        waiting = len(batch)
        while waiting:
            for answer in answers(self._receive()):
                place = answer.sequence - first
                if answer.type != NLMSG_ERROR or not 0 <= place < len(batch):
                    continue  # what an interrupted request left behind
                waiting -= 1
                number, words = error_of(answer)
                if number:
                    refused.append((batch[place], number, words))
        return refused

    def _receive(self) -> memoryview:
        """The next datagram, good until the one after it."""
        return memoryview(self._received)[: self._socket.recv_into(self._received)]

    def link(self, name_or_index: str | int) -> Link | None:
        """The device of that name or index; None where there is none."""
        index = name_or_index if isinstance(name_or_index, int) else 0
        body = links.LINK_HEADER.pack(0, 0, index, 0, 0)
        if isinstance(name_or_index, str):
            body += attribute_text(links.IFLA_IFNAME, name_or_index)
        message = Message(links.RTM_GETLINK, 0, body, "show device {}", (name_or_index,))
        try:
            return links.decode_link(self._ask(message).body)
        except KernelRefused as refusal:
            if isinstance(refusal.__cause__, OSError) and refusal.__cause__.errno == 19:  # ENODEV
                return None
            raise

    def link_index(self, name: str) -> int:
        """The index of a device; `KernelRefused` where there is none of that name."""
        found = self.link(name)
        if found is None:
            raise KernelRefused(f"there is no device {name!r}") from OSError(19, "No such device")
        return found.index

    def link_flags(self, name_or_index: str | int) -> int:
        """IFF_* flags of a device, 0 where there is none."""
        found = self.link(name_or_index)
        return found.flags if found else 0

    def links(self) -> list[Link]:
        """All devices of the namespace."""
        message = Message(links.RTM_GETLINK, NLM_F_DUMP, links.LINK_HEADER.pack(0, 0, 0, 0, 0), "list devices")
        return [links.decode_link(answer.body) for answer in self._dump(message)]

    def addresses(self, device: int | None = None) -> list[tuple[int, IPv4Interface]]:
        """(device index, address) of all IPv4 addresses, or of one device's."""
        header = routing.ADDRESS_HEADER
        message = Message(routing.RTM_GETADDR, NLM_F_DUMP, header.pack(AF_INET, 0, 0, 0, 0), "list addresses")
        found = []
        for answer in self._dump(message):
            _family, length, _flags, _scope, index = header.unpack_from(answer.body)
            local = attributes(answer.body, header.size).get(routing.IFA_LOCAL)
            if local is not None and device in (None, index):
                found.append((index, IPv4Interface((local, length))))
        return found

    def destinations(self, table: int) -> list[IPv4Network]:
        """What a routing table has unicast routes for."""
        header = routing.ROUTE_HEADER
        message = Message(routing.RTM_GETROUTE, NLM_F_DUMP, header.pack(AF_INET, *[0] * 8), "list routes")
        found = []
        for answer in self._dump(message):
            _family, length, *_rest, kind, _flags = header.unpack_from(answer.body)
            about = attributes(answer.body, header.size)
            (held_in,) = struct.unpack("=I", about[routing.RTA_TABLE])
            if held_in == table and kind == routing.ROUTE_TYPES["unicast"]:
                found.append(IPv4Network((about.get(routing.RTA_DST, bytes(4)), length)))
        return found

    def route_to(self, destination: IPv4Address, source: IPv4Address | None = None) -> Route:
        """Where a packet of this host's own would go; `KernelRefused` where there is no route."""
        header = routing.ROUTE_HEADER.pack(AF_INET, 32, 32 if source else 0, 0, 0, 0, 0, 0, 0)
        body = header + attribute_address(routing.RTA_DST, destination)
        if source is not None:
            body += attribute_address(routing.RTA_SRC, source)
        answer = self._ask(Message(routing.RTM_GETROUTE, 0, body, "find the route to {}", (destination,)))
        found = attributes(answer.body, routing.ROUTE_HEADER.size)
        metrics = attributes(found.get(routing.RTA_METRICS, b""))
        return Route(
            device=struct.unpack("=i", found[routing.RTA_OIF])[0],
            gateway=_address(found.get(routing.RTA_GATEWAY)),
            source=_address(found.get(routing.RTA_PREFSRC)),
            mtu=struct.unpack("=I", metrics[routing.RTAX_MTU])[0] if routing.RTAX_MTU in metrics else None,
        )

    def _ask(self, message: Message) -> Answer:
        """The one answer to a question that is not a dump."""
        for answer in self._answers(message, flags=0):
            return answer
        raise KernelRefused(f"the kernel gave no answer when asked to {message.description}")

    def _dump(self, message: Message) -> Iterator[Answer]:
        for answer in self._answers(message, flags=0):
            if answer.type == NLMSG_DONE:
                return
            yield answer

    def _answers(self, message: Message, flags: int = NLM_F_ACK) -> Iterator[Answer]:
        self._sequence += 1
        self._socket.send(message.encode(self._sequence, flags))
        while True:
            for answer in answers(self._receive()):
                if answer.sequence != self._sequence:
                    continue
                if answer.type == NLMSG_ERROR:
                    raise _refusal(message, *error_of(answer))
                yield answer


def _address(packed: bytes | None) -> IPv4Address | None:
    return None if packed is None else IPv4Address(packed)


def _refusal(message: Message, number: int, words: str, others: int = 0) -> KernelRefused:
    text = f"the kernel refused to {message.description}: {os.strerror(number)}"
    if words:
        text += f", {words.rstrip('.')}"
    if others:
        text += f"; and {others} more of the same batch"
    refusal = KernelRefused(text)
    refusal.__cause__ = OSError(number, os.strerror(number))
    return refusal
