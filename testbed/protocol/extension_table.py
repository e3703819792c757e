"""Which extension types are spoken in registration messages: the one list to add to.

A new extension is one module that defines its value class (with ``type``, ``encode`` and ``decode``) and one line
here. Types that are not listed fall under the skip rules of ``extensions``, and so do subtypes that are not listed; the
extensions of ICMP advertisements have numbers of their own and are listed in ``advertisement_extensions``.
"""

from __future__ import annotations

from collections.abc import Mapping

from testbed.protocol.challenge import Challenge
from testbed.protocol.delivery_style import EncapsulatingDelivery
from testbed.protocol.dynamic_home_agent import DynamicHomeAgent, HomeAgentAssignment
from testbed.protocol.extensions import AuthenticationExtension, AuthenticationKind, ExtensionCodec, ExtensionType
from testbed.protocol.foreign_agent_error import ForeignAgentError
from testbed.protocol.generalised_authentication import GeneralisedAuthentication, GeneralisedAuthenticationSubtype
from testbed.protocol.message_string import MessageString, MessageStringSender
from testbed.protocol.mobile_network import MobileNetworkSubtype, decode_mobile_network
from testbed.protocol.nai import NetworkAccessIdentifier
from testbed.protocol.revocation_support import RevocationSupport
from testbed.protocol.udp_tunnelling import UdpTunnelReply, UdpTunnelRequest

_ONLY_SUBTYPE = frozenset({0})

REGISTRATION_EXTENSIONS: Mapping[int, ExtensionCodec] = {
    AuthenticationKind.MOBILE_HOME: ExtensionCodec(AuthenticationExtension.decode),
    AuthenticationKind.MOBILE_FOREIGN: ExtensionCodec(AuthenticationExtension.decode),
    AuthenticationKind.FOREIGN_HOME: ExtensionCodec(AuthenticationExtension.decode),
    ExtensionType.GENERALISED_AUTHENTICATION: ExtensionCodec(
        GeneralisedAuthentication.decode, long_format=True, subtypes=frozenset(GeneralisedAuthenticationSubtype)
    ),
    ExtensionType.UDP_TUNNEL_REPLY: ExtensionCodec(UdpTunnelReply.decode, subtypes=_ONLY_SUBTYPE),
    ExtensionType.FOREIGN_AGENT_ERROR: ExtensionCodec(ForeignAgentError.decode, subtypes=_ONLY_SUBTYPE),
    ExtensionType.ENCAPSULATING_DELIVERY: ExtensionCodec(EncapsulatingDelivery.decode),
    ExtensionType.NETWORK_ACCESS_IDENTIFIER: ExtensionCodec(NetworkAccessIdentifier.decode),
    ExtensionType.CHALLENGE: ExtensionCodec(Challenge.decode),
    ExtensionType.REVOCATION_SUPPORT: ExtensionCodec(RevocationSupport.decode),
    ExtensionType.DYNAMIC_HOME_AGENT: ExtensionCodec(DynamicHomeAgent.decode, subtypes=frozenset(HomeAgentAssignment)),
    ExtensionType.UDP_TUNNEL_REQUEST: ExtensionCodec(UdpTunnelRequest.decode, subtypes=_ONLY_SUBTYPE),
    ExtensionType.MESSAGE_STRING: ExtensionCodec(MessageString.decode, subtypes=frozenset(MessageStringSender)),
    ExtensionType.MOBILE_NETWORK: ExtensionCodec(decode_mobile_network, subtypes=frozenset(MobileNetworkSubtype)),
}
