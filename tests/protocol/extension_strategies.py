"""Hypothesis strategies: every extension that is spoken, messages full of them, and the messages beside registration.

Those of ``strategies`` hold what RFC 5944 itself has, and are enough where extensions are not the point.
"""

from __future__ import annotations

from hypothesis import strategies as st

from testbed.protocol.challenge import Challenge
from testbed.protocol.delivery_style import EncapsulatingDelivery
from testbed.protocol.dynamic_home_agent import DynamicHomeAgent, HomeAgentAssignment
from testbed.protocol.extensions import Extension, Padding
from testbed.protocol.foreign_agent_error import ForeignAgentError
from testbed.protocol.generalised_authentication import GeneralisedAuthentication, GeneralisedAuthenticationSubtype
from testbed.protocol.message_string import MessageString, MessageStringSender
from testbed.protocol.mobile_network import (
    MobileNetworkAcknowledgement,
    MobileNetworkRequest,
    MobileNetworkSubtype,
)
from testbed.protocol.nai import NetworkAccessIdentifier
from testbed.protocol.reply_codes import reply_code
from testbed.protocol.revocation import AcknowledgementFlags, Revocation, RevocationAcknowledgement, RevocationFlags
from testbed.protocol.revocation_support import RevocationSupport, RevocationSupportFlags
from testbed.protocol.tunnel_data import Keepalive, TunnelData
from testbed.protocol.udp_tunnelling import (
    UdpTunnelReply,
    UdpTunnelReplyFlags,
    UdpTunnelRequest,
    UdpTunnelRequestFlags,
)

from .strategies import (
    addresses,
    authentication_extensions,
    messages,
    raw_extensions,
    uint8,
    uint16,
    uint32,
)

spoken_extensions: st.SearchStrategy[Extension] = st.one_of(
    st.builds(NetworkAccessIdentifier, st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)),
    st.builds(Challenge, st.binary(min_size=1, max_size=20)),
    st.builds(
        GeneralisedAuthentication, st.sampled_from(GeneralisedAuthenticationSubtype), uint32, st.binary(max_size=20)
    ),
    st.builds(DynamicHomeAgent, st.sampled_from(HomeAgentAssignment), addresses),
    st.builds(EncapsulatingDelivery),
    st.builds(UdpTunnelRequest, uint8.map(UdpTunnelRequestFlags), uint8, uint8, uint16),
    st.builds(UdpTunnelReply, uint8, uint16.map(UdpTunnelReplyFlags), uint16),
    st.builds(RevocationSupport, uint16.map(RevocationSupportFlags), uint32),
    st.builds(MobileNetworkRequest, uint8, addresses),
    st.builds(
        MobileNetworkAcknowledgement,
        st.sampled_from((MobileNetworkSubtype.EXPLICIT_ACKNOWLEDGEMENT, MobileNetworkSubtype.IMPLICIT_ACKNOWLEDGEMENT)),
        uint8,
        uint8,
        addresses,
        uint8,
    ),
    st.builds(ForeignAgentError, uint8.map(reply_code)),
    st.builds(MessageString, st.sampled_from(MessageStringSender), st.binary(max_size=20)),
)
all_extensions: st.SearchStrategy[tuple[Extension, ...]] = st.lists(
    st.one_of(spoken_extensions, spoken_extensions, authentication_extensions, raw_extensions, st.builds(Padding)),
    max_size=5,
).map(tuple)

extended_messages = st.builds(lambda message, extensions: message.with_extensions(extensions), messages, all_extensions)

revocations = st.builds(
    Revocation, uint16.map(RevocationFlags), addresses, addresses, addresses, uint32, all_extensions, uint8
)
acknowledgements = st.builds(
    RevocationAcknowledgement, uint16.map(AcknowledgementFlags), addresses, uint32, all_extensions, uint8
)
tunnel_data = st.builds(TunnelData, uint8, st.binary(max_size=30), uint16)
keepalives = st.builds(Keepalive, addresses, addresses, uint16, uint16, st.booleans(), st.binary(max_size=20))

authenticated_messages = st.one_of(extended_messages, revocations, acknowledgements)
all_messages = st.one_of(authenticated_messages, tunnel_data)
