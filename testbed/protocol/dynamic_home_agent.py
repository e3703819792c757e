"""Dynamic home agent assignment (RFC 4433): extension 139, by which a home agent is asked for and named.

A mobile node that has no home agent yet puts 0.0.0.0 or 255.255.255.255 into the request. Who assigns which agent, and
the codes 90, 136 and 143, are for the agents.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from testbed.protocol.extensions import ExtensionType, unpack_extension

_LAYOUT = struct.Struct("!BBBI")
_LENGTH = 5
_NO_HOME_AGENT_YET = (IPv4Address("0.0.0.0"), IPv4Address("255.255.255.255"))


class HomeAgentAssignment(IntEnum):
    """The subtype: which way the address goes."""

    REQUESTED = 1  # the mobile node would like this one
    REDIRECTED = 2  # the home agent says: ask this one


@dataclass(frozen=True, slots=True)
class DynamicHomeAgent:
    """Type 139: {139, 5, subtype, address of a home agent (4)}."""

    assignment: HomeAgentAssignment
    home_agent: IPv4Address

    @property
    def type(self) -> int:
        return ExtensionType.DYNAMIC_HOME_AGENT

    def encode(self) -> bytes:
        return _LAYOUT.pack(self.type, _LENGTH, self.assignment, int(self.home_agent))

    @classmethod
    def decode(cls, extension: bytes) -> DynamicHomeAgent:
        """Read a whole extension of type 139 and subtype 1 or 2; DecodeError when its length is not 5."""
        _, _, subtype, home_agent = unpack_extension(_LAYOUT, extension)
        return cls(HomeAgentAssignment(subtype), IPv4Address(home_agent))


def asks_for_home_agent(home_agent: IPv4Address) -> bool:
    """Whether this home agent field of a request asks for one to be assigned."""
    return home_agent in _NO_HOME_AGENT_YET
