"""tshark reads in every kind of message what we wrote, and finds nothing to complain about."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from testbed.protocol.authentication import SecurityAssociation, sign
from testbed.protocol.discovery import (
    AgentAdvertisement,
    AgentFlags,
    RouterAddress,
    RouterAdvertisement,
    Solicitation,
)
from testbed.protocol.extensions import AuthenticationExtension, AuthenticationKind, Extension, RawExtension
from testbed.protocol.packets import ETHERTYPE_ARP, ArpMessage, ArpOperation, EthernetFrame, MacAddress
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, ReplyCode, RequestFlags

from .frames import AGENT_ADDRESS, AGENT_MAC, HOME_ADDRESS, MOBILE_MAC, dissected, in_icmp, in_udp

HOME_AGENT, CARE_OF = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.66")
IDENTIFICATION = 0xEC00_0000_1234_5678
ASSOCIATION = SecurityAssociation(0x1234, bytes(range(16)))

WARNING = 0x60_0000  # wireshark: epan/proto.h, PI_WARN; notes such as "TTL only 1" are below
HEALTH = ["_ws.malformed", "_ws.expert.severity", "_ws.expert.message", "ip.checksum.status"]
GOOD_CHECKSUM = "1"


def assert_healthy(row: dict[str, list[str]]) -> None:
    """No malformed packet, no expert information of warning or above, right checksums."""
    assert row["_ws.malformed"] == []
    severe = [severity for severity in row["_ws.expert.severity"] if int(severity) >= WARNING]
    assert severe == [], row["_ws.expert.message"]
    assert set(row["ip.checksum.status"]) <= {GOOD_CHECKSUM}


def all_signed(message: RegistrationRequest) -> RegistrationRequest:
    for kind in AuthenticationKind:
        message = sign(message, kind, ASSOCIATION)
    return message


def requests() -> list[RegistrationRequest]:
    """Without padding: tshark 4.0 takes its one byte for an extension with a length. In ICMP it reads it rightly."""
    plain = RegistrationRequest(RequestFlags(0), 30, HOME_ADDRESS, HOME_AGENT, CARE_OF, IDENTIFICATION)
    flagged = [
        RegistrationRequest(flag, 65535, HOME_ADDRESS, HOME_AGENT, CARE_OF, IDENTIFICATION) for flag in RequestFlags
    ]
    extended = plain.with_extensions((RawExtension(199, b"user@example.org"), RawExtension(200, b"abc")))
    return [plain, all_signed(plain), all_signed(extended), *flagged]


def replies() -> list[RegistrationReply]:
    return [
        sign(RegistrationReply(code, 30, HOME_ADDRESS, HOME_AGENT, IDENTIFICATION), kind, ASSOCIATION)
        for code in ReplyCode
        for kind in AuthenticationKind
    ]


def expected_extensions(extensions: tuple[Extension, ...]) -> dict[str, list[str]]:
    authentications = [extension for extension in extensions if isinstance(extension, AuthenticationExtension)]
    return {
        "mip.ext.type": [str(extension.type) for extension in extensions],
        "mip.auth.spi": [f"0x{extension.spi:08x}" for extension in authentications],
        "mip.auth.auth": [extension.authenticator.hex() for extension in authentications],
    }


EXTENSION_FIELDS = ["mip.ext.type", "mip.auth.spi", "mip.auth.auth"]


def test_requests_are_read_as_written(tmp_path: Path) -> None:
    messages = requests()
    fields = ["mip.type", "mip.flags", "mip.life", "mip.homeaddr", "mip.haaddr", "mip.coa", "mip.ident"]
    rows = dissected(
        [in_udp(message) for message in messages],
        [*fields, *EXTENSION_FIELDS, "udp.checksum.status", *HEALTH],
        tmp_path,
    )
    assert len(rows) == len(messages)
    for message, row in zip(messages, rows, strict=True):
        assert_healthy(row)
        assert row["udp.checksum.status"] == [GOOD_CHECKSUM]
        assert row["mip.type"] == ["1"]
        assert row["mip.flags"] == [f"0x{message.flags:02x}"]
        assert row["mip.life"] == [str(message.lifetime_s)]
        assert row["mip.homeaddr"] == [str(message.home_address)]
        assert row["mip.haaddr"] == [str(message.home_agent)]
        assert row["mip.coa"] == [str(message.care_of_address)]
        assert row["mip.ident"] == ["Jun 20, 2025 15:42:56.071111110 UTC"]
        assert {name: row[name] for name in EXTENSION_FIELDS} == expected_extensions(message.extensions)


def test_replies_with_every_code_are_read_as_written(tmp_path: Path) -> None:
    messages = replies()
    fields = ["mip.type", "mip.code", "mip.life", "mip.homeaddr", "mip.haaddr", *EXTENSION_FIELDS]
    rows = dissected([in_udp(message) for message in messages], [*fields, *HEALTH], tmp_path)
    assert len(rows) == len(messages)
    for message, row in zip(messages, rows, strict=True):
        assert_healthy(row)
        assert row["mip.type"] == ["3"]
        assert row["mip.code"] == [str(int(message.code))]
        assert row["mip.life"] == [str(message.lifetime_s)]
        assert row["mip.homeaddr"] == [str(message.home_address)]
        assert row["mip.haaddr"] == [str(message.home_agent)]
        assert {name: row[name] for name in EXTENSION_FIELDS} == expected_extensions(message.extensions)


def advertisements() -> list[AgentAdvertisement]:
    routers = (RouterAddress(AGENT_ADDRESS), RouterAddress(HOME_AGENT, -2))
    usable = AgentFlags.FOREIGN_AGENT | AgentFlags.HOME_AGENT
    flagged = [
        AgentAdvertisement(3, routers[:1], 0xFFFF, 0xFFFF, flag | usable, (CARE_OF, HOME_AGENT)) for flag in AgentFlags
    ]
    return [
        AgentAdvertisement(3, routers[:1], 0, 1800, AgentFlags.HOME_AGENT),
        AgentAdvertisement(3, routers, 1, 1800, usable, (CARE_OF,), (26, 24), 16, b"\x01\x02\x03\x04"),
        AgentAdvertisement(3, (), 2, 30, AgentFlags.FOREIGN_AGENT, (CARE_OF,), prefix_lengths=()),
        AgentAdvertisement(3, routers, 3, 30, usable, (CARE_OF,), (26, 24), layout=(16, 19, 0)),
        *flagged,
    ]


def types_on_the_wire(message: AgentAdvertisement) -> list[str]:
    own_order = [16] + [19] * (message.prefix_lengths is not None) + [24] * (message.challenge is not None)
    return [str(extension_type) for extension_type in message.layout or own_order]


def test_agent_advertisements_are_read_as_written(tmp_path: Path) -> None:
    messages = advertisements()
    fields = ["icmp.type", "icmp.code", "icmp.checksum.status", "icmp.lifetime", "icmp.router_address"]
    fields += ["icmp.pref_level", "icmp.mip.seq", "icmp.mip.life", "icmp.mip.flags", "icmp.mip.coa"]
    fields += ["icmp.mip.prefixlength", "icmp.mip.challenge", "icmp.mip.type"]
    rows = dissected([in_icmp(message) for message in messages], [*fields, *HEALTH], tmp_path)
    assert len(rows) == len(messages)
    for message, row in zip(messages, rows, strict=True):
        assert_healthy(row)
        assert (row["icmp.type"], row["icmp.code"]) == (["9"], [str(message.code)])
        assert row["icmp.checksum.status"] == [GOOD_CHECKSUM]
        assert row["icmp.lifetime"] == [str(message.lifetime_s)]
        assert row["icmp.router_address"] == [str(router.address) for router in message.routers]
        assert row["icmp.pref_level"] == [str(router.preference) for router in message.routers]
        assert row["icmp.mip.seq"] == [str(message.sequence)]
        assert row["icmp.mip.life"] == [str(message.registration_lifetime_s)]
        assert row["icmp.mip.flags"] == [f"0x{message.flags:04x}"]
        assert row["icmp.mip.coa"] == [str(address) for address in message.care_of_addresses]
        assert row["icmp.mip.prefixlength"] == [str(length) for length in message.prefix_lengths or ()]
        assert row["icmp.mip.type"] == types_on_the_wire(message)
        assert row["icmp.mip.challenge"] == ([message.challenge.hex()] if message.challenge else [])


def test_router_advertisements_and_solicitations_are_read_as_written(tmp_path: Path) -> None:
    frames = [in_icmp(RouterAdvertisement(30, (RouterAddress(AGENT_ADDRESS, 7),))), in_icmp(Solicitation())]
    fields = ["icmp.type", "icmp.code", "icmp.checksum.status", "icmp.router_address", "icmp.mip.type"]
    advertisement, solicitation = dissected(frames, [*fields, *HEALTH], tmp_path)
    for row, icmp_type in ((advertisement, "9"), (solicitation, "10")):
        assert_healthy(row)
        assert (row["icmp.type"], row["icmp.code"], row["icmp.mip.type"]) == ([icmp_type], ["0"], [])
        assert row["icmp.checksum.status"] == [GOOD_CHECKSUM]
    assert advertisement["icmp.router_address"] == [str(AGENT_ADDRESS)]


def test_arp_messages_are_read_as_written(tmp_path: Path) -> None:
    messages = [
        ArpMessage(ArpOperation.REQUEST, MOBILE_MAC, HOME_ADDRESS, MacAddress.ZERO, HOME_ADDRESS),
        ArpMessage(ArpOperation.REPLY, AGENT_MAC, HOME_ADDRESS, AGENT_MAC, HOME_ADDRESS),
        ArpMessage(ArpOperation.REPLY, MOBILE_MAC, HOME_ADDRESS, AGENT_MAC, AGENT_ADDRESS),
    ]
    frames = [
        EthernetFrame(MacAddress.BROADCAST, message.sender_mac, ETHERTYPE_ARP, message.encode()).encode()
        for message in messages
    ]
    fields = ["arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.hw_mac", "arp.dst.proto_ipv4"]
    rows = dissected(frames, [*fields, "arp.isgratuitous", "_ws.malformed"], tmp_path)
    for message, row in zip(messages, rows, strict=True):
        assert row["_ws.malformed"] == []
        assert row["arp.opcode"] == [str(int(message.operation))]
        assert row["arp.src.hw_mac"] == [str(message.sender_mac)]
        assert row["arp.src.proto_ipv4"] == [str(message.sender_address)]
        assert row["arp.dst.hw_mac"] == [str(message.target_mac)]
        assert row["arp.dst.proto_ipv4"] == [str(message.target_address)]
        assert (row["arp.isgratuitous"] in (["1"], ["True"])) is message.gratuitous


def test_the_oracle_does_complain_about_a_message_that_is_cut_off(tmp_path: Path) -> None:
    (message, *_) = replies()
    cut = in_udp(message)[:-8]
    ip_length = int.from_bytes(cut[16:18], "big") - 8
    udp_length = int.from_bytes(cut[38:40], "big") - 8
    frame = cut[:16] + ip_length.to_bytes(2, "big") + cut[18:38] + udp_length.to_bytes(2, "big") + cut[40:]
    (row,) = dissected([frame], HEALTH, tmp_path)
    assert row["_ws.malformed"] or any(int(severity) >= WARNING for severity in row["_ws.expert.severity"])
    assert row["ip.checksum.status"] != [GOOD_CHECKSUM]
