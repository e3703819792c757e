from __future__ import annotations

import asyncio
from ipaddress import IPv4Address

import pytest

from testbed.errors import LabError
from testbed.traffic.ping import ping_once
from tests.evidence.chain import Chain
from tests.network.private import in_world


@pytest.mark.kernel
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
def test_answers_to_other_requests_are_not_taken_for_ours() -> None:
    """Large requests are dropped on the way, while small ones to the same node are answered, by it or by a router."""

    async def story() -> None:
        chain = Chain(3)
        drop = "table ip f {\n chain c {\n type filter hook forward priority 0;\n meta length > 1000 drop\n }\n}"
        chain.nodes[1].run(["nft", "-f", "-"], stdin=drop)
        first, last = chain.nodes[0], chain.address(2)
        dropped = asyncio.create_task(ping_once(first, last, payload_bytes=1200, timeout_s=0.5))
        answers = await asyncio.gather(*(ping_once(first, last, ttl=1 + number % 2) for number in range(20)))
        assert [answer.kind for answer in answers] == ["error", "reply"] * 10
        assert (await dropped).kind == "none"

    asyncio.run(story())
