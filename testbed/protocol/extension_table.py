"""Which extension types are spoken in registration messages: the one list to add to.

A new extension is one module that defines its value class (with ``type``, ``encode`` and ``decode``) and one line
here. Types that are not listed fall under the skip rules of ``extensions``, and so do subtypes that are not listed; the
extensions of ICMP advertisements have numbers of their own and are listed in ``advertisement_extensions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from testbed.protocol.extensions import (
    AuthenticationExtension,
    AuthenticationKind,
    Extension,
    ExtensionCodec,
    ExtensionType,
)

_ONLY_SUBTYPE = frozenset({0})


def _late(module: str, name: str) -> Callable[[bytes], Extension]:
    """The decoder of a module that is imported with the first extension of its type: agents must start quickly."""

    @cache
    def decoder() -> Callable[[bytes], Extension]:
        found = getattr(import_module(f"testbed.protocol.{module}"), name)
        decode: Callable[[bytes], Extension] = getattr(found, "decode", found)
        return decode

    return lambda extension: decoder()(extension)


REGISTRATION_EXTENSIONS: Mapping[int, ExtensionCodec] = {
    AuthenticationKind.MOBILE_HOME: ExtensionCodec(AuthenticationExtension.decode),
    AuthenticationKind.MOBILE_FOREIGN: ExtensionCodec(AuthenticationExtension.decode),
    AuthenticationKind.FOREIGN_HOME: ExtensionCodec(AuthenticationExtension.decode),
    ExtensionType.GENERALISED_AUTHENTICATION: ExtensionCodec(
        _late("generalised_authentication", "GeneralisedAuthentication"), long_format=True, subtypes=frozenset({1})
    ),
    ExtensionType.UDP_TUNNEL_REPLY: ExtensionCodec(_late("udp_tunnelling", "UdpTunnelReply"), subtypes=_ONLY_SUBTYPE),
    ExtensionType.FOREIGN_AGENT_ERROR: ExtensionCodec(
        _late("foreign_agent_error", "ForeignAgentError"), subtypes=_ONLY_SUBTYPE
    ),
    ExtensionType.ENCAPSULATING_DELIVERY: ExtensionCodec(_late("delivery_style", "EncapsulatingDelivery")),
    ExtensionType.NETWORK_ACCESS_IDENTIFIER: ExtensionCodec(_late("nai", "NetworkAccessIdentifier")),
    ExtensionType.CHALLENGE: ExtensionCodec(_late("challenge", "Challenge")),
    ExtensionType.REVOCATION_SUPPORT: ExtensionCodec(_late("revocation_support", "RevocationSupport")),
    ExtensionType.DYNAMIC_HOME_AGENT: ExtensionCodec(
        _late("dynamic_home_agent", "DynamicHomeAgent"), subtypes=frozenset({1, 2})
    ),
    ExtensionType.UDP_TUNNEL_REQUEST: ExtensionCodec(
        _late("udp_tunnelling", "UdpTunnelRequest"), subtypes=_ONLY_SUBTYPE
    ),
    ExtensionType.MESSAGE_STRING: ExtensionCodec(_late("message_string", "MessageString"), subtypes=frozenset({1, 2})),
    ExtensionType.MOBILE_NETWORK: ExtensionCodec(
        _late("mobile_network", "decode_mobile_network"), subtypes=frozenset({0, 1, 2})
    ),
}
