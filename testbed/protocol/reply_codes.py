"""The codes of a Registration Reply: names, and who refused. Which code answers what is decided by the agents.

Sources: RFC 5944 3.4 and, where noted, the RFC that added the code. Ranges: 0..8 accepted, 64..127 and 193..200
refused by the foreign agent (or a gateway foreign agent), 128..192 refused by the home agent.
"""

from __future__ import annotations

from enum import IntEnum


class ReplyCode(IntEnum):
    """Every code in use. A code without a name here stays a plain int in a RegistrationReply."""

    ACCEPTED = 0
    ACCEPTED_WITHOUT_SIMULTANEOUS_BINDINGS = 1

    FOREIGN_UNSPECIFIED = 64
    FOREIGN_ADMINISTRATIVELY_PROHIBITED = 65
    FOREIGN_INSUFFICIENT_RESOURCES = 66
    MOBILE_NODE_FAILED_AUTHENTICATION_AT_FOREIGN = 67
    HOME_AGENT_FAILED_AUTHENTICATION = 68
    LIFETIME_TOO_LONG = 69
    FOREIGN_POORLY_FORMED_REQUEST = 70
    POORLY_FORMED_REPLY = 71
    FOREIGN_ENCAPSULATION_UNAVAILABLE = 72
    RESERVED_VAN_JACOBSON = 73
    FOREIGN_REVERSE_TUNNEL_UNAVAILABLE = 74  # RFC 3024
    FOREIGN_REVERSE_TUNNEL_MANDATORY = 75  # RFC 3024
    MOBILE_NODE_TOO_DISTANT = 76  # RFC 3024
    INVALID_CARE_OF_ADDRESS = 77
    REGISTRATION_TIMEOUT = 78
    DELIVERY_STYLE_NOT_SUPPORTED = 79  # RFC 3024
    HOME_NETWORK_UNREACHABLE = 80
    HOME_AGENT_HOST_UNREACHABLE = 81
    HOME_AGENT_PORT_UNREACHABLE = 82
    HOME_AGENT_UNREACHABLE = 88
    FOREIGN_VENDOR_SPECIFIC = 89
    NONZERO_HOME_AGENT_REQUIRED = 90  # RFC 4433
    NONZERO_HOME_ADDRESS_REQUIRED = 96  # RFC 2794
    MISSING_NAI = 97  # RFC 2794
    MISSING_HOME_AGENT = 98  # RFC 2794
    MISSING_HOME_ADDRESS = 99  # RFC 2794
    MOBILE_NODE_UNKNOWN_VENDOR_EXTENSION_AT_FOREIGN = 100  # RFC 3115
    HOME_AGENT_UNKNOWN_VENDOR_EXTENSION_AT_FOREIGN = 101  # RFC 3115
    UNKNOWN_CHALLENGE = 104  # RFC 4721
    MISSING_CHALLENGE = 105  # RFC 4721
    STALE_CHALLENGE = 106  # RFC 4721
    MISSING_MOBILE_FOREIGN = 107  # RFC 3957
    FOREIGN_BAD_AAA_AUTHENTICATION = 108  # RFC 4721
    HOME_AGENT_WRONG_CHALLENGE = 109  # RFC 4721
    REPLAY_PROTECTION_UNAVAILABLE = 110  # RFC 4857
    ZERO_CARE_OF_ADDRESS_NOT_SUPPORTED = 111  # RFC 4857
    GATEWAY_UNKNOWN = 112  # RFC 4857
    GATEWAY_UNREACHABLE_113 = 113  # RFC 4857
    GATEWAY_UNREACHABLE_114 = 114  # RFC 4857
    GATEWAY_UNREACHABLE_115 = 115  # RFC 4857
    FOREIGN_EXPERIMENTAL = 127  # RFC 4064

    HOME_UNSPECIFIED = 128
    HOME_ADMINISTRATIVELY_PROHIBITED = 129
    HOME_INSUFFICIENT_RESOURCES = 130
    MOBILE_NODE_FAILED_AUTHENTICATION = 131
    FOREIGN_AGENT_FAILED_AUTHENTICATION = 132
    IDENTIFICATION_MISMATCH = 133
    HOME_POORLY_FORMED_REQUEST = 134
    TOO_MANY_BINDINGS = 135
    UNKNOWN_HOME_AGENT = 136
    HOME_REVERSE_TUNNEL_UNAVAILABLE = 137  # RFC 3024
    HOME_REVERSE_TUNNEL_MANDATORY = 138  # RFC 3024
    HOME_ENCAPSULATION_UNAVAILABLE = 139  # RFC 3024
    MOBILE_NODE_UNKNOWN_VENDOR_EXTENSION = 140  # RFC 3115
    FOREIGN_AGENT_UNKNOWN_VENDOR_EXTENSION = 141  # RFC 3115
    UDP_ENCAPSULATION_UNAVAILABLE = 142  # RFC 3519
    REDIRECT_HOME_AGENT_REQUIRED = 143  # RFC 4433
    HOME_BAD_AAA_AUTHENTICATION = 144  # RFC 4721
    ZERO_CARE_OF_ADDRESS_UNSUPPORTED_AT_HOME = 145  # RFC 4857
    DYNAMIC_GATEWAY_UNSUPPORTED_AT_HOME = 146  # RFC 4857
    MOBILE_NETWORK_ERROR = 147  # RFC 5177
    MOBILE_NETWORK_DISALLOWED = 148  # RFC 5177
    PROXY_REGISTRATION_UNSUPPORTED = 149  # RFC 5563
    PROXY_REGISTRATION_DISALLOWED = 150  # RFC 5563
    HOME_EXPERIMENTAL = 192  # RFC 4064

    NO_HOME_REGISTRATION = 193  # RFC 4857
    INVALID_HOME_AGENT_ADDRESS = 194

    @property
    def accepted(self) -> bool:
        """Whether the registration was granted."""
        return is_accepted(self)

    @property
    def denied_by(self) -> str | None:
        """``"foreign agent"``, ``"home agent"``, or None when nobody refused."""
        return denied_by(self)


def is_accepted(code: int) -> bool:
    """Whether ``code`` grants a registration; a success code that we never heard of (2..8) grants nothing we know."""
    return code in (ReplyCode.ACCEPTED, ReplyCode.ACCEPTED_WITHOUT_SIMULTANEOUS_BINDINGS)


def denied_by(code: int) -> str | None:
    """Who refused, by the range that ``code`` lies in, known or not; None outside the ranges of refusals."""
    if 64 <= code <= 127 or 193 <= code <= 200:
        return "foreign agent"
    if 128 <= code <= 192:
        return "home agent"
    return None


_BY_VALUE = {int(code): code for code in ReplyCode}


def reply_code(code: int) -> int:
    """``code`` as a ReplyCode where it has a name, else unchanged."""
    return _BY_VALUE.get(code, code)


def describe_code(code: int) -> str:
    """``code`` in words for people: ``"133 identification mismatch"``, or ``"59 unknown code"``."""
    known = _BY_VALUE.get(code)
    return f"{code} {known.name.lower().replace('_', ' ') if known is not None else 'unknown code'}"
