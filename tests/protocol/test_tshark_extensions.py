"""tshark reads every extension, and the messages beside registration, as we wrote them.

What it shows as plain bytes (challenges, delivery style, foreign agent errors) is compared as bytes.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from testbed.protocol.authentication import SecurityAssociation, sign
from testbed.protocol.challenge import Challenge
from testbed.protocol.delivery_style import EncapsulatingDelivery
from testbed.protocol.dynamic_home_agent import DynamicHomeAgent, HomeAgentAssignment
from testbed.protocol.extensions import AuthenticationKind, Extension
from testbed.protocol.foreign_agent_error import ForeignAgentError
from testbed.protocol.generalised_authentication import ChallengeAssociation, sign_mobile_aaa
from testbed.protocol.message_string import MessageString, MessageStringSender
from testbed.protocol.mobile_network import (
    MobileNetworkAcknowledgement,
    MobileNetworkRequest,
    MobileNetworkSubtype,
)
from testbed.protocol.nai import NetworkAccessIdentifier
from testbed.protocol.registration import RegistrationReply, RegistrationRequest, ReplyCode, RequestFlags
from testbed.protocol.revocation import AcknowledgementFlags, Revocation, RevocationAcknowledgement, RevocationFlags
from testbed.protocol.revocation_support import RevocationSupport, RevocationSupportFlags
from testbed.protocol.tunnel_data import Keepalive
from testbed.protocol.udp_tunnelling import (
    TunnelledProtocol,
    UdpTunnelCode,
    UdpTunnelReply,
    UdpTunnelReplyFlags,
    UdpTunnelRequest,
    UdpTunnelRequestFlags,
)

from .frames import HOME_ADDRESS, dissected, in_udp
from .test_tshark_oracle import HEALTH, assert_healthy

HOME_AGENT, CARE_OF, NETWORK = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.66"), IPv4Address("203.0.113.64")
ANY = IPv4Address("0.0.0.0")
IDENTIFICATION = 0xEC00_0000_1234_5678
ASSOCIATION = SecurityAssociation(0x1234, bytes(range(16)))
REQUEST = RegistrationRequest(RequestFlags.REVERSE_TUNNEL, 30, HOME_ADDRESS, HOME_AGENT, CARE_OF, IDENTIFICATION)
REPLY = RegistrationReply(ReplyCode.ACCEPTED, 30, HOME_ADDRESS, HOME_AGENT, IDENTIFICATION)

TUNNEL_REQUEST = "mip.ext.utrq."
TUNNEL_REPLY = "mip.ext.utrp."
NETWORK_EXTENSION = "mip.ext.mne."
EMPTY = "<MISSING>"  # so tshark writes bytes of which there are none

SHOWN: list[tuple[Extension, dict[str, str]]] = [
    (NetworkAccessIdentifier("mn@example.org"), {"mip.nai": "mn@example.org"}),
    (Challenge(b"\x01\x02\x03\x04"), {"mip.extension": "01020304"}),
    (EncapsulatingDelivery(), {"mip.extension": EMPTY}),
    (ForeignAgentError(65), {"mip.extension": "0041"}),
    *(
        (
            DynamicHomeAgent(assignment, HOME_AGENT),
            {"mip.ext.dynha.subtype": str(int(assignment)), "mip.ext.dynha.ha": str(HOME_AGENT)},
        )
        for assignment in HomeAgentAssignment
    ),
    *(
        (
            MessageString.of(sender, "out of money"),
            {"mip.ext.msgstr.subtype": str(int(sender)), "mip.ext.msgstr.text": "out of money"},
        )
        for sender in MessageStringSender
    ),
    *(
        (
            UdpTunnelRequest(flags, encapsulation),
            {
                TUNNEL_REQUEST + "subtype": "0",
                TUNNEL_REQUEST + "reserved1": "0x00",
                TUNNEL_REQUEST + "f": str(int(flags is UdpTunnelRequestFlags.FORCED)),
                TUNNEL_REQUEST + "r": str(int(flags is UdpTunnelRequestFlags.THROUGH_FOREIGN_AGENT)),
                TUNNEL_REQUEST + "encaptype": str(int(encapsulation)),
            },
        )
        for flags in UdpTunnelRequestFlags
        for encapsulation in TunnelledProtocol
    ),
    *(
        (
            UdpTunnelReply(code, flags, 110),
            {
                TUNNEL_REPLY + "subtype": "0",
                TUNNEL_REPLY + "code": str(int(code)),
                TUNNEL_REPLY + "f": str(int(bool(flags))),
                TUNNEL_REPLY + "keepalive": "110",
            },
        )
        for code in UdpTunnelCode
        for flags in (UdpTunnelReplyFlags(0), UdpTunnelReplyFlags.FORCED)
    ),
    *(
        (
            RevocationSupport(flags, 0xEC000001),
            {"mip.ext.rev.i": str(int(bool(flags))), "mip.ext.rev.tstamp": str(0xEC000001)},
        )
        for flags in (RevocationSupportFlags(0), RevocationSupportFlags.INFORM)
    ),
    (
        MobileNetworkRequest(26, NETWORK),
        {
            NETWORK_EXTENSION + "subtype": "0",
            NETWORK_EXTENSION + "prefix_length": "26",
            NETWORK_EXTENSION + "prefix": str(NETWORK),
        },
    ),
    *(
        (
            MobileNetworkAcknowledgement(subtype, 3, 26, NETWORK),
            {
                NETWORK_EXTENSION + "subtype": str(int(subtype)),
                NETWORK_EXTENSION + "code": "3",
                NETWORK_EXTENSION + "prefix_length": "26",
                NETWORK_EXTENSION + "prefix": str(NETWORK),
            },
        )
        for subtype in (MobileNetworkSubtype.EXPLICIT_ACKNOWLEDGEMENT, MobileNetworkSubtype.IMPLICIT_ACKNOWLEDGEMENT)
    ),
]


def test_every_extension_is_read_as_written(tmp_path: Path) -> None:
    messages = [
        sign(REQUEST.with_extensions((extension,)), AuthenticationKind.MOBILE_HOME, ASSOCIATION)
        for extension, _ in SHOWN
    ]
    fields = sorted({name for _, shown in SHOWN for name in shown})
    rows = dissected([in_udp(message) for message in messages], ["mip.ext.type", *fields, *HEALTH], tmp_path)
    assert len(rows) == len(SHOWN)
    for (extension, shown), row in zip(SHOWN, rows, strict=True):
        assert_healthy(row)
        assert row["mip.ext.type"] == [str(extension.type), "32"]
        assert {name: plain(row[name]) for name in fields if row[name]} == shown


def plain(values: list[str]) -> str:
    """One value, a flag as 0 or 1 whichever way this tshark writes it."""
    (value,) = values
    return {"True": "1", "False": "0"}.get(value, value)


def test_generalised_authentication_is_read_as_written(tmp_path: Path) -> None:
    challenged = REQUEST.with_extensions((NetworkAccessIdentifier("mn@example.org"), Challenge(bytes(16))))
    messages = [
        sign(sign_mobile_aaa(challenged, association), AuthenticationKind.MOBILE_HOME, ASSOCIATION)
        for association in (ASSOCIATION, ChallengeAssociation(b"key"))
    ]
    fields = ["mip.ext.type", "mip.ext.auth.subtype", "mip.ext.len", "mip.auth.spi", "mip.auth.auth"]
    rows = dissected([in_udp(message) for message in messages], [*fields, *HEALTH], tmp_path)
    for message, spi, row in zip(messages, ("0x00001234", "0x00000002"), rows, strict=True):
        assert_healthy(row)
        assert row["mip.ext.type"] == ["131", "132", "36", "32"]
        assert row["mip.ext.auth.subtype"] == ["1"]
        assert row["mip.ext.len"] == ["14", "16", "20", "20"]
        assert row["mip.auth.spi"] == [spi, "0x00001234"]
        assert row["mip.auth.auth"] == [extension.encode()[-16:].hex() for extension in message.extensions[2:]]


def test_requests_and_replies_for_a_node_without_addresses_are_read_as_written(tmp_path: Path) -> None:
    nai = NetworkAccessIdentifier("mn@example.org")
    request = RegistrationRequest(RequestFlags(0), 30, ANY, ANY, CARE_OF, IDENTIFICATION, (nai,))
    messages: list[RegistrationRequest | RegistrationReply] = [request, REPLY.with_extensions((nai,))]
    rows = dissected(
        [in_udp(message) for message in messages], ["mip.homeaddr", "mip.haaddr", "mip.nai", *HEALTH], tmp_path
    )
    for message, row in zip(messages, rows, strict=True):
        assert_healthy(row)
        assert (row["mip.homeaddr"], row["mip.haaddr"]) == ([str(message.home_address)], [str(message.home_agent)])
        assert row["mip.nai"] == ["mn@example.org"]


@pytest.mark.parametrize("flags", [RevocationFlags(0), *RevocationFlags, ~RevocationFlags(0)])
def test_revocations_are_read_as_written(flags: RevocationFlags, tmp_path: Path) -> None:
    message = sign(
        Revocation(flags, HOME_ADDRESS, HOME_AGENT, CARE_OF, 0xEC000001), AuthenticationKind.FOREIGN_HOME, ASSOCIATION
    )
    fields = ["mip.type", "mip.rev.a", "mip.rev.i", "mip.homeaddr", "mip.rev.hda", "mip.rev.fda", "mip.revid"]
    (row,) = dissected([in_udp(message)], [*fields, "mip.ext.type", *HEALTH], tmp_path)
    assert_healthy(row)
    assert row["mip.type"] == ["7"]
    assert plain(row["mip.rev.a"]) == str(int(RevocationFlags.FROM_HOME_AGENT in flags))
    assert plain(row["mip.rev.i"]) == str(int(RevocationFlags.INFORM in flags))
    assert row["mip.homeaddr"] == [str(HOME_ADDRESS)]
    assert (row["mip.rev.hda"], row["mip.rev.fda"]) == ([str(HOME_AGENT)], [str(CARE_OF)])
    assert row["mip.revid"] == [str(0xEC000001)]
    assert row["mip.ext.type"] == ["34"]


@pytest.mark.parametrize("flags", [AcknowledgementFlags(0), AcknowledgementFlags.INFORM])
def test_acknowledgements_are_read_as_written(flags: AcknowledgementFlags, tmp_path: Path) -> None:
    message = sign(
        RevocationAcknowledgement(flags, HOME_ADDRESS, 0xEC000001), AuthenticationKind.FOREIGN_HOME, ASSOCIATION
    )
    fields = ["mip.type", "mip.ack.i", "mip.homeaddr", "mip.revid", "mip.ext.type"]
    (row,) = dissected([in_udp(message)], [*fields, *HEALTH], tmp_path)
    assert_healthy(row)
    assert row["mip.type"] == ["15"]
    assert plain(row["mip.ack.i"]) == str(int(bool(flags)))
    assert (row["mip.homeaddr"], row["mip.revid"]) == ([str(HOME_ADDRESS)], [str(0xEC000001)])
    assert row["mip.ext.type"] == ["34"]


def test_keepalives_and_their_answers_are_read_as_written(tmp_path: Path) -> None:
    request = Keepalive(HOME_ADDRESS, HOME_AGENT, 0x1234, 7, payload=b"abcd")
    messages = [request, request.answer()]
    fields = ["mip.type", "mip.nattt.nexthdr", "mip.nattt.reserved", "ip.src", "ip.dst", "icmp.type"]
    fields += ["icmp.ident", "icmp.seq", "icmp.checksum.status", "data.data"]
    rows = dissected([in_udp(message.encapsulated()) for message in messages], [*fields, *HEALTH], tmp_path)
    for message, row in zip(messages, rows, strict=True):
        assert_healthy(row)
        assert (row["mip.type"], row["mip.nattt.nexthdr"]) == (["4"], ["4"])
        assert (row["ip.src"][-1], row["ip.dst"][-1]) == (str(message.source), str(message.destination))
        assert row["icmp.type"] == ["0" if message.is_answer else "8"]
        assert row["icmp.checksum.status"] == ["1"]
        assert row["data.data"] == ["61626364"]
        assert row["icmp.ident"][0] in ("4660", "0x1234")
        assert row["icmp.seq"][0] == "7"
