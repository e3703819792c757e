from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address

import pytest

from testbed.errors import LabError
from testbed.traffic.ping import ping_once
from tests.evidence.chain import Chain
from tests.network.private import in_world


@in_world
def test_what_came_back_and_from_whom_is_told() -> None:
    async def story() -> None:
        chain = Chain(4)
        first, last = chain.nodes[0], chain.address(3)
        reply = await ping_once(first, last)
        assert reply.replied
        assert reply.source == last
        assert reply.round_trip_ms is not None
        assert str(reply).startswith("reply from 10.0.2.2 after ")

        expired = await ping_once(first, last, ttl=2)
        assert (expired.kind, expired.source, expired.icmp_type) == ("error", IPv4Address("10.0.1.2"), 11)
        assert str(expired) == "time exceeded from 10.0.1.2"

        chain.ip(1, "route add unreachable 10.0.2.0/24 metric 1")
        chain.ip(1, "route del 10.0.2.0/24 via 10.0.1.2")
        assert str(await ping_once(first, last)) == "host unreachable from 10.0.0.2"

        chain.ip(1, "route change blackhole 10.0.2.0/24 metric 1")
        nothing = await ping_once(first, last, timeout_s=0.2)
        assert (nothing.kind, nothing.source) == ("none", None)
        assert str(nothing) == "nothing came back in 0.2 s"

        refused = await ping_once(first, IPv4Address("198.51.100.1"))
        assert (refused.kind, str(refused)) == ("refused", "not sent: Network is unreachable")

    asyncio.run(story())


@in_world
def test_the_source_can_be_chosen_and_has_to_be_the_nodes() -> None:
    async def story() -> None:
        chain = Chain(2)
        chain.ip(0, "addr add 10.5.5.5/32 dev lo")
        chain.ip(1, "route add 10.5.5.5/32 via 10.0.0.1")
        assert (await ping_once(chain.nodes[0], chain.address(1), source=IPv4Address("10.5.5.5"))).replied
        with pytest.raises(LabError, match=r"n0: ping from 10\.6\.6\.6: Cannot assign"):
            await ping_once(chain.nodes[0], chain.address(1), source=IPv4Address("10.6.6.6"))

    asyncio.run(story())


@in_world
def test_a_packet_too_big_for_the_path_is_reported_by_the_router() -> None:
    async def story() -> None:
        chain = Chain(3)
        chain.ip(1, "link set r1 mtu 1400")
        chain.ip(2, "link set l2 mtu 1400")
        first, last = chain.nodes[0], chain.address(2)
        answer = await ping_once(first, last, payload_bytes=1472, dont_fragment=True)
        assert str(answer) == "fragmentation needed from 10.0.0.2"
        assert (await ping_once(first, last, payload_bytes=1472)).replied

    asyncio.run(story())


@in_world
def test_answers_to_others_are_not_taken_for_ours() -> None:
    """While we wait for a silent node, another one answers somebody else's requests."""

    async def story() -> None:
        chain = Chain(3)
        chain.ip(1, "route add blackhole 10.7.0.0/16")
        chain.ip(0, "route add 10.7.0.0/16 via 10.0.0.2")
        silent = asyncio.create_task(ping_once(chain.nodes[0], IPv4Address("10.7.0.1"), timeout_s=0.5))
        answered = await asyncio.gather(*(ping_once(chain.nodes[0], chain.address(2)) for _ in range(20)))
        with chain.nodes[0].entered():
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with probe:
            probe.sendto(b"to a closed port", (str(chain.address(2)), 9))
        assert all(answer.replied for answer in answered)
        assert (await silent).kind == "none"

    asyncio.run(story())
